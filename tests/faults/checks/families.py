"""W8, W11, B1: children, what undoes, and bodies, as their histories and outputs tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.checks.steps import ROUNDING, at
from tests.faults.rig.evidence import (
    FINAL,
    LAST_EVENTS,
    UNDONE,
    Evidence,
    Stored,
    Violation,
    is_of_the_end,
    step_kind,
)

_UNDO = "undo/"
_BRANCHES = ("left", "right")
"""Names of the branches of every ``parallel``, in this order."""


def children_are_recorded(evidence: Evidence) -> Iterator[Violation]:
    """W11: a step has one child, which its parent recorded before it began."""
    owners = Counter((one.parent, one.parent_step) for one in evidence.stored.values() if one.parent)
    for (parent, step), count in owners.items():
        if count > 1:
            yield Violation("W11", f"{parent}: {step} has {count} children")
    for child in (one for one in evidence.stored.values() if one.parent):
        parent_ = evidence.stored.get(child.parent)
        if parent_ is None:
            yield Violation("W11", f"{child.id} is a child of {child.parent}, which is not stored")
        elif child.id not in _children(parent_).get(child.parent_step, []):
            yield Violation("W11", f"{child.id} is no child that {child.parent} knows of")
    for stored in evidence.stored.values():
        for step, ids in _children(stored).items():
            if len(ids) > 1:
                yield Violation("W11", f"{stored.id}: {step} chose the children {ids}")


def children_reach_their_parents(evidence: Evidence) -> Iterator[Violation]:
    """W11: a parent goes on when its child has ended, with its result; none ends beside an open child."""
    for stored in evidence.stored.values():
        children = _children(stored)
        for event in stored.of_kind("step_completed"):
            step, output = event["data"]["step_id"], event["data"]["output"]
            if step_kind(step) != "workflow":
                continue
            child = evidence.stored.get((children.get(step) or [""])[0])
            wanted = "CANCELLED" if _undoes(step) else "COMPLETED"
            if child is None or child.state != wanted:
                state = child.state if child else "not stored"
                yield Violation("W11", f"{stored.id}: {step} is completed, its child is {state}")
            elif (child.result or {}) != output:
                yield Violation("W11", f"{stored.id}: {step} gave {output}, its child {child.result}")
            elif at(child.events[-1]) > at(event) + ROUNDING:
                yield Violation("W11", f"{stored.id}: {step} was completed before its child")
        for child_id in (one for ids in children.values() for one in ids):
            child = evidence.stored.get(child_id)
            if child is not None and stored.state in FINAL and child.state not in FINAL:
                yield Violation("W11", f"{stored.id} is {stored.state}, its child {child_id} {child.state}")


IN_A_MOMENT = 3.0
"""How many seconds a child may go on when its parent has ended, with all servers up."""
BY_THE_SWEEP = 45.0
"""How many seconds it may when the server died that would have told it: others look twice a minute."""


def children_end_with_their_parents(evidence: Evidence) -> Iterator[Violation]:
    """W11: a child whose parent ends first is cancelled; no step of it begins long after that."""
    for child in evidence.stored.values():
        since = _not_needed_since(evidence, child)
        if since is None:
            continue
        patience = IN_A_MOMENT if evidence.is_calm(since - 1, since + IN_A_MOMENT) else BY_THE_SWEEP
        late = [it for it in child.of_kind("step_scheduled") if at(it) > since + patience]
        for event in (it for it in late if not is_of_the_end(it["data"]["step_id"])):
            step = event["data"]["step_id"]
            yield Violation(
                "W11", f"{child.id}: {step} began {at(event) - since:.1f} s after its parent ended"
            )
        over = at(child.events[-1]) > since + patience
        if child.state not in FINAL or (over and child.state != "CANCELLED"):
            yield Violation("W11", f"{child.id} is {child.state}, its parent has ended before")


def _not_needed_since(evidence: Evidence, child: Stored) -> float | None:
    """Return when the step of its parent was over that waited for it; None when it got to that itself."""
    parent = evidence.stored.get(child.parent)
    if parent is None:
        return None
    for event in parent.of_kind("step_completed", "step_failed", "execution_closing", *LAST_EVENTS):
        if event["data"].get("step_id") == child.parent_step:
            return None
        decided = event["kind"] == "execution_closing" and not _undoes(child.parent_step)
        if decided or event["kind"] in LAST_EVENTS:
            return at(event)
    return None


def _children(stored: Stored) -> dict[str, list[str]]:
    """Return the ids of children, by the paths of their steps."""
    found: dict[str, list[str]] = {}
    for event in stored.of_kind("step_waiting"):
        if child := event["data"].get("child_execution_id"):
            found.setdefault(event["data"]["step_id"], []).append(child)
    return found


def undone_in_reverse(evidence: Evidence) -> Iterator[Violation]:
    """W8: what failed or was cancelled is undone, all that was completed, and no more, newest first, once."""
    for stored in evidence.stored.values():
        completed = [event["data"]["step_id"] for event in stored.of_kind("step_completed")]
        done = [path for path in completed if _can_be_undone(path)]
        undone = [path for path in completed if _undoes(path)]
        decided = [event["data"]["outcome"] for event in stored.of_kind("execution_closing")]
        ends_well = not {stored.state, *decided} & {"FAILED", "CANCELLED"}
        wanted = [] if ends_well else [_UNDO + path for path in reversed(done)]
        if undone != (wanted if stored.state in FINAL else wanted[: len(undone)]):
            yield Violation("W8", f"{stored.id} completed {done} and undid {undone}")
        yield from _one_after_the_other(stored)
        yield from _undone_as_given(evidence, stored, set(wanted))


def _can_be_undone(path: str) -> bool:
    named = path.rpartition("/")[2] in UNDONE or step_kind(path) == "workflow"
    return named and not is_of_the_end(path)


def _one_after_the_other(stored: Stored) -> Iterator[Violation]:
    closing = stored.of_kind("execution_closing")
    if len(closing) > 1:
        yield Violation("W8", f"{stored.id} closed {len(closing)} times")
    running = ""
    for event in stored.of_kind("step_scheduled", "step_completed"):
        path = event["data"]["step_id"]
        if not is_of_the_end(path):
            if closing and event["number"] > closing[0]["number"]:
                yield Violation("W8", f"{stored.id}: {event['kind']} of {path} after the outcome was decided")
        elif event["kind"] == "step_completed" or not _undoes(path):
            running = ""
        elif running not in {"", path}:
            yield Violation("W8", f"{stored.id}: {path} began before {running} was done")
        else:
            running = path


def _undone_as_given(evidence: Evidence, stored: Stored, wanted: set[str]) -> Iterator[Violation]:
    outputs = _outputs(stored)
    for body in evidence.bodies_in.get(stored.id, []):
        if not _undoes(body.step):
            continue
        mark = outputs.get(body.step.removeprefix(_UNDO), {}).get("mark")
        if body.step not in wanted:
            yield Violation("W8", f"{stored.id}: {body.step} ran, and nothing was to be undone there")
        elif body.given.get("prior") != mark:
            yield Violation("W8", f"{stored.id}: {body.step} was given {body.given.get('prior')}, not {mark}")


def _undoes(path: str) -> bool:
    return path.startswith(_UNDO)


def _outputs(stored: Stored) -> dict[str, Mapping[str, Any]]:
    return {event["data"]["step_id"]: event["data"]["output"] for event in stored.of_kind("step_completed")}


def bodies_are_whole(evidence: Evidence) -> Iterator[Violation]:
    """B1: items and branches are recorded once, and what holds them gives them all, each at its place."""
    for stored in evidence.stored.values():
        last: dict[str, Any] = {}
        ended = Counter(event["data"]["scope"] for event in stored.of_kind("scope_completed", "scope_failed"))
        for scope, count in ended.items():
            if count > 1:
                yield Violation("B1", f"{stored.id}: {scope} ended {count} times")
        for event in stored.of_kind("step_completed"):
            path, output = event["data"]["step_id"], event["data"]["output"]
            if step_kind(path) == "map":
                yield from _all_there(stored, path, output["items"], _wanted_items(stored), last)
            elif step_kind(path) == "parallel":
                given = [output.get(name) for name in _BRANCHES]
                yield from _all_there(stored, path, given, len(_BRANCHES), last)
            last[path.rpartition("/")[0]] = output
        yield from _items_at_their_places(evidence, stored)


def _wanted_items(stored: Stored) -> int:
    return len(stored.of_kind("execution_started")[0]["data"]["input"]["items"])


def _all_there(
    stored: Stored, path: str, given: list[Any], count: int, last: Mapping[str, Any]
) -> Iterator[Violation]:
    wanted = [last.get(f"{path}[{number}]") for number in range(count)]
    if None in wanted or given != wanted:
        yield Violation("B1", f"{stored.id}: {path} gave {given}, what ran in it {wanted}")


def _items_at_their_places(evidence: Evidence, stored: Stored) -> Iterator[Violation]:
    """Compare which item each body was given: an item counts from its number."""
    for body in evidence.bodies_in.get(stored.id, []):
        scope, _, step = body.step.rpartition("/")
        if step == "one" and scope != f"each[{body.given['n']}]":
            yield Violation("B1", f"{stored.id}: {body.step} was given item {body.given['n']}")
