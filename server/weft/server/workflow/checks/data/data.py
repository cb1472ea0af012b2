"""Follows the data of a definition through its lists of steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from weft.server.workflow.checks.basis.places import Listing, Place, Spot, Target
from weft.server.workflow.checks.basis.report import AFTER_STEPS
from weft.server.workflow.checks.basis.shapes import Value, made, union
from weft.server.workflow.checks.data.containers import Ends, Outcome, container_value
from weft.server.workflow.checks.data.here import Desk, Here
from weft.server.workflow.checks.data.leaves import check_compensation, check_keys, leaf_value
from weft.server.workflow.checks.data.promise import check_result
from weft.server.workflow.checks.data.state import START, Room, State
from weft.server.workflow.kinds import Fail, SetVariables, Succeed

__all__ = ["DataCheck"]

_NOTHING: Final = made({})


@dataclass(frozen=True, slots=True)
class _End:
    """One way to the end of a list."""

    place: Place
    """Its last step."""
    value: Value
    """What the list gives then."""
    state: State
    """What is there."""
    handled: bool
    """Whether the step failed."""


@dataclass(frozen=True, slots=True)
class _Left:
    """What a step leaves behind."""

    value: Value
    """What it gives."""
    done: State
    """What is there when it is completed."""
    failed: State
    """What is there when it has failed, and that is handled."""


class DataCheck:
    """Looks at every expression and every input of a definition.

    Args:
        desk: What it needs.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def check(self) -> None:
        """Check the workflow's own list, then ``finally``, and what they promise."""
        whole, ledger = self._desk.whole, self._desk.ledger
        ledger.number(whole.top)
        all_own = sum(1 << place.index for place in whole.top.order)
        ledger.number(whole.last)
        for end in self._run(whole.top, START, Room()):
            self._check_end(end)
        for _ in self._run(whole.last, _end_state(all_own, ledger.setters), Room()):
            pass

    def _check_end(self, end: _End) -> None:
        label = f"the output of the last step {end.place.step.id!r}"
        if end.handled:
            label = f"the end behind a failure of {end.place.step.id!r}"
        spot = Spot(AFTER_STEPS, "", self._desk.report)
        check_result(spot, "output_schema", label, end.value.shape, self._desk.result)

    def _run(self, listing: Listing, state: State, room: Room) -> list[_End]:
        """Check the steps of a list in the order they run, then those that nothing leads to."""
        arriving: dict[int, list[State]] = defaultdict(list)
        ends: list[_End] = []
        for place in listing.order:
            states = arriving.pop(place.at, [])
            here = self._here(place, state if place is listing.order[0] else self._merged(states), room)
            left = self._step(here)
            for target in _ways(place):
                after = left.failed.handled() if target.handles else left.done
                following = listing.by_id.get(target.id)
                if following is not None:
                    arriving[following.at].append(after)
                elif not target.id:
                    value = _NOTHING if target.handles else left.value
                    ends.append(_End(place, value, after, target.handles))
        self._run_lost(listing, room)
        return ends

    def _run_lost(self, listing: Listing, room: Room) -> None:
        reached = {place.at for place in listing.order}
        for place in listing.places:
            if place.at not in reached:
                self._step(self._here(place, START, replace(room, lost=True)))

    def _merged(self, states: list[State]) -> State:
        return self._desk.ledger.merge(states) or START

    def _here(self, place: Place, state: State, room: Room) -> Here:
        return Here(desk=self._desk, place=place, state=state, room=room)

    def _run_body(self, listing: Listing, state: State, room: Room) -> Ends:
        ends = self._run(listing, state, room)
        merged = self._desk.ledger.merge([end.state for end in ends])
        return Ends(union([end.value for end in ends]), merged) if ends else Ends()

    def _step(self, here: Here) -> _Left:
        """Check one step; return what it leaves."""
        place, ledger = here.place, self._desk.ledger
        self._desk.children.check(place, here.spot)
        outcome = container_value(here, self._run_body) or Outcome(leaf_value(here))
        check_keys(here)
        value = outcome.value
        if place.step.output is not None:
            value = here.object(place.step.output, "output", here.visible(output=value))
        if here.room.lost:
            check_compensation(here, here.state, value)
            return _Left(value, here.state, here.state)
        inside = ledger.inside(place)
        if isinstance(place.step.does, SetVariables):
            for name in place.step.does.values:
                ledger.note_variable(place, name, outcome.value.shape.member(name))
        ledger.note(place, value)
        failed = replace(here.state, set_maybe=here.state.set_maybe | inside)
        done = replace(
            failed,
            set_sure=failed.set_sure | outcome.sets,
            joint_sets=failed.joint_sets | outcome.joint_sets,
        ).after(place.index, sets=isinstance(place.step.does, SetVariables))
        check_compensation(here, done, value)
        return _Left(value, done, failed)


def _end_state(own: int, setters: int) -> State:
    """Return what is there for ``finally``: an execution may end at any step, and with a failure."""
    return State(maybe=own, set_maybe=setters, error_maybe=True)


def _ways(place: Place) -> Iterator[Target]:
    """Yield the ways on from a step, each once."""
    if isinstance(place.step.does, Fail | Succeed) and not place.step.on_error:
        return
    seen: set[tuple[str, bool]] = set()
    for target in place.targets:
        if (target.id, target.handles) not in seen:
            seen.add((target.id, target.handles))
            yield target
