"""What is recorded of a place when its time has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from weft.core.errors import DeadlineExceededError, WeftError
from weft.core.reasons import Reason
from weft.server.execution.history.model import EventBody, Failure, StepScheduled, Waits
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.run import Run
from weft.server.execution.rules.endings import completed, failed

__all__ = ["TIMED", "Failed", "when_due"]

TIMED: Final = (Phase.RETRYING, Phase.ACCEPTED, Phase.WAITING)
"""Phases that end by themselves."""

Failed = Callable[[Place, Failure], Sequence[EventBody]]
"""Returns what is recorded of an attempt that failed."""

_NOTHING: Final[tuple[EventBody, ...]] = ()
_TOO_LATE: Final = {
    Waits.SIGNAL: ("no message came in time", Reason.SIGNAL_TIMEOUT),
    Waits.APPROVAL: ("nobody decided in time", Reason.APPROVAL_TIMEOUT),
    Waits.CHILD: ("the child execution did not end in time", Reason.CHILD_TIMEOUT),
}


def when_due(run: Run, place: Place, now: datetime, attempt_failed: Failed) -> Sequence[EventBody]:
    """Return what is recorded of a place whose time has come."""
    match place.phase:
        case Phase.RETRYING:
            return (StepScheduled(step_id=place.path, attempt=place.attempt + 1, cause="retry"),)
        case Phase.ACCEPTED:
            return attempt_failed(place, Failure.of(_silent(place, now)))
        case _:
            return _waited(run, place, now)


def _waited(run: Run, place: Place, now: datetime) -> Sequence[EventBody]:
    """Return what is recorded of a wait that is over."""
    waiting = place.waiting
    if waiting is None or waiting.until is None or waiting.until > now:
        return _NOTHING
    try:
        if waiting.waits is Waits.TIMER:
            text = b'{"until":"%s"}' % waiting.until.isoformat().encode()
            return (completed(run, place, text),)
        return (failed(place, Failure.of(_too_late(place, waiting.waits))),)
    except WeftError as error:
        return (failed(place, Failure.of(error)),)


def _too_late(place: Place, waits: Waits) -> DeadlineExceededError:
    text, reason = _TOO_LATE[waits]
    return DeadlineExceededError(
        f"step {place.path}: {text}", reason=reason, metadata={"step_id": place.path}
    )


def _silent(place: Place, now: datetime) -> DeadlineExceededError:
    if place.close_time is not None and place.close_time <= now:
        text, reason = "did not tell its outcome in time", Reason.ACTION_TIMEOUT
    else:
        text, reason = "was not heard of for its heartbeat timeout", Reason.HEARTBEAT_TIMEOUT
    return DeadlineExceededError(
        f"step {place.path}, attempt {place.attempt}, {text}",
        reason=reason,
        metadata={"step_id": place.path, "attempt": str(place.attempt)},
    )
