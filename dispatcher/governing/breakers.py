"""The breakers of an installation in a governor's process: a reader of their topic, and its writer while it
is the owner.

How it works. Every governor follows the topic, so that whoever becomes the owner knows all rows at once and
goes on from them; a row of its own replaces each. What changes at a tick is written as one batch; while that
is not acknowledged time stands still for the breakers, and if it fails all rows are said again.
"""

import random
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping

from headrace.dispatcher.governing.metrics import Metrics
from headrace.dispatcher.governor.breaker.configured import MODES, policies_of
from headrace.dispatcher.governor.breaker.house import House, Order
from headrace.dispatcher.governor.breaker.machine import ORDERED
from headrace.dispatcher.governor.cooldown import Cooldown
from headrace.dispatcher.governor.learning.rests import Rests
from headrace.dispatcher.kafka.appender import Pair
from headrace.dispatcher.kafka.limit_log import LimitLog
from headrace.schemas.breaker_log import BreakerLog
from headrace.schemas.breakers import PAST, Row, Transition, encode, key_of
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Report
from headrace.schemas.names import DeploymentName
from headrace.schemas.settings import Breaker as Setting
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log


class Breakers:
    """One per process."""

    def __init__(self, config: Config, limits: LimitLog, *, metrics: Metrics, log: Log) -> None:
        self._topic = Topics(config.kafka.topic_prefix).breakers
        self._policies = policies_of(config)
        self._usual = MODES[config.breaker.mode]
        self._table = limits.table(self._topic, self._failed)
        self._metrics = metrics
        self._log = log
        self._known = BreakerLog()
        self._house: House | None = None
        self._ticked_ms = 0
        self._orders: dict[DeploymentName, Order] = {}
        self._outdated: list[bytes] = []
        """Keys that earlier owners have left."""
        self._untold: deque[Transition] = deque(maxlen=PAST)
        """To be written."""
        self._written: tuple[Transition, ...] = ()
        """Last; it may be told yet that they do not stand in the log."""

    @property
    def epoch(self) -> int:
        """The highest of an owner that has written anything."""
        return self._known.epoch

    @property
    def lookback_ms(self) -> int:
        """How far back reports tell of calls that matter."""
        return 1000 * max((policy.keep_s for policy in self._policies.values()), default=0)

    def works(self) -> tuple[Coroutine[None, None, None], ...]:
        """What runs from the connection to the end."""
        return self._table.works()

    async def start(self) -> None:
        """Know all rows. A Kafka that is away is waited for."""
        await self._table.follow(lambda key, value, _at_ms: self._take(key, value))

    async def catch_up(self) -> None:
        """Know all that the owner before this one has written."""
        await self._table.catch_up()

    def take_over(self, epoch: int, reports: Iterable[tuple[int, Report]], rests: Rests) -> None:
        """Be the owner, from the rows that stand in the log and what was reported lately.

        `rests`: what rows are to tell of rests; it learns of those that were told before.
        """
        self._house = House(epoch, self._policies, self._known.rows, self._usual)
        for name, row in self._known.rows.items():
            rests.take(name, Cooldown(row.rest_began_ms, row.rest_until_ms, row.rest_times))
        self._house.rests = rests.of
        self._house.orders = self._orders
        self._outdated = self._known.outdated(epoch)
        for stamp_ms, report in reports:
            self.hear(report, stamp_ms)

    def resign(self) -> None:
        """There is another owner."""
        self._house = None
        self._untold.clear()

    def share(self, deployment: DeploymentName) -> float:
        """Of its usual credits what a deployment may have, as of the last tick."""
        return self._house.share(deployment, self._ticked_ms) if self._house is not None else 1.0

    def hear(self, report: Report, stamp_ms: int) -> bool:
        """Take a report; True if it tells of something that a tick should follow soon."""
        news = self._house.hear(report, stamp_ms) if self._house is not None else False
        if news is None:
            self._metrics.unreadable(self._topic)
        return bool(news)

    def ordered(self, settings: Mapping[DeploymentName, Setting]) -> None:
        """What operators have set on breakers, all of it."""
        self._orders = {
            name: Order(one.state, one.by, one.at_ms)
            for name, one in settings.items()
            if one.state is None or one.state in ORDERED
        }
        if self._house is not None:
            self._house.orders = self._orders

    def tick(self, now_ms: int) -> None:
        """Let time pass, and write what has changed."""
        house = self._house
        if house is None or not self._table.free:
            return
        self._ticked_ms = now_ms
        rows, moved = house.tick(now_ms, random.random())  # noqa: S311 - jitter, not a secret
        for transition in moved:
            self._tell(transition)
        self._untold += moved
        if rows or self._untold:
            self._table.append(self._pairs(rows))
            self._written = tuple(self._untold)
            self._untold.clear()

    def _pairs(self, rows: list[Row]) -> list[Pair]:
        """Rows are what dispatchers wait for; a removal is never the last (see `Table`)."""
        pairs: list[Pair] = [(key_of(row), encode(row)) for row in rows]
        removed: list[Pair] = [(key, None) for key in self._outdated]
        self._outdated = []
        past: list[Pair] = [(key_of(one), encode(one)) for one in self._untold]
        return [*pairs, *removed, *past, *(pairs[:1] if removed and not past else [])]

    def _take(self, key: bytes | None, value: bytes | None) -> None:
        if self._known.take(key, value) is None and value:
            self._metrics.unreadable(self._topic)

    def _failed(self) -> None:
        self._metrics.failed()
        if self._house is not None:
            self._house.restate()
            self._untold.extendleft(reversed(self._written))

    def _tell(self, transition: Transition) -> None:
        self._metrics.moved(transition)
        self._log.info(
            "breaker_moved",
            deployment=transition.deployment,
            state=transition.after.value,
            reason=transition.why.value,
            count=transition.trips,
            due_ms=transition.open_until_ms or None,
            epoch=transition.epoch,
        )
