"""Records on `settings`: what operators have set on a running installation, and holds until it is changed.

How it works. A setting has a *place*: `pause/<scope>/<name>`, `limit/<scope>` or `breaker/<deployment>`, and
a version, which counts its changes. Whoever changes it writes the version after the one that was seen. Of
the records of one place the highest version counts, and of two with the same version the first in the log:
who wrote the other one did not know of it, so it is ignored by all, and its writer, who reads the log back,
says so.
What ended a setting (`resume`, no limits, no state) is a record as well, so that versions go on.

Compaction keeps the last record of a *key*. So that it never keeps one that is ignored in place of the one
that counts, each record has a key of its own, and who wrote one that counts deletes those that do not any
more.

Times are told by the writer's clock and taken by the broker's: what was to last ten minutes lasts ten
minutes from the record's timestamp on.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

import msgspec

from headrace.schemas.breakers import State
from headrace.schemas.config.limits import SHARED
from headrace.schemas.names import DeploymentName
from headrace.schemas.status import Number
from headrace.schemas.values import read_value

SETTINGS_PARTITION: Final = 0
MOST: Final = 10_000
"""Places that are known at once; records of others are ignored."""
MOST_BYTES: Final = 16_384
"""Of one record; what is longer is ignored."""
FOREVER_MS: Final = 2**53 - 1

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Text = Annotated[str, msgspec.Meta(max_length=1024)]
Amount = Annotated[int, msgspec.Meta(ge=1, le=10**12)]


class Verb(StrEnum):
    """What is commanded of a lane, tenant or deployment."""

    PAUSE = "pause"
    """Nothing is started, and credits in hand are given back; what runs goes on to its end."""
    DRAIN = "drain"
    """Nothing new is granted or started; credits in hand may be spent."""
    RESUME = "resume"


class Scope(StrEnum):
    """What it is commanded of."""

    LANE = "lane"
    TENANT = "tenant"
    DEPLOYMENT = "deployment"


class _Setting(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    version: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
    """One more than what its writer saw in this place; 1 where there was nothing."""
    reason: Text = ""
    by: Text = ""
    """The operator."""
    at_ms: Number = 0
    """When it was written; of what was read: by the broker's clock (epoch ms)."""
    until_ms: Number = FOREVER_MS
    """When it ends by itself."""

    def holds(self, now_ms: int) -> bool:
        """Whether its time has not passed."""
        return now_ms < self.until_ms


class Pause(_Setting, frozen=True, kw_only=True, tag="pause"):
    """Nothing of a lane, tenant or deployment is to be started."""

    verb: Verb
    scope: Scope
    name: Word

    @property
    def place(self) -> str:
        """What it is set on."""
        return pause_place(self.scope, self.name)


class Limit(_Setting, frozen=True, kw_only=True, tag="limit"):
    """Other limits than the configuration's; None: as configured."""

    scope: Word
    """As the governor calls it: `east`, `pool account`, `model small`, `tenant acme`."""
    requests_per_minute: Amount | None = None
    input_tokens_per_minute: Amount | None = None
    output_tokens_per_minute: Amount | None = None
    tokens_per_minute: Amount | None = None
    concurrency: Amount | None = None

    @property
    def place(self) -> str:
        """What it is set on."""
        return limit_place(self.scope)

    def rates(self) -> dict[str, int]:
        """Those that are changed, by their names in the configuration."""
        amounts = {name: getattr(self, name) for name in SHARED}
        return {name: amount for name, amount in amounts.items() if amount is not None}


class Breaker(_Setting, frozen=True, kw_only=True, tag="breaker"):
    """The state that a deployment's breaker is to have; None: it decides again, from the beginning."""

    deployment: Word
    state: State | None

    @property
    def place(self) -> str:
        """What it is set on."""
        return breaker_place(self.deployment)


Setting = Pause | Limit | Breaker


def pause_place(scope: Scope, name: str) -> str:
    """Where a pause stands."""
    return f"pause/{scope.value}/{name}"


def limit_place(scope: str) -> str:
    """Where changed limits stand."""
    return f"limit/{scope}"


def breaker_place(deployment: str) -> str:
    """Where a forced state stands."""
    return f"breaker/{deployment}"


