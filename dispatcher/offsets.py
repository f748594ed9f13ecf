"""Which offsets of one partition are done, so that only a contiguous finished prefix is committed (P4).

No I/O. Offsets are told in the order they are read; gaps between them (control records, aborted
transactions) hold no work and count as done.
"""

from collections import deque
from collections.abc import Iterable


class OffsetTracker:
    """The open window of one partition.

    `watermark` is the lowest offset that may not be passed by a commit: each offset below it is done.
    """

    def __init__(self, position: int, done: Iterable[int] = ()) -> None:
        """Read from `position` on; offsets in `done` were finished by an earlier owner."""
        self._window: deque[int] = deque()
        self._done: set[int] = {offset for offset in done if offset >= position}
        self.next_offset = self.expected = position

    @property
    def watermark(self) -> int:
        """First offset that is not done."""
        return self._window[0] if self._window else self.next_offset

    @property
    def done_ahead(self) -> int:
        """How many offsets are done behind the first one that is not."""
        return len(self._done)

    def done_offsets(self) -> list[int]:
        """Those behind the first one that is not done."""
        return sorted(self._done)

    def is_done(self, offset: int) -> bool:
        """Whether `offset`, which was read, is done."""
        return offset in self._done or offset < self.watermark

    @property
    def span(self) -> int:
        """Offsets between the watermark and the newest one read: what the window bound is set on."""
        return self.next_offset - self.watermark

    def read(self, offset: int) -> bool:
        """Take note that `offset` was read; False if it is done already or was read before."""
        if offset < self.next_offset:
            return False
        self.next_offset = offset + 1
        if offset in self._done:
            if not self._window:
                self._done.discard(offset)
            else:
                self._window.append(offset)
            return False
        self._window.append(offset)
        return True

    def finish(self, offset: int) -> None:
        """`offset` has its outcome. Twice is harmless; one not read yet is remembered."""
        if offset < self.watermark:
            return
        self._done.add(offset)
        window, done = self._window, self._done
        while window and window[0] in done:
            done.discard(window.popleft())

    def done_ranges(self) -> list[tuple[int, int]]:
        """Done offsets at or above the watermark as half-open ranges, ascending."""
        # Done offsets that turned out to be gaps (their records are gone) are not met by any read.
        self._done = {offset for offset in self._done if offset >= self.watermark}
        ranges: list[tuple[int, int]] = []
        for offset in sorted(self._done):
            if ranges and ranges[-1][1] == offset:
                ranges[-1] = (ranges[-1][0], offset + 1)
            else:
                ranges.append((offset, offset + 1))
        return ranges
