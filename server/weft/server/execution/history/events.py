"""What can happen to an execution: the entries of its history, which never change."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum, unique

from weft.core.context import CallContext
from weft.core.values import dataclass
from weft.server.execution.history.failure import Failure
from weft.server.execution.history.language_events import (
    EventEmitted,
    ExecutionClosing,
    MapStarted,
    ScopeCompleted,
    ScopeFailed,
    SignalReceived,
    StepWaiting,
)

__all__ = [
    "Event",
    "EventBody",
    "ExecutionCancelled",
    "ExecutionCompleted",
    "ExecutionFailed",
    "ExecutionPaused",
    "ExecutionResumed",
    "ExecutionStarted",
    "ExecutionTimedOut",
    "Failure",
    "IncidentRaised",
    "IncidentResolved",
    "Origin",
    "Parent",
    "Resolution",
    "StepAccepted",
    "StepCompleted",
    "StepFailed",
    "StepProgressed",
    "StepRetryScheduled",
    "StepReused",
    "StepScheduled",
    "TraceLink",
]


@unique
class Resolution(StrEnum):
    """What becomes of a step whose incident is resolved."""

    RETRY = "RETRY"
    """It is tried again, with all its attempts."""
    FAIL = "FAIL"
    """It fails, and the execution with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLink:
    """How an execution hangs in its trace; headers of W3C Trace Context and Baggage."""

    traceparent: str = ""
    """Of the execution's own span, which every attempt of a step continues."""
    tracestate: str = ""
    """As the caller sent it."""
    baggage: str = ""
    """As the caller sent it."""
    caller_span_id: str = ""
    """What the execution's own span hangs below."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty for an execution of before there were traces."""
        return self.traceparent[3:35]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which execution another one repeats."""

    execution_id: str = ""
    """The execution; empty for one that repeats none."""
    from_step: str = ""
    """The first step that runs again; what came before is reused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """Whose child an execution is."""

    execution_id: str = ""
    """The execution; empty for one that is nobody's."""
    step_id: str = ""
    """The path of the step."""
    abandon: bool = False
    """Whether it outlives its parent."""
    depth: int = 0
    """How many executions are above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStarted:
    """The execution was accepted."""

    input: bytes
    """JSON text."""
    context: CallContext
    """What travels with it."""
    workflow_id: str
    """Which workflow."""
    workflow_version: int
    """Which version of it."""
    timeout: timedelta | None = None
    """How long it may take in all."""
    trace: TraceLink = field(default_factory=TraceLink)
    """Its trace."""
    origin: Origin = field(default_factory=Origin)
    """What it repeats."""
    parent: Parent = field(default_factory=Parent)
    """Whose child it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepScheduled:
    """A step is the next thing to do."""

    step_id: str
    """Which step."""
    attempt: int = 1
    """1 at first."""
    cause: str = ""
    """Why it was scheduled again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReused:
    """A step has the output that it had in the execution that this one repeats."""

    step_id: str
    """Which step."""
    output: bytes
    """JSON text."""
    execution_id: str
    """Whose output it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAccepted:
    """The action took an attempt on, and will tell the outcome later."""

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt."""
    close_time: datetime
    """When it has to be over."""
    instance_id: str = ""
    """Who took it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgressed:
    """A running attempt told how far it is; kept at intervals, not for every heartbeat."""

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt."""
    details: bytes
    """JSON text; the next attempt is given it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetryScheduled:
    """An attempt failed, and another one follows."""

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt failed."""
    failure: Failure
    """Why."""
    retry_time: datetime
    """When the next attempt is due."""
    instance_id: str = ""
    """Who ran it, if anybody was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRaised:
    """A step used up its attempts; the execution waits for somebody to look at it."""

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt failed last."""
    failure: Failure
    """Why."""
    instance_id: str = ""
    """Who ran it, if anybody was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentResolved:
    """Somebody decided what becomes of a step with an incident."""

    step_id: str
    """Which step."""
    resolution: Resolution
    """What becomes of it."""
    input: bytes | None = None
    """JSON text that its further attempts take instead of the input they would make."""
    note: str = ""
    """What that somebody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPaused:
    """No step is dispatched until it is resumed."""

    reason: str = ""
    """What the caller said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResumed:
    """It goes on where it was paused."""

    reason: str = ""
    """What the caller said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted:
    """A step's output is recorded."""

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt gave it."""
    output: bytes
    """JSON text."""
    instance_id: str = ""
    """Who ran it."""
    next: str | None = None
    """Where its list goes on, where the step itself chose that; empty: nowhere."""
    signal_id: str = ""
    """The message that it took."""
    undo: str = ""
    """The action that undoes it, where that was registered with its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A step's failure is recorded."""

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt failed."""
    failure: Failure
    """Why."""
    instance_id: str = ""
    """Who ran it, if anybody was reached."""
    handled: bool = False
    """Whether a handler of the step took the failure."""
    next: str = ""
    """Where its list goes on then; empty: nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionCompleted:
    """The execution ended with a result."""

    result: bytes
    """JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFailed:
    """The execution ended with a failure."""

    failure: Failure
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionCancelled:
    """The execution was cancelled."""

    reason: str = ""
    """What the caller said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionTimedOut:
    """The execution ran out of time."""

    timeout: timedelta
    """The limit it exceeded."""


EventBody = (
    ExecutionStarted
    | StepReused
    | StepScheduled
    | StepAccepted
    | StepProgressed
    | StepCompleted
    | StepRetryScheduled
    | StepFailed
    | IncidentRaised
    | IncidentResolved
    | ExecutionPaused
    | ExecutionResumed
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionCancelled
    | ExecutionTimedOut
    | MapStarted
    | StepWaiting
    | SignalReceived
    | ScopeCompleted
    | ScopeFailed
    | EventEmitted
    | ExecutionClosing
)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a history; it never changes once it is stored."""

    number: int
    """1, 2, 3, … without gaps."""
    time: datetime
    """When it was recorded."""
    body: EventBody
    """What happened."""
