"""W8, W11, B1: children, what undoes, and bodies, as their histories and outputs tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.checks.steps import ROUNDING, at
from tests.faults.rig.evidence import FINAL, UNDONE, Evidence, Stored, Violation, step_kind

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
            if child is None or child.state != "COMPLETED":
                state = child.state if child else "not stored"
                yield Violation("W11", f"{stored.id}: {step} is completed, its child is {state}")
            elif child.result != output:
                yield Violation("W11", f"{stored.id}: {step} gave {output}, its child {child.result}")
            elif at(child.events[-1]) > at(event) + ROUNDING:
                yield Violation("W11", f"{stored.id}: {step} was completed before its child")
        for child_id in (one for ids in children.values() for one in ids):
            child = evidence.stored.get(child_id)
            if child is not None and stored.state in FINAL and child.state not in FINAL:
                yield Violation("W11", f"{stored.id} is {stored.state}, its child {child_id} {child.state}")


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
        done = [path for path in completed if path.rpartition("/")[2] in UNDONE and not _undoes(path)]
        undone = [path for path in completed if _undoes(path)]
        ends_well = stored.state not in {"FAILED", "CANCELLED"} and not stored.of_kind("execution_closing")
        wanted = [] if ends_well else [_UNDO + path for path in reversed(done)]
        if undone != (wanted if stored.state in FINAL else wanted[: len(undone)]):
            yield Violation("W8", f"{stored.id} completed {done} and undid {undone}")
        yield from _one_after_the_other(stored)
        yield from _undone_as_given(evidence, stored, set(wanted))


def _one_after_the_other(stored: Stored) -> Iterator[Violation]:
    closing = stored.of_kind("execution_closing")
    if len(closing) > 1:
        yield Violation("W8", f"{stored.id} closed {len(closing)} times")
    running = ""
    for event in stored.of_kind("step_scheduled", "step_completed"):
        path = event["data"]["step_id"]
        if not _undoes(path):
            if closing and event["number"] > closing[0]["number"]:
                yield Violation("W8", f"{stored.id}: {event['kind']} of {path} after the outcome was decided")
        elif event["kind"] == "step_completed":
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
