"""Where every step of an execution stands, for people: a pure fold over the history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from enum import StrEnum, unique

from weft.core.values import dataclass
from weft.server.execution.history.events import (
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionTimedOut,
    Failure,
    IncidentRaised,
    IncidentResolved,
    Resolution,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepRetryScheduled,
    StepReused,
    StepScheduled,
)
from weft.server.execution.history.language_events import (
    Asked,
    ExecutionClosing,
    MapStarted,
    ScopeCompleted,
    ScopeFailed,
    StepWaiting,
    Waits,
)
from weft.server.execution.history.paths import TOP, UNDO, container_of, scope_of

__all__ = ["MapProgress", "StepExecution", "StepState", "Steps", "fold_steps"]


@unique
class StepState(StrEnum):
    """Where a step stands."""

    SCHEDULED = "SCHEDULED"
    RETRYING = "RETRYING"
    """An attempt failed; the next one has its time."""
    INCIDENT = "INCIDENT"
    """Its attempts are used up; somebody has to look at it."""
    WAITING = "WAITING"
    """It waits for a time, a message, a person or a child."""
    OPEN = "OPEN"
    """Steps inside of it run."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapProgress:
    """How far a map is."""

    count: int
    """How many items there are."""
    completed: int = 0
    """How many are done."""
    failed: int = 0
    """How many failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepExecution:
    """Where one step of an execution stands."""

    step_id: str
    """Its path."""
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
    waits: Waits = Waits.NOTHING
    """What it waits for."""
    until: datetime | None = None
    """Until when."""
    asked: Asked | None = None
    """What a person is asked."""
    child: str = ""
    """Id of the child that it runs."""
    items: MapProgress | None = None
    """How far it is, of a map."""
    undo: str = ""
    """The action that undoes it, where that was registered; of what undoes it, the same."""


class Steps:
    """Where the steps stand after some events.

    Attributes:
        by_path: Every step that was scheduled so far, in that order.
    """

    def __init__(self) -> None:
        self.by_path: dict[str, StepExecution] = {}
        self._inside: dict[str, set[str]] = {}

    def apply(self, event: Event) -> None:
        """Go on by one event."""
        body = event.body
        match body:
            case StepScheduled():
                self._schedule(body, event.time)
            case StepReused():
                self.by_path[body.step_id] = StepExecution(
                    step_id=body.step_id,
                    state=StepState.COMPLETED,
                    attempt=0,
                    schedule_time=event.time,
                    end_time=event.time,
                )
            case StepProgressed() | StepRetryScheduled() | IncidentRaised() | StepWaiting() | MapStarted():
                self.by_path[body.step_id] = _go_on(self.by_path[body.step_id], body)
            case IncidentResolved(resolution=Resolution.RETRY):
                step = self.by_path[body.step_id]
                self.by_path[body.step_id] = replace(step, state=StepState.RETRYING, retry_time=event.time)
            case StepCompleted():
                self._end(body.step_id, StepState.COMPLETED, event.time)
                if body.undo:
                    self.by_path[body.step_id] = replace(self.by_path[body.step_id], undo=body.undo)
            case StepFailed():
                self._end(body.step_id, StepState.FAILED, event.time, body.failure)
            case ScopeCompleted() | ScopeFailed():
                self._count(body)
            case (
                ExecutionClosing()
                | ExecutionCompleted()
                | ExecutionCancelled()
                | ExecutionTimedOut()
                | ExecutionFailed()
            ):
                self._end_all(event.time)
            case _:
                pass

    def _schedule(self, body: StepScheduled, time: datetime) -> None:
        known = self.by_path.get(body.step_id)
        self.by_path[body.step_id] = StepExecution(
            step_id=body.step_id,
            state=StepState.SCHEDULED,
            attempt=body.attempt,
            schedule_time=known.schedule_time if known else time,
            progress=known.progress if known else None,
            undo=self._undo_of(body.step_id),
        )
        scope = scope_of(body.step_id)
        container, _ = container_of(scope)
        if scope != TOP and container in self.by_path:
            self._inside.setdefault(container, set()).add(body.step_id)
            holder = self.by_path[container]
            if holder.state is StepState.SCHEDULED:
                self.by_path[container] = replace(holder, state=StepState.OPEN)

    def _undo_of(self, path: str) -> str:
        undone = self.by_path.get(path.removeprefix(f"{UNDO}/")) if path.startswith(f"{UNDO}/") else None
        return undone.undo if undone is not None else ""

    def _count(self, body: ScopeCompleted | ScopeFailed) -> None:
        path, _ = container_of(body.scope)
        step = self.by_path.get(path)
        if step is None or step.items is None:
            return
        failed = isinstance(body, ScopeFailed)
        items = replace(
            step.items, completed=step.items.completed + (not failed), failed=step.items.failed + failed
        )
        self.by_path[path] = replace(step, items=items)

    def _end(self, path: str, state: StepState, time: datetime, failure: Failure | None = None) -> None:
        step = self.by_path[path]
        for inner in self._inside.pop(path, ()):
            if self.by_path[inner].end_time is None:
                self._end(inner, StepState.CANCELLED, time, self.by_path[inner].failure)
        self.by_path[path] = StepExecution(
            step_id=path,
            state=state,
            attempt=step.attempt,
            schedule_time=step.schedule_time,
            end_time=time,
            failure=failure,
            progress=step.progress,
            asked=step.asked,
            child=step.child,
            items=step.items,
            undo=step.undo,
        )

    def _end_all(self, time: datetime) -> None:
        for step in list(self.by_path.values()):
            if step.end_time is None:
                self._end(step.step_id, StepState.CANCELLED, time, step.failure)


def fold_steps(events: Iterable[Event]) -> dict[str, StepExecution]:
    """Derive where every step stands from a history (from its beginning)."""
    steps = Steps()
    for event in events:
        steps.apply(event)
    return steps.by_path


def _go_on(
    step: StepExecution,
    body: StepProgressed | StepRetryScheduled | IncidentRaised | StepWaiting | MapStarted,
) -> StepExecution:
    match body:
        case StepProgressed():
            return replace(step, progress=body.details)
        case StepRetryScheduled():
            return replace(step, state=StepState.RETRYING, failure=body.failure, retry_time=body.retry_time)
        case IncidentRaised():
            return replace(step, state=StepState.INCIDENT, failure=body.failure, retry_time=None)
        case StepWaiting():
            return replace(
                step,
                state=StepState.WAITING,
                waits=body.waits,
                until=body.until,
                asked=body.asked,
                child=body.child,
            )
        case MapStarted():
            return replace(step, state=StepState.OPEN, items=MapProgress(count=body.count))
