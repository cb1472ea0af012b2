"""Executions and their histories: an append-only list of events, and the state it adds up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum, unique

from weft.core.context import CallContext
from weft.core.values import dataclass
from weft.server.execution.history.events import (
    Event,
    EventBody,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionTimedOut,
    Failure,
    IncidentRaised,
    IncidentResolved,
    Origin,
    Parent,
    Resolution,
    StepAccepted,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepRetryScheduled,
    StepReused,
    StepScheduled,
    TraceLink,
)
from weft.server.execution.history.language_events import (
    Asked,
    EventEmitted,
    ExecutionClosing,
    MapStarted,
    Outcome,
    ScopeCompleted,
    ScopeFailed,
    SignalReceived,
    StepWaiting,
    Waits,
)

__all__ = [
    "Asked",
    "Event",
    "EventBody",
    "EventEmitted",
    "Execution",
    "ExecutionCancelled",
    "ExecutionClosing",
    "ExecutionCompleted",
    "ExecutionFailed",
    "ExecutionPaused",
    "ExecutionResumed",
    "ExecutionStarted",
    "ExecutionState",
    "ExecutionTimedOut",
    "Failure",
    "IncidentRaised",
    "IncidentResolved",
    "MapStarted",
    "Origin",
    "Outcome",
    "Parent",
    "Resolution",
    "ScopeCompleted",
    "ScopeFailed",
    "SignalReceived",
    "StepAccepted",
    "StepCompleted",
    "StepFailed",
    "StepProgressed",
    "StepRetryScheduled",
    "StepReused",
    "StepScheduled",
    "StepWaiting",
    "TraceLink",
    "Waits",
]


@unique
class ExecutionState(StrEnum):
    """Where an execution stands: open in the first three, ended in the others."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    INCIDENT = "INCIDENT"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def final(self) -> bool:
        """Whether it never changes any more."""
        return self not in _OPEN


_OPEN = frozenset({ExecutionState.RUNNING, ExecutionState.PAUSED, ExecutionState.INCIDENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The summary row of an execution: what its history adds up to, without payloads."""

    id: str
    """``exe_`` and 26 characters."""
    workflow_id: str
    """Which workflow."""
    workflow_name: str
    """Its name at the start."""
    workflow_version: int
    """Which version, to the end."""
    state: ExecutionState = ExecutionState.RUNNING
    """Where it stands."""
    failure: Failure | None = None
    """Why it ended, unless it is COMPLETED."""
    context: CallContext = field(default_factory=CallContext)
    """What travels with it."""
    last_event: int
    """Number of its newest event."""
    create_time: datetime
    """When it was accepted."""
    end_time: datetime | None = None
    """When it reached its final state."""
    expire_time: datetime | None = None
    """When it is timed out."""
    trace_id: str = ""
    """Which trace it is; 32 hexadecimal digits."""
    key: str = ""
    """The id that its caller chose; at most one open execution has it."""
    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    """What its caller can find it by."""
    origin: Origin = field(default_factory=Origin)
    """What it repeats."""
    parent: Parent = field(default_factory=Parent)
    """Whose child it is."""
    digest: str = ""
    """Tells whether another start with its key asks for the same: a hash of workflow and input."""
    slot: str = ""
    """Its concurrency key; empty: any number may run beside it."""
    slot_limit: int = 0
    """How many of that key may run at the same time."""
    alias: str = ""
    """By which alias it was started; empty: by none."""
    retention: timedelta | None = None
    """How long it is kept after its end; none: as the server, and the workflow's metadata, say then."""
    waits: Waits = Waits.NOTHING
    """What it waits for."""
    due_time: datetime | None = None
    """When it wants to be worked on, unless something happens before; none: it waits for a command."""

    def after(
        self,
        *,
        last_event: int,
        state: ExecutionState,
        failure: Failure | None,
        end_time: datetime | None,
        waits: Waits,
        due_time: datetime | None,
    ) -> Execution:
        """Return it as it is after further events; written out, as every step makes one."""
        return Execution(
            id=self.id,
            workflow_id=self.workflow_id,
            workflow_name=self.workflow_name,
            workflow_version=self.workflow_version,
            state=state,
            failure=failure,
            context=self.context,
            last_event=last_event,
            create_time=self.create_time,
            end_time=end_time,
            expire_time=self.expire_time,
            trace_id=self.trace_id,
            key=self.key,
            attributes=self.attributes,
            origin=self.origin,
            parent=self.parent,
            digest=self.digest,
            slot=self.slot,
            slot_limit=self.slot_limit,
            alias=self.alias,
            retention=self.retention,
            waits=waits,
            due_time=due_time,
        )
