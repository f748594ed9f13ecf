"""The timer wheel of the stream upstream."""

from benchmarks.upstream.wheel import Wheel


def test_an_item_is_due_once_a_turn_and_first_a_whole_turn_later() -> None:
    wheel: Wheel[str] = Wheel(20, tick=100)
    wheel.add("a")
    due_at = [tick for tick in range(101, 181) if list(wheel.due(tick))]
    assert due_at == [120, 140, 160, 180]


def test_late_ticks_are_made_up_for() -> None:
    wheel: Wheel[str] = Wheel(20, tick=0)
    wheel.add("a")
    assert list(wheel.due(60)) == ["a", "a", "a"]
    assert list(wheel.due(60)) == []


def test_a_removed_item_is_not_due_any_more() -> None:
    wheel: Wheel[str] = Wheel(20, tick=0)
    wheel.add("a")
    wheel.add("b")
    wheel.remove("a")
    wheel.remove("a")
    assert list(wheel.due(20)) == ["b"]
