"""A call whose gate stayed closed was no attempt: the request stands where it stood."""

from headrace.dispatcher.ports import Call, CallEnd, Forward
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName
from support.attempting import attempts
from support.dispatch import tenure, waiting


class Closed:
    """An upstream whose gates are all closed."""

    async def call(self, _call: Call, _forward: Forward) -> CallEnd:
        return CallEnd(withheld=True)

    async def close(self) -> None:
        """Nothing is open."""


async def run(request: Waiting) -> list[str]:
    """What the loop is told of it."""
    told: list[str] = []
    await attempts(Closed()).run(
        request,
        DeploymentName("east"),
        freed=lambda: told.append("freed"),
        again=lambda _w, _at: False,
        back=lambda _w: told.append("back"),
    )
    return told


async def test_a_withheld_request_goes_back_and_is_no_attempt() -> None:
    owner = tenure()
    request = waiting(owner=owner)
    assert await run(request) == ["freed", "back"]
    assert (request.attempt, request.history) == (1, ())
    assert owner.running == {0: 0}


async def test_a_withheld_request_of_a_lost_partition_is_left_to_its_owner() -> None:
    owner = tenure()
    request = waiting(owner=owner)
    request.started = True
    owner.owned = False
    assert await run(request) == ["freed"]
    assert owner.running == {}
