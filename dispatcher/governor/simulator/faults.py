"""How faults strike a fleet."""

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.dispatcher.governor.simulator.story import Fault, Trouble
from headrace.dispatcher.governor.tree import Caps, Scope, Tree

if TYPE_CHECKING:
    from headrace.dispatcher.governor.simulator.governor import Governor
    from headrace.dispatcher.governor.simulator.run import Fleet


def strike(fleet: "Fleet", fault: Fault) -> None:
    """Let it happen."""
    until = fleet.places.clock.now + fault.lasts_ms
    match fault.trouble:
        case Trouble.KILL_OWNER | Trouble.FREEZE_OWNER | Trouble.RIVALS:
            _strike_owner(fleet, fault, until)
        case Trouble.STALL | Trouble.WIPE | Trouble.SET_CLOCK:
            _strike_logs(fleet, fault)
        case Trouble.CHANGE:
            _change(fleet, fault.number)
        case Trouble.CROWD:
            fleet.dispatchers += [fleet.new_dispatcher() for _ in range(fault.number)]
        case _:
            _strike_dispatcher(fleet, fault, until)


def _strike_owner(fleet: "Fleet", fault: Fault, until: int) -> None:
    if fault.trouble is Trouble.FREEZE_OWNER:
        owner = _owner(fleet)
        if owner is not None:
            owner.freeze_in_a_tick(until, fault.number)
        return
    if fault.trouble is Trouble.RIVALS:
        for governor in fleet.governors:
            governor.contest.rank = 0
    _kill_owner(fleet, until)


def _strike_logs(fleet: "Fleet", fault: Fault) -> None:
    places = fleet.places
    if fault.trouble is Trouble.WIPE:
        places.grants.wipe()
        places.witness.wiped()
        return
    for log in (places.grants, places.reports):
        if fault.trouble is Trouble.STALL:
            until = places.clock.now + min(fault.lasts_ms, 20_000)
            log.stalled_until = max(log.stalled_until, until)
        else:
            log.set_ms += 1000 * fault.number


def _owner(fleet: "Fleet") -> "Governor | None":
    owners = [one for one in fleet.governors if one.owner is not None]
    return owners[-1] if owners else None


def _kill_owner(fleet: "Fleet", until: int) -> None:
    owner = _owner(fleet)
    if owner is None:
        return
    owner.kill()
    number = fleet.governors.index(owner)

    def back() -> None:
        fleet.governors[number] = fleet.new_governor(number)

    fleet.places.clock.at(until, back)


def _strike_dispatcher(fleet: "Fleet", fault: Fault, until: int) -> None:
    number = fault.number % len(fleet.dispatchers)
    victim = fleet.dispatchers[number]
    if not victim.alive:
        return
    if fault.trouble is Trouble.FREEZE_DISPATCHER:
        victim.freeze(until)
    elif fault.trouble is Trouble.CUT_DISPATCHER:
        victim.cut(until)
    else:
        victim.kill()

        def back() -> None:
            fleet.dispatchers[number] = fleet.new_dispatcher()

        fleet.places.clock.at(until, back)


def _change(fleet: "Fleet", number: int) -> None:
    """All limits become half as high, or twice; governors learn of it one after the other."""
    places = fleet.places
    factor = (0.5, 2.0)[number % 2]
    fleet.tree = Tree(tuple(_scaled(scope, factor) for scope in fleet.tree.scopes))
    change = places.upstream.change(fleet.tree)
    late = 0
    for governor in fleet.governors:
        late += number * 5
        places.clock.at(places.clock.now + late, governor.change, fleet.tree)
    grace = places.story.timing.lookback_ms(fleet.tree.window_ms) + late + 60_000
    places.clock.at(places.clock.now + grace, places.upstream.tighten, change)


def _scaled(scope: Scope, factor: float) -> Scope:
    caps = {name.value: max(2, int(cap * factor)) for name, cap in scope.caps.named()}
    return replace(scope, caps=Caps(**caps))
