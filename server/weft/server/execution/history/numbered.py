"""Events get their numbers, and summaries follow them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from weft.core.clock import Clock
from weft.server.execution.history.model import (
    Event,
    EventBody,
    Execution,
    ExecutionStarted,
    StepReused,
    StepScheduled,
    Waits,
)
from weft.server.execution.history.plan import Plan
from weft.server.execution.history.standing import Standing

__all__ = ["first_events", "number_events", "summarize"]


def first_events(
    started: ExecutionStarted, plan: Plan, clock: Clock, reused: Sequence[StepReused] = ()
) -> tuple[Event, ...]:
    """Return the beginning of a history: accepted, and the first step scheduled."""
    first = started.origin.from_step or plan.first
    return number_events(0, (started, *reused, StepScheduled(step_id=first)), clock)


def number_events(last: int, bodies: Sequence[EventBody], clock: Clock) -> tuple[Event, ...]:
    """Give the next numbers and the present time to what happened."""
    now = clock.now()
    return tuple(Event(last + offset, now, body) for offset, body in enumerate(bodies, start=1))


def summarize(
    execution: Execution,
    standing: Standing,
    newest: Event,
    waits: Waits = Waits.NOTHING,
    due_time: datetime | None = None,
) -> Execution:
    """Bring a summary up to date with further events.

    Args:
        execution: As it was.
        standing: Where it stands after them.
        newest: The last of them.
        waits: What it waits for.
        due_time: When it wants to be worked on.
    """
    final = standing.final is not None
    return execution.after(
        last_event=newest.number,
        state=standing.state,
        failure=standing.failure if final else standing.incident,
        end_time=newest.time if final else None,
        waits=waits,
        due_time=due_time,
    )
