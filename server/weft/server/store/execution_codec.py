"""What executions and their histories look like at rest; the rules are those of ``codec``.

What never changes of an execution is its head, written once. What changes stands in
columns beside it, so that a step costs no second copy of the head. The payload of an
event stands beside its document, byte by byte as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

import orjson

from weft.core.context import CallContext
from weft.server.execution.history.model import (
    Asked,
    Event,
    EventBody,
    EventEmitted,
    Execution,
    ExecutionCancelled,
    ExecutionClosing,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionState,
    ExecutionTimedOut,
    Failure,
    IncidentRaised,
    IncidentResolved,
    MapStarted,
    Origin,
    Outcome,
    Parent,
    Resolution,
    ScopeCompleted,
    ScopeFailed,
    SignalReceived,
    StepAccepted,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepRetryScheduled,
    StepReused,
    StepScheduled,
    StepWaiting,
    TraceLink,
    Waits,
)
from weft.server.forms import build, known_as, member_of
from weft.server.query.keys import key_of
from weft.server.store.codec import encode, from_micros, revive_durations, revive_times, to_micros

__all__ = [
    "NO_PAYLOAD",
    "OPEN_STATES",
    "UNREADABLE",
    "WAITS",
    "EventRow",
    "ExecutionRow",
    "attribute_rows",
    "decode_event",
    "decode_execution",
    "decode_failure",
    "encode_event",
    "encode_execution",
    "encode_facts",
    "encode_failure",
    "encode_standing",
]

_MICROSECOND: Final = timedelta(microseconds=1)
NO_PAYLOAD: Final = b"{}"
"""What stands for a payload that was not asked for."""

UNREADABLE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading something else than was written may raise."""
OPEN_STATES: Final = tuple(state.value for state in ExecutionState if not state.final)
"""Every state that an open execution may be in, at rest."""
WAITS: Final = tuple(waits.value for waits in Waits)
"""Everything that one may wait for, at rest."""

_KINDS: dict[type[EventBody], tuple[str, str]] = {
    ExecutionStarted: ("execution_started", "input"),
    StepReused: ("step_reused", "output"),
    StepScheduled: ("step_scheduled", ""),
    StepAccepted: ("step_accepted", ""),
    StepProgressed: ("step_progressed", "details"),
    StepCompleted: ("step_completed", "output"),
    StepRetryScheduled: ("step_retry_scheduled", ""),
    StepFailed: ("step_failed", ""),
    IncidentRaised: ("incident_raised", ""),
    IncidentResolved: ("incident_resolved", "input"),
    ExecutionPaused: ("execution_paused", ""),
    ExecutionResumed: ("execution_resumed", ""),
    ExecutionCompleted: ("execution_completed", "result"),
    ExecutionFailed: ("execution_failed", ""),
    ExecutionCancelled: ("execution_cancelled", ""),
    ExecutionTimedOut: ("execution_timed_out", ""),
    MapStarted: ("map_started", "items"),
    StepWaiting: ("step_waiting", ""),
    SignalReceived: ("signal_received", "payload"),
    ScopeCompleted: ("scope_completed", "output"),
    ScopeFailed: ("scope_failed", ""),
    EventEmitted: ("event_emitted", "data"),
    ExecutionClosing: ("execution_closing", "result"),
}
"""The name of each kind of event at rest, and which of its fields is the payload."""

_BODIES = {kind: (body, payload) for body, (kind, payload) in _KINDS.items()}
_OPTIONAL: Final = frozenset({"incident_resolved", "execution_closing"})
"""Kinds whose payload may be none."""

_CHANGING: Final = frozenset({"state", "failure", "last_event", "end_time", "waits", "due_time"})
"""Fields of an execution that its head does not have."""
_SILENT: Final[Mapping[type[EventBody], str]] = {
    StepFailed: ',"handled":false,"next":""}',
    ExecutionStarted: ',"parent":{"execution_id":"","step_id":"","abandon":false,"depth":0}}',
}
"""How members end that say nothing, and that releases before them do not know: they are left out."""
_HEAD: Final = tuple(name for name in Execution.__dataclass_fields__ if name not in _CHANGING)


class EventRow(NamedTuple):
    """An event at rest."""

    number: int
    """Its place in the history."""
    time: int
    """When it was recorded, in microseconds."""
    kind: str
    """What happened."""
    attributes: str
    """JSON text of everything but the payload."""
    payload: bytes | None
    """Its input, output or result, if its kind has one."""

    @property
    def size(self) -> int:
        """How many bytes it counts for in a limit."""
        return len(self.attributes) + len(self.payload or b"")


class ExecutionRow(NamedTuple):
    """The summary of an execution at rest."""

    head: str
    """JSON text of what never changes."""
    state: str
    """Where it stands."""
    last_event: int
    """Number of its newest event."""
    waits: str
    """What it waits for."""
    due_time: int | None
    """When it wants to be worked on, in microseconds."""
    end_time: int | None
    """When it reached its final state, in microseconds."""
    failure: str | None
    """JSON text of why it ended."""


