"""Executions and their histories: an append-only list of events, and the state it adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique

from weft.core.context import CallContext
from weft.core.errors import Code, Violation, WeftError
from weft.core.reasons import DOMAIN

__all__ = [
    "Event",
    "EventBody",
    "Execution",
    "ExecutionCancelled",
    "ExecutionCompleted",
    "ExecutionFailed",
    "ExecutionStarted",
    "ExecutionState",
    "ExecutionTimedOut",
    "Failure",
    "StepCompleted",
    "StepExecution",
    "StepFailed",
    "StepScheduled",
    "StepState",
    "TraceLink",
    "fold_event",
    "fold_steps",
]


@unique
class ExecutionState(StrEnum):
    """Where an execution stands."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def final(self) -> bool:
        """Whether it never changes any more."""
        return self is not ExecutionState.RUNNING


@unique
class StepState(StrEnum):
    """Where a step stands."""

    SCHEDULED = "SCHEDULED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something failed: an error at rest."""

    reason: str
    """UPPER_SNAKE_CASE and stable."""
    message: str
    """For a person."""
    code: Code
    """The canonical code."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Every dynamic value of the message."""
    violations: tuple[Violation, ...] = ()
    """The faults of the input or output."""
    retryable: bool = False
    """Whether the same call may succeed later."""
    domain: str = DOMAIN
    """Whose reason it is: ours, or an action's own."""

    @classmethod
    def of(cls, error: WeftError) -> Failure:
        """Put an error to rest."""
        return cls(
            reason=str(error.reason),
            message=error.message,
            code=error.code,
            metadata=dict(error.metadata),
            violations=error.violations,
            retryable=error.retryable,
            domain=error.domain,
        )


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
    | StepScheduled
    | StepCompleted
    | StepFailed
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionCancelled
    | ExecutionTimedOut
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StepExecution:
    """Where one step of an execution stands."""

    step_id: str
    """Which step."""
    state: StepState
    """Where it stands."""
    attempt: int
    """How often it was dispatched, as far as is recorded."""
    schedule_time: datetime
    """When it was first scheduled."""
    end_time: datetime | None = None
    """When it reached its final state."""
    failure: Failure | None = None
    """Why it failed."""


def fold_steps(events: Iterable[Event]) -> dict[str, StepExecution]:
    """Derive where every step stands from a history (from its beginning)."""
    steps: dict[str, StepExecution] = {}
    for event in events:
        fold_event(steps, event)
    return steps


def fold_event(steps: dict[str, StepExecution], event: Event) -> None:
    """Bring where every step stands up to date with one more event."""
    body = event.body
    match body:
        case StepScheduled():
            known = steps.get(body.step_id)
            steps[body.step_id] = StepExecution(
                step_id=body.step_id,
                state=StepState.SCHEDULED,
                attempt=body.attempt,
                schedule_time=known.schedule_time if known else event.time,
            )
        case StepCompleted():
            _end(steps, body.step_id, StepState.COMPLETED, event.time)
        case StepFailed():
            _end(steps, body.step_id, StepState.FAILED, event.time, body.failure)
        case ExecutionCancelled() | ExecutionTimedOut() | ExecutionFailed():
            for step in list(steps.values()):
                if step.state is StepState.SCHEDULED:
                    _end(steps, step.step_id, StepState.CANCELLED, event.time)
        case _:
            pass


def _end(
    steps: dict[str, StepExecution],
    step_id: str,
    state: StepState,
    time: datetime,
    failure: Failure | None = None,
) -> None:
    steps[step_id] = replace(steps[step_id], state=state, end_time=time, failure=failure)
