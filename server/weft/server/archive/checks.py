"""Whether a history is whole, and adds up to its execution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.names import EXECUTION_PREFIX, first_id, is_id
from weft.core.payload import loads
from weft.core.reasons import Rule
from weft.server.execution.history.model import (
    Event,
    Execution,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionState,
    ExecutionTimedOut,
)
from weft.server.execution.history.step_states import fold_steps
from weft.server.execution.starting.attributes import attribute_faults

__all__ = ["history_faults"]

_STATES: Final[dict[type, ExecutionState]] = {
    ExecutionCompleted: ExecutionState.COMPLETED,
    ExecutionFailed: ExecutionState.FAILED,
    ExecutionCancelled: ExecutionState.CANCELLED,
    ExecutionTimedOut: ExecutionState.TIMED_OUT,
}
_PAYLOADS: Final = ("input", "output", "result", "details")
_SLACK: Final = timedelta(minutes=1)
"""How long an id may be made before its execution is accepted."""
_MILLISECOND: Final = timedelta(milliseconds=1)


def history_faults(execution: Execution, events: Sequence[Event]) -> Iterator[Violation]:
    """Yield what is wrong with an execution that has ended; events stand in lines from the second on."""
    yield from _number_faults(events)
    yield from _order_faults(events)
    yield from _head_faults(execution, events)
    for line, event in enumerate(events, 2):
        yield from _payload_faults(event, line)
    try:
        fold_steps(events)
    except (KeyError, ValueError):
        yield _fault("data", "an event is about a step that was not scheduled before")


def _number_faults(events: Sequence[Event]) -> Iterator[Violation]:
    for line, event in enumerate(events, 2):
        if event.number != line - 1:
            yield _fault(f"line {line}", f"has number {event.number}, not {line - 1}: numbers have no gaps")
            return


def _order_faults(events: Sequence[Event]) -> Iterator[Violation]:
    """Check that there is one beginning and one end."""
    last = len(events) - 1
    for at, event in enumerate(events):
        line = f"line {at + 2}"
        if isinstance(event.body, ExecutionStarted) != (at == 0):
            yield _fault(line, "an execution is started by its first event, and by no other")
        if (type(event.body) in _STATES) != (at == last):
            yield _fault(line, "an execution is ended by its last event, and by no other")


def _head_faults(execution: Execution, events: Sequence[Event]) -> Iterator[Violation]:
    first, last = events[0], events[-1]
    body = first.body
    if not is_id(execution.id, EXECUTION_PREFIX):
        yield _fault("line 1", "has no id of an execution")
    low = first_id(EXECUTION_PREFIX, execution.create_time - _SLACK)
    if not low <= execution.id < first_id(EXECUTION_PREFIX, execution.create_time + _MILLISECOND):
        yield _fault("line 1", "the id was not made when the execution was accepted")
    adds_up = (
        execution.state is _STATES.get(type(last.body)),
        execution.last_event == len(events),
        execution.end_time == last.time,
        execution.create_time == first.time,
        execution.failure == getattr(last.body, "failure", execution.failure),
    )
    if not all(adds_up):
        yield _fault("line 1", "is not what the events add up to")
    if isinstance(body, ExecutionStarted):
        started = (body.workflow_id, body.workflow_version, body.context)
        if started != (execution.workflow_id, execution.workflow_version, execution.context):
            yield _fault("line 1", "is not what the first event says")
    yield from attribute_faults(execution.attributes, "line 1: attributes")


def _payload_faults(event: Event, line: int) -> Iterator[Violation]:
    for name in _PAYLOADS:
        payload = getattr(event.body, name, None)
        if isinstance(payload, bytes):
            try:
                loads(payload)
            except ValidationError as error:
                yield _fault(f"line {line}", f"its payload {error}")


def _fault(where: str, message: str) -> Violation:
    return Violation(where, message, Rule.ARCHIVE_INVALID)
