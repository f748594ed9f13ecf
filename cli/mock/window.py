"""The limits that the mock enforces per model: true sliding windows of requests and tokens, and seats.

A call admitted at `t` counts while `now - t < window_s`. A refused call does not count.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from headrace.cli.mock.script import Script

SEAT_RETRY_S = 1.0
MAX_MODELS = 1024


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a call may pass, and what the rate-limit headers say (zeros: no limit)."""

    admitted: bool
    retry_after_s: float = 0.0
    limit: int = 0
    remaining: int = 0
    reset_s: float = 0.0


@dataclass(slots=True)
class ModelLimit:
    """What one model has let pass: times in the window, the tokens of each, and seats in use."""

    passed_at: deque[float] = field(default_factory=deque)
    tokens: deque[int] = field(default_factory=deque)
    """Of the calls at `passed_at`."""
    taken: int = 0
    """Their sum."""
    seats: int = 0

    def admit(self, script: Script, now: float, tokens: int = 0) -> Admission:
        """Take a seat and a place in the windows, or nothing. `now` in monotonic seconds.

        `tokens` are those of the question and of the whole answer.
        """
        limit, passed = script.requests_per_minute, self.passed_at
        while passed and now - passed[0] >= script.window_s:
            passed.popleft()
            self.taken -= self.tokens.popleft()
        if script.concurrency and self.seats >= script.concurrency:
            return self._verdict(script, now, False, SEAT_RETRY_S)
        if limit and len(passed) >= limit:
            wait = passed[len(passed) - limit] + script.window_s - now
            return self._verdict(script, now, False, wait)
        if script.tokens_per_minute and self.taken + tokens > script.tokens_per_minute:
            return self._verdict(script, now, False, self._room_in_s(script, now, tokens))
        self.seats += 1
        if limit or script.tokens_per_minute:
            passed.append(now)
            self.tokens.append(tokens)
            self.taken += tokens
        return self._verdict(script, now, True, 0.0)

    def _room_in_s(self, script: Script, now: float, tokens: int) -> float:
        """When so many more tokens have room; a whole window where they never have."""
        over = self.taken + tokens - script.tokens_per_minute
        for passed_at, taken in zip(self.passed_at, self.tokens, strict=True):
            over -= taken
            if over <= 0:
                return passed_at + script.window_s - now
        return script.window_s

    def _verdict(self, script: Script, now: float, admitted: bool, wait: float) -> Admission:
        limit, passed = script.requests_per_minute, self.passed_at
        reset = passed[-1] + script.window_s - now if passed else 0.0
        return Admission(admitted, wait, limit, max(0, limit - len(passed)), reset)

    def leave(self) -> None:
        """Give the seat of an admitted call back."""
        self.seats -= 1


class Limits:
    """One `ModelLimit` a model name, the least recently used forgotten above MAX_MODELS."""

    def __init__(self) -> None:
        """Start with no history."""
        self._models: OrderedDict[str, ModelLimit] = OrderedDict()

    def of(self, model: str) -> ModelLimit:
        """The limit of `model`, made at its first call."""
        known = self._models.pop(model, None) or ModelLimit()
        self._models[model] = known
        if len(self._models) > MAX_MODELS:
            self._models.popitem(last=False)
        return known

    def clear(self) -> None:
        """Forget the windows; seats of running calls are given back to the forgotten objects."""
        self._models.clear()
