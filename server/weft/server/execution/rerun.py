"""Where an execution that repeats another one begins, and what it takes over."""

from __future__ import annotations

from collections.abc import Sequence

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.server.execution.model import Event, Execution, StepCompleted, StepReused
from weft.server.execution.paths import UNDO, scope_of
from weft.server.execution.plan import Plan
from weft.server.workflow.kinds import SetVariables

__all__ = ["resume_point"]


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
        ValidationError: STEP_UNKNOWN: there is no such step, or one before it has no output, or was undone.
    """
    if from_step and from_step not in plan.steps:
        raise _bad_step(f"the workflow has no step {from_step!r}")
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
            raise _bad_step(f"step {step_id!r}, which comes before {from_step!r}, {lacks}")
        way.append(step_id)
        target = chosen.get(step_id)
        step_id = plan.steps[step_id].step.next if target is None else target
    if not step_id:  # all went well, or another way was taken: the last one runs again
        if from_step:
            raise _bad_step(f"{from_step!r} was not on the way that was taken")
        step_id = way.pop()
    kept = set(way)
    reused = [
        StepReused(step_id=body.step_id, output=body.output, execution_id=old.id)
        for body in ran
        if body.step_id in kept or _sets_behind(plan, body.step_id, kept)
    ]
    return step_id, tuple(reused)


def _top_of(path: str) -> str:
    """Return the step of the workflow's own list that something was undone of."""
    return path.removeprefix(f"{UNDO}/").partition("[")[0]


def _sets_behind(plan: Plan, path: str, kept: set[str]) -> bool:
    """Tell whether a step in a body that is not run again has set variables."""
    planned = plan.at(path)
    top = path.partition("[")[0]
    return path != top and top in kept and planned is not None and isinstance(planned.step.does, SetVariables)


def _bad_step(text: str) -> ValidationError:
    return ValidationError([Violation("from_step", text, Rule.STEP_UNKNOWN)])
