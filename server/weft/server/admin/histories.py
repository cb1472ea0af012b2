"""Whether an execution is what its history adds up to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from weft.core.errors import InternalError
from weft.server.admin.findings import Finding
from weft.server.execution.history.model import (
    Event,
    Execution,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionTimedOut,
    StepCompleted,
    StepReused,
)
from weft.server.execution.history.standing import Standing
from weft.server.execution.history.step_states import fold_steps
from weft.server.forms import NewerReleaseError
from weft.server.store.execution_codec import EventRow, ExecutionRow, attribute_rows
from weft.server.store.seal import open_events, open_execution
from weft.server.store.vault import Row

__all__ = ["history_findings"]

_ENDS: Final = (ExecutionCompleted, ExecutionFailed, ExecutionCancelled, ExecutionTimedOut)


def history_findings(
    key: str, summary: ExecutionRow, event_rows: Sequence[Row], attributes: Sequence[Row]
) -> Iterator[Finding]:
    """Yield what is wrong with one execution.

    Args:
        key: Its id.
        summary: Its row.
        event_rows: Its events, in their order.
        attributes: What it is found by.
    """
    events: list[Event] = []
    try:
        execution = open_execution(summary)
        for row in event_rows:
            events += open_events(key, [EventRow._make(row[1:])], row[1] - 1)
    except InternalError as error:
        yield Finding("CORRUPT", key, error.message)
        return
    except NewerReleaseError as error:
        yield Finding("NEWER_RELEASE", key, error.message)
        return
    yield from _numbers(key, execution, events)
    yield from _order(key, events)
    yield from _results(key, events)
    yield from _sum(key, execution, events)
    if sorted(attributes) != sorted(attribute_rows(execution)):
        yield Finding("ATTRIBUTES", key, "it is found by other attributes than it has")


def _numbers(key: str, execution: Execution, events: Sequence[Event]) -> Iterator[Finding]:
    numbers = [event.number for event in events]
    if numbers != list(range(1, len(events) + 1)):
        yield Finding("EVENTS_GAP", key, f"its {len(events)} events are not numbered from 1 without a gap")
    elif execution.last_event != len(events):
        said = f"its newest event is said to be {execution.last_event}, and is {len(events)}"
        yield Finding("LAST_EVENT", key, said)


def _order(key: str, events: Sequence[Event]) -> Iterator[Finding]:
    starts = [at for at, event in enumerate(events) if isinstance(event.body, ExecutionStarted)]
    if starts != [0]:
        yield Finding("START", key, "it is not started by its first event, and by no other")
    ends = [at for at, event in enumerate(events) if isinstance(event.body, _ENDS)]
    if len(ends) > 1:
        yield Finding("TWO_ENDS", key, f"it has {len(ends)} terminal events")
    elif ends and ends[0] != len(events) - 1:
        yield Finding("AFTER_END", key, "something happened after its end")


def _results(key: str, events: Sequence[Event]) -> Iterator[Finding]:
    seen: set[str] = set()
    for event in events:
        if isinstance(event.body, StepCompleted | StepReused):
            step_id = event.body.step_id
            if step_id in seen:
                yield Finding("TWO_RESULTS", key, f"step {step_id} has two results")
            seen.add(step_id)


def _sum(key: str, execution: Execution, events: Sequence[Event]) -> Iterator[Finding]:
    standing = Standing()
    try:
        for event in events:
            standing.apply(event)
        fold_steps(events)
    except (KeyError, ValueError) as error:
        yield Finding("FOLD", key, f"its history does not add up: {error}")
        return
    if standing.state is not execution.state:
        yield Finding(
            "STATE", key, f"it is said to be {execution.state}, and its history says {standing.state}"
        )
    end = events[-1].time if events and standing.final is not None else None
    if execution.end_time != end:
        yield Finding("END_TIME", key, "its end is not when its history says")
    if standing.final is not None and execution.failure != standing.failure:
        yield Finding("FAILURE", key, "why it ended is not what its history says")
    if events and execution.create_time != events[0].time:
        yield Finding("CREATE_TIME", key, "it was not accepted when its history says")
