"""Runs `headrace` with faults inside the process, at points no signal from outside could hit.

`RIG_ARMS` holds words, separated by `;`:

    kill=before:final:5    SIGKILL instead of sending the 5th final reply
    kill=after:delay:1     SIGKILL when Kafka has acknowledged the 1st retry record
    crash=WORD             SIGSEGV when a body with WORD in it is decoded
    block_s=30             SIGUSR1 stops the event loop for so long
    clock_s=-3600          the wall clock is wrong by so much, for all that asks Python for the time

The kinds of records are `final`, `delay`, `dead`. Nothing of Headrace is replaced: the points are
in the Kafka client, in the decoder of bodies, and in the module `time`.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer

KINDS: dict[str, Callable[[str, dict[str, bytes]], bool]] = {
    "final": lambda _, headers: headers.get("headrace-final") == b"1",
    "delay": lambda topic, _: ".delay." in topic,
    "dead": lambda topic, _: topic.endswith("dead-letters"),
}


def arm(words: str) -> None:
    """Put every fault in its place."""
    for word in filter(None, words.split(";")):
        name, _, value = word.partition("=")
        ARMS[name](value)


def arm_kill(value: str) -> None:
    """See the module."""
    when, kind, number = value.split(":")
    left = int(number)
    matches = KINDS[kind]
    send = AIOKafkaProducer.send

    async def killing(self: Any, topic: str, *more: Any, headers: Any = None, **named: Any) -> Any:
        nonlocal left
        wanted = matches(topic, dict(headers or ()))
        left -= wanted
        strikes = wanted and left == 0  # others come while this one is sent
        if strikes and when == "before":
            die()
        ack = await send(self, topic, *more, headers=headers, **named)
        if strikes:
            asyncio.ensure_future(ack).add_done_callback(lambda _: die())
        return ack

    AIOKafkaProducer.send = killing


def arm_crash(value: str) -> None:
    """See the module."""
    from headrace.dispatcher import intake

    decode = intake._routing.decode
    killer = value.encode()

    class Crashing:
        def decode(self, body: bytes) -> intake.Routing:
            if killer in body:
                os.kill(os.getpid(), signal.SIGSEGV)
            return decode(body)

    intake._routing = Crashing()


def arm_block(value: str) -> None:
    """See the module."""
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(float(value)))


def arm_clock(value: str) -> None:
    """See the module. The clock that only runs on is left alone, as in a step of the wall clock."""
    off_s, wall, wall_ns = float(value), time.time, time.time_ns
    time.time = lambda: wall() + off_s
    time.time_ns = lambda: wall_ns() + round(off_s * 1e9)


def die() -> None:
    """As kill -9 would."""
    os.kill(os.getpid(), signal.SIGKILL)


ARMS = {"kill": arm_kill, "crash": arm_crash, "block_s": arm_block, "clock_s": arm_clock}

if __name__ == "__main__":
    arm(os.environ["RIG_ARMS"])
    from headrace.cli.main import main

    main()
