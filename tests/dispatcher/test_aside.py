"""How many of those that are put aside are older than another: by what is still aside."""

from msgspec import structs

from headrace.dispatcher.aside import MOST_LUMPS, Aside, age_of
from headrace.dispatcher.waiting import Waiting
from support.dispatch import APPENDED_MS, waiting


def some(ranks: range, due_ms: range) -> list[Waiting]:
    """Requests of these ranks that are due one after the other."""
    lump = []
    for rank, due in zip(ranks, due_ms, strict=True):
        one = waiting()
        one.source = structs.replace(one.source, timestamp_ms=rank)
        one.due_ms = APPENDED_MS + due
        lump.append(one)
    return lump


def aside(*lumps: list[Waiting]) -> Aside:
    """Of some lumps."""
    made = Aside()
    for lump in lumps:
        made.add(lump)
    return made


def test_older_ones_are_counted_and_younger_ones_are_not() -> None:
    made = aside(some(range(100, 110), range(10)), some(range(200, 205), range(10, 15)))
    older = made.older(APPENDED_MS - 1)
    assert [older(rank) for rank in (99, 150, 300)] == [0, 10, 15]


def test_those_that_are_back_are_not_counted() -> None:
    made = aside(some(range(100, 110), range(0, 1000, 100)))
    assert round(made.older(APPENDED_MS + 450)(200)) == 5
    # The five that are still aside are younger than those that are back.
    assert made.older(APPENDED_MS + 450)(104) == 0
    assert made.older(APPENDED_MS + 900)(200) == 0


def test_those_of_one_millisecond_have_an_order() -> None:
    first, second = some(range(100, 101), range(1)), some(range(100, 101), range(1))
    first[0].source = structs.replace(first[0].source, offset=7)
    second[0].source = structs.replace(second[0].source, offset=8)
    older = aside(first, second).older(APPENDED_MS - 1)
    assert [older(age_of(one)) for one in first + second] == [0, 1]


def test_those_that_are_all_back_are_forgotten() -> None:
    made = aside(some(range(100, 110), range(10)))
    made.forget(APPENDED_MS + 8)
    assert made
    made.forget(APPENDED_MS + 9)
    assert not made


def test_however_many_there_are_few_lumps_are_kept() -> None:
    every = 10 * MOST_LUMPS
    made = aside(*(some(range(at, at + 1), range(at, at + 1)) for at in range(every)))
    assert len(made._lumps) <= MOST_LUMPS
    older = made.older(APPENDED_MS - 1)
    assert older(every) == every
    assert abs(older(every // 4) - every // 4) < every // 20
