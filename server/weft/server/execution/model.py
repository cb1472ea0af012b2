"""Executions and their histories: an append-only list of events, and the state it adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique

from weft.core.context import CallContext
from weft.server.execution.events import (
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

__all__ = [
    "Event",
    "EventBody",
    "Execution",
    "ExecutionCancelled",
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
    "Origin",
    "Resolution",
    "StepAccepted",
    "StepCompleted",
    "StepExecution",
    "StepFailed",
    "StepProgressed",
    "StepRetryScheduled",
    "StepReused",
    "StepScheduled",
    "StepState",
    "TraceLink",
    "Waits",
    "fold_event",
    "fold_steps",
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


@unique
class Waits(StrEnum):
    """What an open execution waits for before its next step; empty while it is worked on."""

    NOTHING = ""
    RETRY = "RETRY"
    """The time of the next attempt."""
    COMPLETION = "COMPLETION"
    """The outcome of an action that answers later."""
    RESUME = "RESUME"
    """Somebody who resumes the execution."""
    WORKFLOW = "WORKFLOW"
    """Somebody who resumes its workflow."""
    INCIDENT = "INCIDENT"
    """Somebody who resolves an incident."""
    SLOT = "SLOT"
    """An execution before it, of the same concurrency key, to end."""
    STEP_LIMIT = "STEP_LIMIT"
    """Its turn, or its rate, at a step with a limit."""


@unique
class StepState(StrEnum):
    """Where a step stands."""

    SCHEDULED = "SCHEDULED"
    RETRYING = "RETRYING"
    """An attempt failed; the next one has its time."""
    INCIDENT = "INCIDENT"
    """Its attempts are used up; somebody has to look at it."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


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
            digest=self.digest,
            slot=self.slot,
            slot_limit=self.slot_limit,
            alias=self.alias,
            retention=self.retention,
            waits=waits,
            due_time=due_time,
        )


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
    """Why it failed, or its last attempt."""
    retry_time: datetime | None = None
    """When its next attempt is due."""
    progress: bytes | None = None
    """JSON text of what an attempt told last."""


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
            _schedule(steps, body, event.time)
        case StepReused():
            steps[body.step_id] = StepExecution(
                step_id=body.step_id,
                state=StepState.COMPLETED,
                attempt=0,
                schedule_time=event.time,
                end_time=event.time,
            )
        case StepProgressed() | StepRetryScheduled() | IncidentRaised():
            steps[body.step_id] = _go_on(steps[body.step_id], body)
        case StepCompleted():
            _end(steps, body.step_id, StepState.COMPLETED, event.time)
        case StepFailed():
            _end(steps, body.step_id, StepState.FAILED, event.time, body.failure)
        case ExecutionCancelled() | ExecutionTimedOut() | ExecutionFailed():
            for step in list(steps.values()):
                if step.end_time is None:
                    _end(steps, step.step_id, StepState.CANCELLED, event.time, step.failure)
        case _:
            pass


def _go_on(step: StepExecution, body: StepProgressed | StepRetryScheduled | IncidentRaised) -> StepExecution:
    match body:
        case StepProgressed():
            return replace(step, progress=body.details)
        case StepRetryScheduled():
            return replace(step, state=StepState.RETRYING, failure=body.failure, retry_time=body.retry_time)
        case IncidentRaised():
            return replace(step, state=StepState.INCIDENT, failure=body.failure, retry_time=None)


def _schedule(steps: dict[str, StepExecution], body: StepScheduled, time: datetime) -> None:
    known = steps.get(body.step_id)
    steps[body.step_id] = StepExecution(
        step_id=body.step_id,
        state=StepState.SCHEDULED,
        attempt=body.attempt,
        schedule_time=known.schedule_time if known else time,
        progress=known.progress if known else None,
    )


def _end(
    steps: dict[str, StepExecution],
    step_id: str,
    state: StepState,
    time: datetime,
    failure: Failure | None = None,
) -> None:
    step = steps[step_id]
    steps[step_id] = StepExecution(
        step_id=step_id,
        state=state,
        attempt=step.attempt,
        schedule_time=step.schedule_time,
        end_time=time,
        failure=failure,
        progress=step.progress,
    )
