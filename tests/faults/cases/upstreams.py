"""Upstreams that throttle, are slow, break in the middle, or never answer."""

import asyncio
from dataclasses import replace
from statistics import quantiles

from faults.history.events import Way
from faults.history.target import Mix
from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import Play
from faults.rig.process import Process
from faults.rig.proxy import Way as TcpWay
from headrace.cli.mock.log import Outcome
from support.call_log import waits_ms
from support.http_client import Answered
from support.installation import chat

CLOCK_MS = 2
"""Two readings of a clock in whole milliseconds may hide so much."""
TOLERANCE_S = 0.5
ONE_CALL = {"small": {"retry": {"attempts": 1}}}
TIMEOUTS = {"first_byte_s": 2, "stall_s": 3, "total_s": 5}
BROKEN = (
    "cut", "fin", "no_done", "truncate", "malformed", "bad_utf8", "huge_line", "error_event",
    "stall_after",
)  # fmt: skip


@case(
    "F34",
    "429 with Retry-After in seconds, milliseconds, as a date, as garbage, of 10^9",
    "P6, clamped",
    shape=Shape(mock=""),
    smoke=True,
)
async def f34(play: Play) -> None:
    forms = {"retry_after=3": 3_000, "retry_after_ms=1500": 1_500, "retry_after=date+4": 3_000}
    scripts = [*forms, "retry_after=soon", "retry_after=1000000000"]
    bodies = [chat(script, user=f"fail=1x429;{script}") for script in scripts]
    answers = await asyncio.gather(*(play.ask(body) for body in bodies))
    told = dict(zip(scripts, answers, strict=True))
    for script, least_ms in forms.items():
        (wait_ms,) = waits_ms(play.calls(told[script].id)) or [0]
        play.expect(told[script].status == 200, f"{script}: status {told[script].status}")
        play.expect(wait_ms >= least_ms - CLOCK_MS, f"{script}: called again after {wait_ms} ms")
        play.in_time(wait_ms <= least_ms + 3_000, f"{script}: called again after {wait_ms} ms only")
    garbage = told["retry_after=soon"]
    play.expect(garbage.status == 200, f"garbage: status {garbage.status}")
    never = told["retry_after=1000000000"]
    play.expect(never.status == 429, f"10^9: status {never.status}")
    play.in_time(never.took_s < 5, f"10^9: it waited {never.took_s:.1f} s to fail")
    play.expect(len(play.calls(never.id)) == 1, "10^9: it was called again")


@case(
    "F37",
    "slow headers, slow first token, a stall, one byte a second",
    "each time-out fires within 0.5 s",
    shape=Shape(
        mock="", deployment={"timeouts": TIMEOUTS}, overlay={"models": ONE_CALL}, dispatchers=1
    ),
    smoke=True,
)
async def f37(play: Play) -> None:
    cases = {
        "latency_ms=60000": (True, 2.0),
        "ttft=60000": (True, 2.0),
        "fault=stall_after;after=4": (True, 3.0),
        "bytes_per_s=1;tokens=400": (True, 2.0),  # no event of it is whole by then
        "bytes_per_s=400;tokens=4000": (True, 5.0),
        "latency_ms=60001": (False, 5.0),
    }
    bodies = {
        script: chat(script, user=script, stream=stream) for script, (stream, _) in cases.items()
    }
    answers = await asyncio.gather(*(play.ask(body) for body in bodies.values()))
    for (script, body), answer in zip(bodies.items(), answers, strict=True):
        stream, expected_s = cases[script]
        await play.until(lambda body=body: all(one.finished for one in play.calls_with(body)), 10)
        (call,) = play.calls_with(body)
        assert call.finished is not None
        ran_s = (call.finished.finished_at - call.received.received_at) / 1000
        told = f"{script}: cut after {ran_s:.2f} s, not {expected_s} s"
        play.expect(ran_s >= expected_s - TOLERANCE_S, told)
        play.in_time(ran_s <= expected_s + TOLERANCE_S, told)
        play.expect(is_error(answer, stream), f"{script}: no error, but {answer.status}")


