"""How often each request was seen: an attempt number per body digest, in bounded memory."""

from collections import OrderedDict


class Attempts:
    """Counts calls per digest; above `capacity` the digest unseen for longest starts again at 1."""

    def __init__(self, capacity: int) -> None:
        """Remember at most `capacity` digests."""
        self._capacity = capacity
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def count(self, digest: bytes) -> int:
        """The number of this call among those with `digest`, from 1."""
        attempt = self._seen.pop(digest, 0) + 1
        self._seen[digest] = attempt
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return attempt

    def clear(self) -> None:
        """Forget all of them."""
        self._seen.clear()