def encode_execution(execution: Execution) -> ExecutionRow:
    """Write the summary of an execution."""
    head = {name: getattr(execution, name) for name in _HEAD}
    if not execution.parent.execution_id:
        del head["parent"]
    return ExecutionRow(encode(head), *encode_standing(execution))


def attribute_rows(execution: Execution) -> list[tuple[str, str, str]]:
    """Write what makes an execution findable by its attributes: its id, their names and their keys."""
    return [(execution.id, name, key_of(value)) for name, value in execution.attributes.items()]


def encode_facts(execution: Execution) -> tuple[int | str | None, ...]:
    """Write what is looked for, and never changes; None where there is none.

    These are create_time, key, slot, slot_limit, origin, alias, retention and parent.
    """
    return (
        to_micros(execution.create_time),
        execution.key or None,
        execution.slot or None,
        execution.slot_limit,
        execution.origin.execution_id or None,
        execution.alias or None,
        None if execution.retention is None else execution.retention // _MICROSECOND,
        execution.parent.execution_id or None,
    )


def encode_standing(execution: Execution) -> tuple[str, int, str, int | None, int | None, str | None]:
    """Write the part of a summary that changes: everything of its row but the head."""
    return (
        execution.state.value,
        execution.last_event,
        execution.waits.value,
        to_micros(execution.due_time) if execution.due_time else None,
        to_micros(execution.end_time) if execution.end_time else None,
        encode_failure(execution.failure) if execution.failure else None,
    )


def decode_execution(row: ExecutionRow) -> Execution:
    """Read the summary of an execution."""
    record = orjson.loads(row.head)
    record["context"] = build(CallContext, record["context"])
    if "origin" in record:
        record["origin"] = build(Origin, record["origin"])
    if "parent" in record:
        record["parent"] = build(Parent, record["parent"])
    revive_times(record, "create_time", "expire_time")
    revive_durations(record, "retention")
    record["state"] = member_of(ExecutionState, row.state)
    record["last_event"] = row.last_event
    record["waits"] = member_of(Waits, row.waits)
    record["due_time"] = None if row.due_time is None else from_micros(row.due_time)
    record["end_time"] = None if row.end_time is None else from_micros(row.end_time)
    record["failure"] = decode_failure(row.failure) if row.failure else None
    return build(Execution, record)


def encode_event(event: Event) -> EventRow:
    """Write an event."""
    body = event.body
    kind, payload = _KINDS[type(body)]
    return EventRow(
        event.number,
        to_micros(event.time),
        kind,
        _attributes(body),
        getattr(body, payload) if payload else None,
    )


def _attributes(body: EventBody) -> str:
    """Write everything but the payload; of what came later only what says something."""
    if type(body) is StepCompleted and body.next is None and not body.signal_id and not body.undo:
        plain = {"step_id": body.step_id, "attempt": body.attempt, "output": None}
        return orjson.dumps({**plain, "instance_id": body.instance_id}).decode()
    if type(body) is StepScheduled:
        return orjson.dumps(body).decode()
    text = encode(body)
    silent = _SILENT.get(type(body))
    if silent is None or not text.endswith(silent):
        return text
    return text[: -len(silent)] + "}"


def decode_event(row: EventRow) -> Event:
    """Read an event; a payload that was left out is ``NO_PAYLOAD``."""
    body, payload = known_as(_BODIES, row.kind, "event")
    record = orjson.loads(row.attributes)
    if payload:
        left_out = None if row.kind in _OPTIONAL else NO_PAYLOAD
        record[payload] = left_out if row.payload is None else row.payload
    _revive(record)
    return Event(row.number, from_micros(row.time), build(body, record))


def _revive(record: dict[str, Any]) -> None:
    if record.get("failure") is not None:
        record["failure"] = Failure.read(record["failure"])
    _revive_language(record)
    if "context" in record:
        record["context"] = build(CallContext, record["context"])
    if "trace" in record:
        record["trace"] = build(TraceLink, record["trace"])
    if "origin" in record:
        record["origin"] = build(Origin, record["origin"])
    if "resolution" in record:
        record["resolution"] = member_of(Resolution, record["resolution"])
    revive_times(record, "retry_time", "close_time", "until")
    revive_durations(record, "timeout")


def _revive_language(record: dict[str, Any]) -> None:
    if "parent" in record:
        record["parent"] = build(Parent, record["parent"])
    if "waits" in record:
        record["waits"] = member_of(Waits, record["waits"])
    if "outcome" in record:
        record["outcome"] = member_of(Outcome, record["outcome"])
    if isinstance(record.get("undo"), list):
        record["undo"] = tuple(record["undo"])
    if record.get("asked") is not None:
        asked = record["asked"]
        revive_times(asked, "due_time")
        asked["assignees"], asked["outcomes"] = tuple(asked["assignees"]), tuple(asked["outcomes"])
        record["asked"] = build(Asked, asked)


def encode_failure(failure: Failure) -> str:
    """Write why something failed."""
    return encode(failure)


def decode_failure(text: str) -> Failure:
    """Read why something failed."""
    return Failure.read(orjson.loads(text))
