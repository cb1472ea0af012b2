"""Where an execution that repeats another one begins, and what it takes over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.server.execution.history.model import Event, Execution, StepCompleted, StepReused
from weft.server.execution.history.paths import FINALLY, UNDO, scope_of
from weft.server.execution.history.plan import RUN_SUFFIX, Plan, PlannedStep
from weft.server.workflow.kinds import SetVariables

__all__ = ["resume_point"]

_UNDID: Final = f"{UNDO}/"
_NUMBER: Final = re.compile(r"\[\d+\]")
_SHOWN: Final = 20
"""How many steps a message names."""


def resume_point(
    plan: Plan, old: Execution, events: Sequence[Event], from_step: str
) -> tuple[str, tuple[StepReused, ...]]:
    """Return the step to begin with, and the outputs of those before it on the way from the first one.

    What was undone is there no more, so what it gave is not reused.

    Args:
        plan: What the new execution runs; it may be another version than the old one's.
        old: The execution that is repeated.
        events: Its history.
        from_step: The step to begin with; empty: the first one that has no output, or else the last one.

    Raises:
        ValidationError: STEP_UNKNOWN; or STEP_NOT_A_START: the step is inside of another one, or one
            before it has no output, or was undone.
    """
    if from_step and from_step not in plan.listed:
        raise _not_listed(plan, from_step)
    ran = [event.body for event in events if isinstance(event.body, StepCompleted | StepReused)]
    undone = {_top_of(body.step_id) for body in ran if scope_of(body.step_id) == UNDO}
    done = {body.step_id for body in ran} - undone
    chosen = {body.step_id: body.next for body in ran if isinstance(body, StepCompleted)}
    way: list[str] = []
    step_id = plan.first
    while step_id and step_id != from_step:
        if step_id not in done:
            if not from_step:
                break
            lacks = "was undone" if step_id in undone else "has no output to reuse"
            raise _no_start(
                f"step {step_id!r}, which comes before {from_step!r}, {lacks}: begin with {step_id!r}"
            )
        way.append(step_id)
        target = chosen.get(step_id)
        step_id = plan.steps[step_id].step.next if target is None else target
    if not step_id:  # all went well, or another way was taken: the last one runs again
        if from_step:
            raise _no_start(f"{from_step!r} was not on the way that was taken; {_one_of(way)}")
        step_id = way.pop()
    kept = set(way)
    reused = [
        StepReused(step_id=body.step_id, output=body.output, execution_id=old.id)
        for body in ran
        if body.step_id in kept or _sets_behind(plan, body.step_id, kept)
    ]
    return step_id, tuple(reused)


def _not_listed(plan: Plan, asked: str) -> ValidationError:
    """Say what to begin with in place of a step that is not of the workflow's own list."""
    undid = asked.startswith(_UNDID)
    way = _way_to(plan, asked.removeprefix(_UNDID))
    if not way:
        unknown = f"the workflow has no step {asked!r}; {_one_of(plan.listed)}"
        return ValidationError([Violation("from_step", unknown, Rule.STEP_UNKNOWN)])
    if way[0] not in plan.listed:
        return _no_start(f"{asked!r} runs at the end of every execution; {_one_of(plan.listed)}")
    if undid:
        return _no_start(f"{asked!r} undid {asked.removeprefix(_UNDID)!r}: begin with {way[0]!r}")
    return _no_start(f"{asked!r} is inside of {way[0]!r}, which runs again as a whole: begin with {way[0]!r}")


def _way_to(plan: Plan, asked: str) -> list[str]:
    """Return the ids on the way to a step from the outermost one; nothing when there is no such step.

    Args:
        plan: Where it is looked for.
        asked: Its id, or its path.
    """
    *holders, step_id = _NUMBER.sub("", asked.removeprefix(f"{FINALLY}/")).split("/")
    if step_id not in plan.steps:
        return []
    inside_of = {inner: it.step.id for it in plan.steps.values() for inner in _inside(it)}
    way = [step_id]
    while (holder := inside_of.get(way[0])) is not None:
        way.insert(0, holder)
    at_the_end = way[0] not in plan.listed
    if (holders and holders != way[:-1]) or (asked.startswith(f"{FINALLY}/") and not at_the_end):
        return []
    return way


def _inside(planned: PlannedStep) -> Iterator[str]:
    """Yield the ids of the steps right inside of one."""
    for body in planned.step.bodies:
        yield from (step.id for step in body)
    yield planned.step.id + RUN_SUFFIX


def _top_of(path: str) -> str:
    """Return the step of the workflow's own list that something was undone of."""
    return path.removeprefix(f"{UNDO}/").partition("[")[0]


def _sets_behind(plan: Plan, path: str, kept: set[str]) -> bool:
    """Tell whether a step in a body that is not run again has set variables."""
    planned = plan.at(path)
    top = path.partition("[")[0]
    return path != top and top in kept and planned is not None and isinstance(planned.step.does, SetVariables)


def _one_of(steps: Sequence[str]) -> str:
    shown = ", ".join(steps[:_SHOWN])
    return f"a rerun begins with one of {shown}{', …' if len(steps) > _SHOWN else ''}"


def _no_start(text: str) -> ValidationError:
    return ValidationError([Violation("from_step", text, Rule.STEP_NOT_A_START)])
