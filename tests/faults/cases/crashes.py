"""Dispatchers that die at the worst moments, are replaced, or freeze."""

from faults.rig.case import case
from faults.rig.play import Play

TAKEOVER_S = 12.0


@case(
    "F18",
    "dispatcher kill -9 in the middle of calls",
    "P1 P3, takeover <= 12 s",
    smoke=True,
)
async def f18(play: Play) -> None:
    async with play.load(800, 100):
        await play.until_calls(200)
        at = await play.kill(play.fleet.dispatchers[0])
    play.recovers(play.last_end_s(at), TAKEOVER_S)
