"""What the lists within a step begin with, and what the step gives when they are done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from weft.core.reasons import Rule
from weft.server.workflow import kinds
from weft.server.workflow.checks.basis.catalog import ANY_PORTS
from weft.server.workflow.checks.basis.compat import ALL_TYPES, FRACTION, disjoint, show_types
from weft.server.workflow.checks.basis.places import Listing, Spot
from weft.server.workflow.checks.basis.shapes import ANY_VALUE, Shape, Value, made, text_or, union
from weft.server.workflow.checks.data.here import Here
from weft.server.workflow.checks.data.mapping import check_shape
from weft.server.workflow.checks.data.state import Room, State

__all__ = ["Ends", "RunList", "container_value"]

_NUMBER: Final = text_or("integer")
_LIST: Final = frozenset({"array"})
_ITEMS: Final = frozenset({"array", "object"})
_INTEGERS: Final = frozenset({"integer", FRACTION})
_NULL: Final = Value(frozenset({"null"}))
_NOTHING: Final = made({})
_ITEM_ERROR: Final = made(
    {
        "index": text_or("integer"),
        "reason": text_or("string"),
        "message": text_or("string"),
        "code": text_or("string"),
    }
)


@dataclass(frozen=True, slots=True)
class Ends:
    """How a list ends, over all its ways."""

    value: Value = ANY_VALUE
    """What it gives."""
    state: State | None = None
    """What is there then; none when it never ends."""


@dataclass(slots=True)
class Outcome:
    """What a container gives, and what it leaves."""

    value: Value
    """Its output."""
    sets: int = 0
    """The steps with `set` in it that have certainly run when it is completed."""
    joint_sets: frozenset[str] = field(default_factory=frozenset)
    """Variables that are certainly set then."""


RunList = Callable[[Listing, State, Room], Ends]
"""Looks at the steps of a list."""


def container_value(here: Here, run: RunList) -> Outcome | None:
    """Check the lists of a step; return what it gives, nothing for a step without lists."""
    match here.place.step.does:
        case kinds.Parallel() as parallel:
            return _parallel(here, parallel, run)
        case kinds.Map() as map_:
            return _map(here, map_, run)
        case kinds.Loop() as loop:
            return _loop(here, loop, run)
        case _:
            return None


def _entry(here: Here) -> State:
    """Return what a list in the step begins with: others may have set variables at the same time."""
    if here.room.lost:
        return here.state
    return replace(here.state, set_maybe=here.state.set_maybe | here.desk.ledger.inside(here.place))


def _parallel(here: Here, parallel: kinds.Parallel, run: RunList) -> Outcome:
    entry = _entry(here)
    ends = [run(body, entry, here.room) for body in here.place.bodies]
    all_of_them = parallel.join in {0, len(parallel.branches)} and not parallel.collect_errors
    names = [branch.name for branch in parallel.branches]
    members = {name: end.value for name, end in zip(names, ends, strict=True) if name}
    optional = set[str]() if all_of_them else set(names)
    if parallel.collect_errors:
        members["errors"] = Value(frozenset({"object"}))  # is there when a branch has failed
        optional.add("errors")
    outcome = Outcome(made(members, optional=optional))
    if all_of_them:
        for end in ends:
            if end.state is not None:
                outcome.sets |= end.state.set_sure
                outcome.joint_sets |= end.state.joint_sets
    return outcome


def _loop(here: Here, loop: kinds.Loop, run: RunList) -> Outcome:
    body = here.place.bodies[0]
    room = replace(here.room, iteration=True)
    entry = _entry(here)
    if not here.room.lost:
        before = sum(1 << place.index for place in body.order)
        entry = replace(entry, maybe=entry.maybe | before)
    ends = run(body, entry, room)
    inner = _within(here, entry, room)
    here.desk.texts.condition(loop.while_, "loop.while", inner.visible(), here.spot)
    after = _within(here, ends.state or entry, room)
    here.desk.texts.condition(loop.until, "loop.until", after.visible(), here.spot)
    if loop.until and ends.state is not None:
        value = made({"iterations": _NUMBER, "last": ends.value})
        return Outcome(value, ends.state.set_sure, ends.state.joint_sets)
    return Outcome(made({"iterations": _NUMBER, "last": union([ends.value, _NOTHING])}))


def _within(here: Here, state: State, room: Room) -> Here:
    """Return the step as it is seen from a list in it."""
    return replace(here, state=state, room=room)


def _map(here: Here, map_: kinds.Map, run: RunList) -> Outcome:
    item = _item(here, map_.items)
    room = replace(here.room, items=(*here.room.items, (here.place.first, item)))
    inner = _within(here, _entry(here), room)
    given = ANY_VALUE
    for body in here.place.bodies:
        given = run(body, inner.state, room).value
    if map_.workflow is not None:
        given = _child(inner, map_.workflow, item)
    element = given if map_.tolerated_failures == 0 else union([given, _NULL])
    members = {
        "items": Value(_LIST, None, element),
        "count": _NUMBER,
        "failed": _NUMBER,
        "errors": Value(_LIST, None, _ITEM_ERROR),
    }
    if map_.discard_outputs:
        del members["items"]
    return Outcome(made(members))


def _child(here: Here, child: kinds.Child, item: Value) -> Value:
    """Check what the workflow of a map is given: the step's `input`, or the item."""
    ports = here.desk.children.ports(child) or ANY_PORTS
    label = f"the workflow {child.name!r}"
    given = here.place.step.input
    if given is not None:
        here.takes(label, ports, "", given, here.visible())
    elif "object" not in item.types:
        message = f"the item is {show_types(item.types)}, and the input of {label} is an object"
        here.spot.add("map.items", Rule.TYPE_MISMATCH, message, "give the step an `input`")
    else:
        spot = Spot(here.place.at, here.spot.path_of("map.items"), here.desk.report)
        check_shape(spot, label, ports.input, item.shape)
    return Value(frozenset({"object"}), ports.output)


def _item(here: Here, items: Any) -> Value:
    """Check what a map goes over; return what is known of an item."""
    gives = here.desk.texts.value(items, "map.items", here.visible(), here.spot)
    if isinstance(items, dict):
        _check_range(here, gives.shape)
        return _NUMBER
    if isinstance(items, str) and "${" in items and disjoint(gives.types, _ITEMS):
        message = f"it is {show_types(gives.types)}, and a map goes over a list or a range"
        here.spot.add("map.items", Rule.TYPE_MISMATCH, message)
    if "object" in gives.types and gives.types != ALL_TYPES:
        return union([gives.element, _NUMBER]) if "array" in gives.types else _NUMBER
    return gives.element


def _check_range(here: Here, given: Shape) -> None:
    for name in ("from", "to", "step"):
        if name in given.names and disjoint(given.types(name), _INTEGERS):
            spot = Spot(here.place.at, here.spot.path_of(f"map.items.{name}"), here.desk.report)
            message = f"it is {show_types(given.types(name))}, and a range goes over whole numbers"
            if given.types(name) and isinstance(here.place.step.does, kinds.Map):
                _note_range(spot, here.place.step.does.items.get(name), message)


def _note_range(spot: Spot, written: object, message: str) -> None:
    """Report an expression that gives no number; what is literal is reported by its form."""
    if isinstance(written, str) and "${" in written:
        spot.add("", Rule.TYPE_MISMATCH, message)
