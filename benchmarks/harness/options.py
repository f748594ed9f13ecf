"""What a run of the bench was asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Defaults make a run of about five minutes."""

    pairs: int = 6
    """Alternating rounds of B1, B2 and B3; fewer than five judge nothing."""
    stream_rounds: int = 4
    seconds: float = 5.0
    """Length of one measured window."""
    warm_s: float = 0.5
    """Load before each measured part."""
    connections: int = 50
    streams: int = 200
    stream_rate: int = 50
    """Tokens a second in each stream."""
    stream_tokens: int = 100
    seed: int = 1
    control: bool = False
    """Run a second bare loop in place of the product: every ratio must be about 1."""
    limited: bool = False
    """The product's deployments have a limit by the minute, far away, and a governor hands out credits."""
    profile: Path | None = None
    """Folder for the product's profiles."""

    @property
    def stream_s(self) -> float:
        """How long one stream lasts."""
        return self.stream_tokens / self.stream_rate


MIN_PAIRS = 5
