"""Wait for what must come true, with a deadline: the only place where a test may sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")


async def eventually(
    condition: Callable[[], Value | Awaitable[Value]],
    *,
    within_s: float = 30.0,
    every_s: float = 0.02,
) -> Value:
    """Call `condition` (plain or async) until its value is true; return that value.

    Errors: `AssertionError` with the last value once `within_s` has passed. What the
    condition raises is raised at once.
    """
    give_up_at = time.monotonic() + within_s
    while True:
        answer = condition()
        value: Value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() >= give_up_at:
            raise AssertionError(f"not within {within_s} s: {condition!r}, last value {value!r}")
        await asyncio.sleep(every_s)
