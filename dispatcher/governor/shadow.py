"""Shadow mode: a rule that is tried out counts what it would have refused, and refuses nothing."""

from collections import Counter


class Shadow:
    """Counts by rule. The rules are few, and named in code."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.would_refuse: Counter[str] = Counter()

    def judge(self, rule: str, *, refuse: bool, shadow: bool) -> bool:
        """Whether to refuse, when `rule` says `refuse` and is in shadow mode or not."""
        if refuse:
            (self.would_refuse if shadow else self.refused)[rule] += 1
        return refuse and not shadow
