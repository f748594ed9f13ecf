"""The virtual clock: time jumps, frozen processes stand still, killed ones are gone."""

import asyncio
import contextvars

import pytest
from simulation.clock import CURRENT, Deadlock, Process, VirtualLoop


def spawn(loop: VirtualLoop, process: Process, work: list[float], pause_s: float) -> None:
    """A task of `process` that notes the time after each of three pauses."""

    async def run() -> None:
        for _ in range(3):
            await asyncio.sleep(pause_s)
            work.append(loop.time())

    context = contextvars.copy_context()
    context.run(CURRENT.set, process)
    loop.create_task(run(), context=context)


@pytest.fixture
def loop() -> VirtualLoop:
    return VirtualLoop()


def test_an_hour_passes_at_once(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.time() == 3600
    loop.close()


def test_a_frozen_process_goes_on_where_it_stood(loop: VirtualLoop) -> None:
    process, times = Process("p"), []
    spawn(loop, process, times, 1.0)
    loop.call_later(1.5, loop.freeze, process)
    loop.call_later(9.0, loop.thaw, process)
    loop.run_until_complete(asyncio.sleep(20))
    assert times == [1.0, 9.0, 10.0]
    loop.close()


def test_a_killed_process_does_nothing_any_more(loop: VirtualLoop) -> None:
    process, times = Process("p"), []
    spawn(loop, process, times, 1.0)
    loop.call_later(1.5, loop.kill, process)
    loop.run_until_complete(asyncio.sleep(20))
    assert times == [1.0]
    loop.unwind([process])


def test_a_loop_in_which_nothing_can_happen_says_so(loop: VirtualLoop) -> None:
    with pytest.raises(Deadlock):
        loop.run_until_complete(loop.create_future())
    loop.close()