def key_of(setting: Setting, nonce: str) -> bytes:
    """The key of a record; `nonce` is used by nobody else and has no slash in it."""
    return f"{setting.place}/{setting.version}/{nonce}".encode()


def place_of(key: bytes) -> str:
    """The place that a record with this key is of."""
    return key.rsplit(b"/", 2)[0].decode(errors="replace")


class Kept(NamedTuple):
    """What counts in one place."""

    setting: Setting
    key: bytes


class Took(StrEnum):
    """What became of a record."""

    COUNTS = "counts"
    STALE = "stale"
    """Its writer had not seen what counts."""
    ENDED = "ended"
    """What counted was deleted."""
    DELETED = "deleted"
    """What did not count was."""
    UNREADABLE = "unreadable"
    """Damaged, of another version, or one place too many."""


_setting: msgspec.json.Decoder[Setting] = msgspec.json.Decoder(Setting)
_encode = msgspec.json.Encoder(order="deterministic").encode


def encode(setting: Setting) -> bytes:
    """The value of a record."""
    return _encode(setting)


def decode(value: bytes) -> Setting | None:
    """Read a record; None for what is none. Never raises."""
    if len(value) > MOST_BYTES:
        return None
    try:
        return read_value(_setting, value)
    except msgspec.MsgspecError:
        return None


class Settings:
    """All settings, folded from the log's records in their order."""

    def __init__(self) -> None:
        """Nothing is set."""
        self._kept: dict[str, Kept] = {}

    def take(self, key: bytes | None, value: bytes | None, stamp_ms: int) -> Took:
        """The next record of the log."""
        key = key or b""
        if value is None:
            return self._delete(key)
        setting = decode(value)
        if setting is None or place_of(key) != setting.place:
            return Took.UNREADABLE
        known = self._kept.get(setting.place)
        if known is None and len(self._kept) >= MOST:
            return Took.UNREADABLE
        if known is not None and setting.version <= known.setting.version:
            return Took.STALE
        self._kept[setting.place] = Kept(_by_the_broker(setting, stamp_ms), key)
        return Took.COUNTS

    def at(self, place: str) -> Kept | None:
        """What counts in a place, also when it has ended."""
        return self._kept.get(place)

    def version(self, place: str) -> int:
        """Of what counts there; 0: nothing does."""
        kept = self._kept.get(place)
        return kept.setting.version if kept is not None else 0

    @property
    def full(self) -> bool:
        """Whether no place can be added."""
        return len(self._kept) >= MOST

    def all(self) -> Iterator[Setting]:
        """What counts in each place, also what has ended."""
        return (kept.setting for kept in self._kept.values())

    def pauses(self, now_ms: int) -> list[Pause]:
        """Those in effect."""
        return [
            one
            for one in self.all()
            if isinstance(one, Pause) and one.verb is not Verb.RESUME and one.holds(now_ms)
        ]

    def limits(self, now_ms: int) -> dict[str, Limit]:
        """Changed limits in effect, by scope."""
        return {
            one.scope: one
            for one in self.all()
            if isinstance(one, Limit) and one.rates() and one.holds(now_ms)
        }

    def breakers(self, now_ms: int) -> dict[DeploymentName, Breaker]:
        """What is set on breakers now; a reset is there as well, with no state."""
        return {
            DeploymentName(one.deployment): one
            for one in self.all()
            if isinstance(one, Breaker) and one.holds(now_ms)
        }

    def next_end_ms(self, now_ms: int) -> int:
        """When the next setting ends by itself; `FOREVER_MS`: none does."""
        ends = (one.until_ms for one in self.all() if one.holds(now_ms))
        return min(ends, default=FOREVER_MS)

    def _delete(self, key: bytes) -> Took:
        place = place_of(key)
        kept = self._kept.get(place)
        if kept is None or kept.key != key:
            return Took.DELETED
        del self._kept[place]
        return Took.ENDED


def _by_the_broker(setting: Setting, stamp_ms: int) -> Setting:
    lasts_ms = setting.until_ms - setting.at_ms
    forever = setting.until_ms >= FOREVER_MS
    until_ms = FOREVER_MS if forever else min(stamp_ms + max(lasts_ms, 0), FOREVER_MS)
    return msgspec.structs.replace(setting, at_ms=stamp_ms, until_ms=until_ms)
