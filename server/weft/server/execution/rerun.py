"""Where an execution that repeats another one begins, and what it takes over."""

from __future__ import annotations

from collections.abc import Sequence

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.server.execution.model import Event, Execution, StepCompleted, StepReused
from weft.server.execution.plan import Plan
from weft.server.workflow.kinds import SetVariables

__all__ = ["resume_point"]


def resume_point(
    plan: Plan, old: Execution, events: Sequence[Event], from_step: str
) -> tuple[str, tuple[StepReused, ...]]:
    """Return the step to begin with, and the outputs of those before it on the way from the first one.

    Args:
        plan: What the new execution runs; it may be another version than the old one's.
        old: The execution that is repeated.
        events: Its history.
        from_step: The step to begin with; empty: the first one that has no output, or else the last one.

    Raises:
        ValidationError: STEP_UNKNOWN: there is no such step, or one before it has no output.
    """
    if from_step and from_step not in plan.steps:
        raise _bad_step(f"the workflow has no step {from_step!r}")
    ran = [event.body for event in events if isinstance(event.body, StepCompleted | StepReused)]
    outputs = {body.step_id: body for body in ran}
    chosen = {body.step_id: body.next for body in ran if isinstance(body, StepCompleted)}
    way: list[str] = []
    step_id = plan.first
    while step_id and step_id != from_step:
        if step_id not in outputs:
            if not from_step:
                break
            raise _bad_step(f"step {step_id!r}, which comes before {from_step!r}, has no output to reuse")
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


def _sets_behind(plan: Plan, path: str, kept: set[str]) -> bool:
    """Tell whether a step in a body that is not run again has set variables."""
    planned = plan.at(path)
    top = path.partition("[")[0]
    return path != top and top in kept and planned is not None and isinstance(planned.step.does, SetVariables)


def _bad_step(text: str) -> ValidationError:
    return ValidationError([Violation("from_step", text, Rule.STEP_UNKNOWN)])
