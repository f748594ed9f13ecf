"""What is known of limits and waits, for each request: whether it can be answered at all and in time, and
what is left.

How it works. The owner of the limits tells once a second who waits, and for how long at least (`take`). All
that is computed of it is computed then; a request costs a look-up. A request is refused only if its wait
was clearly beyond its deadline in each of the last records, over some seconds, at every deployment of its
model. What is not told, or is older than five seconds, refuses nothing. No I/O; times are broker time.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

from headrace.ingress.oversize import Oversize
from headrace.ingress.refusal import Refusal
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.names import NO_KEY, DeploymentName, KeyName, LaneName, ModelName, Tenant
from headrace.schemas.outlook import FRESH_MS, FlowOutlook, Level, Outlook, ScopeOutlook
from headrace.schemas.records import RequestRecord

HttpHeaders = list[tuple[bytes, bytes]]

LEAST_RECORDS: Final = 3
"""That must agree on a wait: what they tell lies two seconds apart, or more."""
MARGIN: Final = 0.8
MARGIN_MS: Final = 1_000
"""A wait counts as so much shorter than it is told to be."""
MOST_RETRY_AFTER_S: Final = 120
MOST_HEADERS: Final = 10_000
_COUNTED: Final = {"requests": b"requests", "total_tokens": b"tokens"}

Queue = tuple[DeploymentName, LaneName, Tenant, KeyName]
Asked = tuple[ModelName, LaneName, Tenant, KeyName]


class Forecast:
    """Of one ingress process."""

    def __init__(self, config: Config) -> None:
        self._refuses = config.ingress.refuse_hopeless
        self._oversize = Oversize(config)
        self._models: dict[ModelName, list[DeploymentName]] = {}
        for one in config.deployments:
            self._models.setdefault(one.model, []).append(one.name)
        self._by_deadline = {name for name, lane in config.lanes.items() if lane.order == "edf"}
        """There a queue does not stand before whoever has a nearer deadline."""
        self._model_of = {one.name: one.model for one in config.deployments}
        self._epoch = 0
        self._stamp_ms = 0
        self._past: deque[Mapping[Queue, int]] = deque(maxlen=LEAST_RECORDS)
        self._waits: dict[Asked, int] = {}
        self._scopes: dict[str, ScopeOutlook] = {}
        self._headers: dict[tuple[ModelName, Tenant, KeyName], HttpHeaders] = {}

    def take(self, outlook: Outlook, stamp_ms: int) -> None:
        """The next record, which the broker took at `stamp_ms`."""
        recent = stamp_ms - self._stamp_ms <= FRESH_MS
        if recent and outlook.epoch < self._epoch:
            return  # of an owner that does not know yet that it was replaced
        if not recent or outlook.epoch != self._epoch:
            self._past.clear()
        self._epoch, self._stamp_ms = outlook.epoch, max(self._stamp_ms, stamp_ms)
        self._past.append({_queue(one): one.wait_ms for one in outlook.flows})
        self._scopes = {one.scope: one for one in outlook.scopes}
        self._oversize.take(outlook.scopes)
        self._headers.clear()
        self._waits = dict(self._agreed()) if len(self._past) == LEAST_RECORDS else {}

    def refusal(self, record: RequestRecord, now_ms: int) -> Refusal | None:
        """Why a request could never be sent, or would only wait for its deadline; None: neither is known."""
        if now_ms - self._stamp_ms > FRESH_MS:
            return None
        return self._oversize.refusal(record) or self._late(record, now_ms)

    def _late(self, record: RequestRecord, now_ms: int) -> Refusal | None:
        wait_ms = self._waits.get((record.model, record.lane, record.tenant, record.key_name))
        if wait_ms is None or not self._refuses:
            return None
        late_ms = wait_ms * MARGIN - MARGIN_MS - (record.deadline_ms - now_ms)
        if late_ms <= 0 or record.not_before_ms > now_ms:
            return None
        message = f"The queue for {record.model} takes about {wait_ms // 1000} s: too long for the deadline."
        after_s = min(max(1.0, late_ms / 1000), MOST_RETRY_AFTER_S)
        return Refusal(Code.PREDICTED_WAIT_EXCEEDS_DEADLINE, message, retry_after_s=after_s)

    def headers(
        self, model: ModelName, tenant: Tenant, now_ms: int, key_name: KeyName = NO_KEY
    ) -> HttpHeaders:
        """What is left of the caller's limit (the key's first), or of the model's, as `x-ratelimit-*`; [] if
        none is known.
        """
        if not self._scopes or now_ms - self._stamp_ms > FRESH_MS:
            return []
        key = model, tenant, key_name
        headers = self._headers.get(key)
        if headers is None:
            headers = self._headers_of(model, tenant, key_name)
            if len(self._headers) >= MOST_HEADERS:
                self._headers.clear()
            self._headers[key] = headers
        return headers

    def _agreed(self) -> "list[tuple[Asked, int]]":
        """The least wait in all records and at all deployments; a queue that is not told of has none."""
        newest = self._past[-1]
        agreed: list[tuple[Asked, int]] = []
        for deployment, lane, tenant, key_name in newest:
            model = self._model_of.get(deployment)
            if model is None or lane in self._by_deadline:
                continue
            least = min(
                past.get((one, lane, tenant, key_name), 0)
                for past in self._past
                for one in self._models[model]
            )
            if least > MARGIN_MS:
                agreed.append(((model, lane, tenant, key_name), least))
        return agreed

    def _headers_of(self, model: ModelName, tenant: Tenant, key_name: KeyName) -> HttpHeaders:
        names = [f"key {tenant}/{key_name}", f"tenant {tenant}", f"model {model}"]
        deployments = self._models.get(model, [])
        if len(deployments) == 1:
            names.append(deployments[0])
        found: HttpHeaders = []
        for dimension, word in _COUNTED.items():
            for name in names:
                scope = self._scopes.get(name)
                level = _level(scope, dimension)
                if scope is not None and level is not None:
                    found += _told(word, level, scope.empty_ms)
                    break
        return found


def _queue(told: FlowOutlook) -> Queue:
    return told.flow


def _level(scope: ScopeOutlook | None, dimension: str) -> Level | None:
    if scope is None:
        return None
    return next((one for one in scope.levels if one.dimension == dimension), None)


def _told(word: bytes, level: Level, empty_ms: int) -> HttpHeaders:
    return [
        (b"x-ratelimit-limit-" + word, b"%d" % level.limit),
        (b"x-ratelimit-remaining-" + word, b"%d" % max(0, level.limit - level.used)),
        (b"x-ratelimit-reset-" + word, b"%dms" % empty_ms),
    ]
