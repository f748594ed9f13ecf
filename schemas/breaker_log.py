"""The topic `breakers`, folded: the rows that count, the history, and what compaction may let go of.

Keys carry the epoch of their owner, so that each takeover leaves those of its predecessors behind;
an owner removes them (`outdated`), so that the topic is bounded however often owners change.
"""

from headrace.schemas.breakers import PAST, Row, Transition, decode, fold
from headrace.schemas.names import DeploymentName


class BreakerLog:
    """What was read of it so far."""

    def __init__(self) -> None:
        self.rows: dict[DeploymentName, Row] = {}
        """Of each deployment the row of the highest epoch."""
        self._places: dict[bytes, Row | Transition] = {}
        """What each key holds. Bounded by what owners leave on the topic."""

    def take(self, key: bytes | None, value: bytes | None) -> Row | Transition | None:
        """The next record of the topic; None for one that is removed or cannot be read."""
        if key is None:
            return None
        record = decode(value) if value else None
        if record is None:
            self._places.pop(key, None)
            return None
        self._places[key] = record
        self.rows = fold(self.rows, record)
        return record

    @property
    def epoch(self) -> int:
        """The highest epoch that has written anything; 0: none."""
        return max((record.epoch for record in self._places.values()), default=0)

    def history(self, deployment: DeploymentName | None = None) -> list[Transition]:
        """Transitions, the oldest first, of one deployment or of all."""
        found = [
            record
            for record in self._places.values()
            if isinstance(record, Transition) and deployment in (None, record.deployment)
        ]
        return sorted(found, key=lambda one: (one.at_ms, one.epoch, one.number))

    def outdated(self, epoch: int) -> list[bytes]:
        """Keys that say nothing any more once the owner of `epoch` has written all its rows.

        Older rows, and of each deployment's history all but the newest `PAST` transitions.
        """
        left: dict[DeploymentName, int] = {}
        places = sorted(self._places.items(), key=lambda place: _newest_first(place[1]))
        keys: list[bytes] = []
        for key, record in places:
            if isinstance(record, Row):
                if record.epoch < epoch:
                    keys.append(key)
                continue
            left[record.deployment] = left.get(record.deployment, PAST) - 1
            if left[record.deployment] < 0:
                keys.append(key)
        return keys


def _newest_first(record: Row | Transition) -> tuple[int, int, int]:
    if isinstance(record, Row):
        return 0, 0, 0
    return -record.at_ms, -record.epoch, -record.number
