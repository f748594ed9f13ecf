"""Requests that are larger than a limit wherever they go, by what ingress knows of limits. No I/O.

How it works. With `reserve: hard` the tokens of a request follow from its body, so that it is refused at
once and not after it was queued; an estimate only dispatchers have, who see answers. Limits are those that
the owner tells. A limit that is only tried out, that an upstream has shown to be lower for now, or that is
not told, refuses nothing here: dispatchers know.
"""

from collections.abc import Iterable
from typing import NamedTuple

from headrace.ingress.refusal import Refusal
from headrace.schemas.bounds import Cost, Unbounded, bound, most_answer
from headrace.schemas.config.model import Config
from headrace.schemas.config.scopes import limits_of
from headrace.schemas.errors import Code
from headrace.schemas.names import ModelName
from headrace.schemas.outlook import ScopeOutlook
from headrace.schemas.records import RequestRecord


class _Caps(NamedTuple):
    input: int | None
    output: int | None
    total: int | None


class Oversize:
    """Of one configuration; `take` tells the limits in force."""

    def __init__(self, config: Config) -> None:
        self._hard = {name: one for name, one in config.models.items() if one.reserve == "hard"}
        self._places: dict[ModelName, list[tuple[str, ...]]] = {name: [] for name in self._hard}
        """For each deployment of a model the scopes that it lies in."""
        for one in config.deployments:
            if one.model in self._hard:
                names = (f"pool {one.limits.pool}", f"model {one.model}", str(one.name))
                self._places[one.model].append(names)
        self._shadow = {name for name, limits in limits_of(config).items() if limits.shadow}
        self._caps: dict[str, _Caps] = {}

    def take(self, scopes: Iterable[ScopeOutlook]) -> None:
        """Limits are these from now on."""
        if self._hard:
            told = ((one.scope, _caps(one)) for one in scopes if one.scope not in self._shadow)
            self._caps = {name: caps for name, caps in told if any(caps)}

    def refusal(self, record: RequestRecord) -> Refusal | None:
        """Why no deployment may ever be sent `record`; None: one may, as far as is known."""
        config = self._hard.get(record.model)
        if config is None or record.endpoint is None:
            return None
        own = (f"tenant {record.tenant}", f"key {record.tenant}/{record.key_name}")
        places = [self._named((*names, *own)) for names in self._places[record.model]]
        if not any(places):
            return None
        cost = bound(config, record.endpoint, record.body)
        if isinstance(cost, Unbounded):
            return Refusal(Code.REQUEST_UNBOUNDED, f"The request has no bound: {cost.value}.")
        if any(all(_fits(cost, caps) for caps in place) for place in places):
            return None
        message = f"The request is larger than what {record.model} may take in a minute."
        return Refusal(Code.REQUEST_EXCEEDS_LIMIT, message)

    def _named(self, names: Iterable[str]) -> list[_Caps]:
        return [self._caps[name] for name in names if name in self._caps]


def _fits(cost: Cost, caps: _Caps) -> bool:
    most = most_answer(cost.input, *caps)
    return most is None or cost.output <= most


def _caps(scope: ScopeOutlook) -> _Caps:
    known = {one.dimension: one.limit for one in scope.levels if one.learned is None}
    return _Caps(*(known.get(name) for name in ("input_tokens", "output_tokens", "total_tokens")))
