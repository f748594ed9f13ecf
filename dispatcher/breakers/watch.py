"""One call as the breaker of its deployment sees it."""

from collections.abc import Callable

from headrace.dispatcher.breakers.switch import Switch
from headrace.dispatcher.governor.breaker.recorder import Started
from headrace.dispatcher.governor.effects import PROBE_ENDS, BreakerEffect, effects_of
from headrace.dispatcher.ports import CallEnd, Clock, Forward
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.breakers import Probe, ProbeEnd, State


class Watch:
    """From the decision to make it to its end. It stands in the way of every call, and never waits."""

    __slots__ = (
        "_clock",
        "_forward",
        "_news",
        "_over",
        "_probe",
        "_started",
        "_switch",
        "_waiting",
    )

    def __init__(
        self,
        switch: Switch,
        waiting: Waiting,
        clock: Clock,
        news: Callable[[Switch, int], None],
    ) -> None:
        """`news` is called, with the time, when the owner should hear of something soon."""
        self._switch = switch
        self._waiting = waiting
        self._clock = clock
        self._news = news
        self._started: Started | None = None
        self._forward: Forward | None = None
        self._over = False
        self._probe: Probe | None = None
        if switch.state is State.HALF_OPEN:
            self._probe = switch.probe(clock.now_ms())
            if self._probe is not None:
                switch.use(self._probe)

    def sent(self) -> None:
        """The call is made."""
        waiting, now_ms = self._waiting, self._clock.now_ms()
        self._switch.sent(now_ms)
        self._started = self._switch.recorder.start(
            waiting.record.tenant, now_ms, stream=waiting.stream
        )

    def forwarding(self, forward: Forward) -> Forward:
        """`forward`, which takes the pieces of a stream, with a look at the first one."""
        if not self._waiting.stream:
            return forward
        self._forward = forward
        return self._forwarded

    def ended(self, end: CallEnd | None) -> None:
        """The call has ended, once; None: it was aborted."""
        if self._started is None or self._over:
            return
        self._over = True
        now_ms = self._clock.now_ms()
        withheld = end is not None and end.withheld
        if withheld:
            end = None
        effect = effects_of(end, overdue=now_ms >= self._waiting.deadline_ms).breaker
        self._switch.recorder.end(self._started, effect, now_ms)
        news = self._switch.ended(end, effect, self._started.at_ms, now_ms)
        if self._probe is not None:
            self._tell(ProbeEnd.RENOUNCED if withheld else PROBE_ENDS[effect], now_ms)
        elif news:
            self._news(self._switch, now_ms)

    def close(self) -> None:
        """The call has ended or will not be made. May come twice."""
        if self._over:
            return
        if self._started is not None:
            self.ended(None)
            return
        self._over = True
        if self._probe is not None:
            self._tell(ProbeEnd.RENOUNCED, self._clock.now_ms())

    def _forwarded(self, piece: bytes) -> None:
        started, forward = self._started, self._forward
        if started is not None and not started.begun:
            now_ms = self._clock.now_ms()
            self._switch.recorder.first_byte(started, now_ms)
            if self._probe is not None:
                # The rest of a stream may take longer than a probe lives.
                self._tell(PROBE_ENDS[BreakerEffect.SUCCESS], now_ms)
        if forward is not None:
            forward(piece)

    def _tell(self, end: ProbeEnd, now_ms: int) -> None:
        probe = self._probe
        if probe is not None:
            self._switch.ends.setdefault(probe.number, end)
            self._news(self._switch, now_ms)