def is_error(answer: Answered, stream: bool) -> bool:
    """An error status, or a stream that ends with an error event and without [DONE]."""
    if answer.status != 200:
        return answer.status >= 500
    return stream and b'"error"' in answer.body and b"[DONE]" not in answer.body


@case(
    "F38",
    "streams that break in eleven ways after some chunks",
    "P11 P10",
    shape=Shape(
        mock="sign=1",
        deployment={"timeouts": {"stall_s": 3}},
        overlay={"models": ONE_CALL},
        upstream_proxy=True,
    ),
    smoke=True,
)
async def f38(play: Play) -> None:
    play.errors_allowed = frozenset(
        {"upstream_stream_broken", "upstream_timeout", "internal_error"}
    )
    for fault in BROKEN:
        script = f"tokens=40;tokens_per_s=80;after=12;fault={fault}"
        mix = Mix(ways={Way.STREAM: 1}, timeout_s=30, script=script)
        before = len(play.failures())
        async with play.load(4, 100, mix):
            pass
        errors = len(play.failures()) - before
        clean = fault == "huge_line"  # within every bound: it is passed on
        play.expect(clean or errors == 4, f"{fault}: {errors} of 4 streams ended with an error")
    for way in (TcpWay(reset_after=2_000), TcpWay(fin_after=2_000)):
        before = len(play.failures())
        proxy = play.fleet.upstream
        proxy.reset()  # counts begin with a connection
        proxy.treat(down=way)
        async with play.load(4, 100, Mix(ways={Way.STREAM: 1}, timeout_s=30, script="tokens=40")):
            pass
        proxy.treat()
        proxy.reset()
        errors = len(play.failures()) - before
        play.expect(errors == 4, f"{way}: {errors} of 4 streams ended with an error")
    answer = await play.ask(chat("after all of them"))
    play.expect(answer.status == 200, f"afterwards: status {answer.status}")


@case(
    "F39",
    "an upstream accepts calls and never answers",
    "its seats are freed, a healthy upstream's p99 is unchanged",
    shape=Shape(
        models=("small", "sick"),
        mock="latency_ms=50;sign=1",
        deployment={"timeouts": {"total_s": 4}},
        overlay={"models": {"sick": {"retry": {"attempts": 1}}}},
    ),
)
async def f39(play: Play) -> None:
    healthy = Mix(ways={Way.SYNC: 1}, timeout_s=30)
    async with play.load(300, 60, healthy):
        pass
    before = p99_ms(play)
    stalls = [chat(f"never {n}", model="sick", user="fault=stall") for n in range(80)]
    asking = [asyncio.create_task(play.ask(body)) for body in stalls]
    await play.until(lambda: sum(map(len, map(play.calls_with, stalls))) >= 64)
    skipped = len(play.events)
    async with play.load(300, 60, replace(healthy, seed=2)):
        pass
    after = p99_ms(play, skipped)
    answers = await asyncio.gather(*asking)
    statuses = {answer.status for answer in answers}
    play.expect(statuses == {504}, f"the sick upstream's callers got {statuses}")
    bar = 2 * before + 50
    play.expect(after <= bar, f"healthy p99 {after:.0f} ms beside it, {before:.0f} ms before")
    for dispatcher in play.fleet.dispatchers:
        await play.until_true(lambda one=dispatcher: is_idle(play, one), 5)
    gone = [call for body in stalls for call in play.calls_with(body)]
    left = [one for one in gone if not one.finished or one.finished.outcome is Outcome.ANSWERED]
    play.expect(not left, f"{len(left)} stalled calls were not cut")


async def is_idle(play: Play, dispatcher: Process) -> bool:
    """Whether it holds no seat at any upstream."""
    return await play.metric(dispatcher, "headrace_upstream_inflight_requests") == 0


def p99_ms(play: Play, skipped: int = 0) -> float:
    """Of the requests since the event number `skipped`."""
    began = {one.number: one.at for one in play.events[skipped:] if type(one).__name__ == "Invoke"}
    took = [
        one.at - began[one.number]
        for one in play.events[skipped:]
        if type(one).__name__ == "Ok" and one.number in began
    ]
    return quantiles(took, n=100)[-1]
