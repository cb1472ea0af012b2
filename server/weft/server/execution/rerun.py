"""Where an execution that repeats another one begins, and what it takes over."""

from __future__ import annotations

from collections.abc import Sequence

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.server.execution.model import Event, Execution, StepCompleted, StepReused
from weft.server.execution.plan import Plan

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
    outputs = _outputs(events)
    reused: list[StepReused] = []
    step_id = plan.first
    while step_id and step_id != from_step:
        if step_id not in outputs:
            if not from_step:
                return step_id, tuple(reused)
            raise _bad_step(f"step {step_id!r}, which comes before {from_step!r}, has no output to reuse")
        reused.append(StepReused(step_id=step_id, output=outputs[step_id], execution_id=old.id))
        step_id = plan.steps[step_id].step.next
    if not step_id:  # all went well: the last one runs again
        step_id = reused.pop().step_id
    return step_id, tuple(reused)


def _outputs(events: Sequence[Event]) -> dict[str, bytes]:
    bodies = (event.body for event in events)
    return {body.step_id: body.output for body in bodies if isinstance(body, StepCompleted | StepReused)}


def _bad_step(text: str) -> ValidationError:
    return ValidationError([Violation("from_step", text, Rule.STEP_UNKNOWN)])
