"""Where an execution stands, as far as that decides what comes next: a pure fold over its history."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto, unique

from weft.core.errors import CallCancelledError, DeadlineExceededError
from weft.core.reasons import Reason
from weft.server.execution.model import (
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionState,
    ExecutionTimedOut,
    Failure,
    IncidentRaised,
    IncidentResolved,
    StepAccepted,
    StepCompleted,
    StepProgressed,
    StepRetryScheduled,
    StepReused,
    StepScheduled,
)

__all__ = ["Phase", "Standing"]

_FINAL = {
    ExecutionCompleted: ExecutionState.COMPLETED,
    ExecutionFailed: ExecutionState.FAILED,
    ExecutionCancelled: ExecutionState.CANCELLED,
    ExecutionTimedOut: ExecutionState.TIMED_OUT,
}


@unique
class Phase(Enum):
    """What there is to do."""

    READY = auto()
    """The step after ``step_id`` is to be scheduled; the first one when that is empty."""
    SCHEDULED = auto()
    """An attempt of ``step_id`` runs, or is lost when nobody here runs it."""
    ACCEPTED = auto()
    """An attempt runs elsewhere; its outcome will be told."""
    RETRYING = auto()
    """The next attempt is due at ``retry_time``."""
    INCIDENT = auto()
    """Somebody has to decide."""
    ENDED = auto()
    """Nothing."""


class Standing:
    """What the events so far add up to.

    Attributes:
        phase: What there is to do.
        step_id: The step that it is about.
        attempt: The newest attempt of it; 0 before the first.
        failures: How many attempts failed since it was first scheduled, or its incident was resolved.
        since: When that was.
        start_time: When the newest attempt was scheduled.
        close_time: When it has to be over, if it runs elsewhere.
        heard_time: When it was heard of last.
        retry_time: When the next attempt is due.
        paused: Whether it is paused.
        progress: JSON text of what an attempt of the step told last; empty: nothing.
        input: JSON text that replaces the input that the step would make.
        failure: Why it ended, or why the last attempt failed.
        final: In which state it ended.
    """

    __slots__ = (
        "attempt",
        "close_time",
        "failure",
        "failures",
        "final",
        "heard_time",
        "input",
        "paused",
        "phase",
        "progress",
        "retry_time",
        "since",
        "start_time",
        "step_id",
    )

    def __init__(self) -> None:
        self.phase = Phase.READY
        self.step_id = ""
        self.attempt = 0
        self.failures = 0
        self.since: datetime | None = None
        self.start_time: datetime | None = None
        self.close_time: datetime | None = None
        self.heard_time: datetime | None = None
        self.retry_time: datetime | None = None
        self.paused = False
        self.progress = b""
        self.input: bytes | None = None
        self.failure: Failure | None = None
        self.final: ExecutionState | None = None

    def copy(self) -> Standing:
        """Return one that goes its own way."""
        other = Standing.__new__(Standing)
        other.attempt = self.attempt
        other.close_time = self.close_time
        other.failure = self.failure
        other.failures = self.failures
        other.final = self.final
        other.heard_time = self.heard_time
        other.input = self.input
        other.paused = self.paused
        other.phase = self.phase
        other.progress = self.progress
        other.retry_time = self.retry_time
        other.since = self.since
        other.start_time = self.start_time
        other.step_id = self.step_id
        return other

    @property
    def state(self) -> ExecutionState:
        """What people are told."""
        if self.final is not None:
            return self.final
        if self.paused:
            return ExecutionState.PAUSED
        return ExecutionState.INCIDENT if self.phase is Phase.INCIDENT else ExecutionState.RUNNING

    def silent_at(self, heartbeat_timeout: timedelta | None) -> datetime | None:
        """Return when an attempt that runs elsewhere has to be over, or to be heard of."""
        if heartbeat_timeout is None or self.heard_time is None or self.close_time is None:
            return self.close_time
        return min(self.close_time, self.heard_time + heartbeat_timeout)

    def apply(self, event: Event) -> None:
        """Go on by one event."""
        body = event.body
        match body:
            case StepScheduled():
                self._schedule(body, event.time)
            case StepCompleted() | StepReused():
                self._next(body.step_id)
            case StepAccepted():
                self.phase = Phase.ACCEPTED
                self.heard_time, self.close_time = event.time, body.close_time
            case StepProgressed():
                self.progress, self.heard_time = body.details, event.time
            case StepRetryScheduled():
                self.phase = Phase.RETRYING
                self.failures += 1
                self.failure, self.retry_time = body.failure, body.retry_time
            case IncidentRaised():
                self.phase = Phase.INCIDENT
                self.failure = body.failure
            case IncidentResolved():
                self._resolve(body, event.time)
            case ExecutionPaused() | ExecutionResumed():
                self.paused = isinstance(body, ExecutionPaused)
            case ExecutionCompleted() | ExecutionFailed() | ExecutionCancelled() | ExecutionTimedOut():
                self.phase = Phase.ENDED
                self.final = _FINAL[type(body)]
                self.failure = _why(body)
            case _:
                pass

    def _schedule(self, body: StepScheduled, time: datetime) -> None:
        if body.step_id != self.step_id or self.since is None:
            self._next(body.step_id)
            self.since = time
        self.phase = Phase.SCHEDULED
        self.attempt = body.attempt
        self.start_time = self.heard_time = time
        self.close_time = self.retry_time = None

    def _next(self, step_id: str) -> None:
        """Forget what was about one step, as another one is looked at now."""
        self.phase = Phase.READY
        self.step_id = step_id
        self.attempt = self.failures = 0
        self.since = self.start_time = self.close_time = self.heard_time = self.retry_time = None
        self.progress = b""
        self.input = self.failure = None

    def _resolve(self, body: IncidentResolved, time: datetime) -> None:
        self.phase = Phase.RETRYING
        self.retry_time = self.since = time
        self.failures = 0
        if body.input is not None:
            self.input = body.input


def _why(
    body: ExecutionCompleted | ExecutionFailed | ExecutionCancelled | ExecutionTimedOut,
) -> Failure | None:
    match body:
        case ExecutionFailed():
            return body.failure
        case ExecutionCancelled():
            return Failure.of(_cancelled(body.reason))
        case ExecutionTimedOut():
            return Failure.of(_timed_out(body.timeout.total_seconds()))
        case _:
            return None


def _cancelled(reason: str) -> CallCancelledError:
    text = f"the execution was cancelled: {reason}" if reason else "the execution was cancelled"
    return CallCancelledError(text, reason=Reason.EXECUTION_CANCELLED)


def _timed_out(limit: float) -> DeadlineExceededError:
    seconds = f"{limit:g}"
    return DeadlineExceededError(
        f"the execution did not end within {seconds} s",
        reason=Reason.EXECUTION_TIMEOUT,
        metadata={"timeout_seconds": seconds},
    )
