"""How far an execution is: folded from its events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from weft.cli._base.text import clean, humanize_seconds
from weft.cli._following.happenings import TELL
from weft.cli._following.step_progress import StepProgress
from weft.cli._following.telling import pause_text, progress_text

if TYPE_CHECKING:
    from weft.client import Event

__all__ = ["Progress"]

_OPEN: Final = {"execution_paused": "PAUSED", "incident_raised": "INCIDENT"}
"""Where an execution stands after these; after most others it runs."""


class Progress:
    """The fold of an execution's events.

    Args:
        step_ids: Steps to show before they are scheduled.
        monotonic: Our own clock.
        with_date: Whether lines say day and zone as well: for what may be long ago.

    Attributes:
        steps: Every step that is known, in order.
        state: Where the execution stands.
        note: Why it ended, unless it completed.
    """

    def __init__(
        self,
        step_ids: Sequence[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
        *,
        with_date: bool = False,
    ) -> None:
        self.steps: dict[str, StepProgress] = {step_id: StepProgress() for step_id in step_ids}
        self.state = "RUNNING"
        self.note = ""
        self._monotonic = monotonic
        self._with_date = with_date
        self._folds: Mapping[str, Callable[[Event], str]] = {
            "execution_started": self._begun,
            "step_scheduled": self._scheduled,
            "step_reused": self._reused,
            "step_accepted": self._accepted,
            "step_progressed": self._progressed,
            "step_retry_scheduled": self._retry,
            "step_completed": self._completed,
            "step_failed": self._failed,
            "incident_raised": self._incident,
            "incident_resolved": self._resolved,
            "execution_paused": self._held,
            "execution_resumed": self._held,
            "execution_completed": self._ended_well,
            "execution_failed": self._ended_by_failure,
            "execution_cancelled": self._cancelled,
            "execution_timed_out": self._timed_out,
        }

    def add(self, event: Event) -> str:
        """Take an event in, and say in one line what happened."""
        text = clean(self._fold(event))
        return f"{self._moment(event)}  {text}"

    def _moment(self, event: Event) -> str:
        if event.time is None:
            return "--:--:--.---"
        local = event.time.astimezone()
        if self._with_date:
            return local.isoformat(sep=" ", timespec="milliseconds")
        return local.strftime("%H:%M:%S.%f")[:-3]

    def now(self) -> float:
        """Return the time of our own clock."""
        return self._monotonic()

    def _fold(self, event: Event) -> str:
        self.state = event.state or _OPEN.get(event.kind, "RUNNING")
        fold = self._folds.get(event.kind)
        if fold is not None:
            return fold(event)
        tell = TELL.get(event.kind)
        return tell(event, self.steps) if tell is not None else event.kind  # of a newer server

    def _step(self, event: Event) -> tuple[str, StepProgress]:
        step_id = str(event.data.get("step_id", ""))
        return step_id, self.steps.setdefault(step_id, StepProgress())

    def _begun(self, event: Event) -> str:
        found = event.data.get("origin")
        if not found:
            return "execution started"
        return f"execution started: repeats {found.get('execution_id')} from step {found.get('from_step')}"

    def _scheduled(self, event: Event) -> str:
        step_id, step = self._step(event)
        step.state, step.ended = "SCHEDULED", None
        step.attempt = int(event.data.get("attempt") or 1)
        step.note = str(event.data.get("cause") or "")
        if step.started is None:
            step.started, step.seen = event.time, self.now()
        again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
        return f"{step_id} scheduled{again}{_because(step.note)}"

    def _completed(self, event: Event) -> str:
        _, known = self._step(event)
        how_far = known.note if known.count else ""
        step_id, step = self._end(event, "COMPLETED", how_far)
        chosen = f"; goes on at {event.data.get('next')}" if event.data.get("next") else ""
        return f"{step_id} completed{self._took(step)}{chosen}"

    def _failed(self, event: Event) -> str:
        step_id, step = self._end(event, "FAILED", _failure_text(event.data.get("failure")))
        to = f"; goes on at {event.data.get('next')}" if event.data.get("next") else "; that is handled"
        handled = to if event.data.get("handled") else ""
        return f"{step_id} failed{self._took(step)}{_because(step.note)}{handled}"

    def _reused(self, event: Event) -> str:
        step_id, step = self._step(event)
        step.state, step.note = "COMPLETED", f"reused from {event.data.get('execution_id', '')}"
        return f"{step_id} {step.note}"

    def _accepted(self, event: Event) -> str:
        return self._note(event, "taken on; its outcome will be told")

    def _progressed(self, event: Event) -> str:
        return self._note(event, progress_text(event.data.get("details")) or "is alive")

    def _note(self, event: Event, text: str) -> str:
        step_id, step = self._step(event)
        step.note = text
        return f"{step_id}: {text}"

    def _retry(self, event: Event) -> str:
        step_id, step = self._step(event)
        failure = _failure_text(event.data.get("failure"))
        following = f"attempt {step.attempt + 1} {pause_text(event)}"
        step.state, step.note = "RETRYING", f"{following}{_because(failure)}"
        return f"{step_id} failed, {step.note}"

    def _incident(self, event: Event) -> str:
        step_id, step = self._step(event)
        step.state, step.note = "INCIDENT", _failure_text(event.data.get("failure"))
        attempts = f"attempt {event.data.get('attempt')}"
        return f"{step_id} has an incident after {attempts}{_because(step.note)}"

    def _resolved(self, event: Event) -> str:
        step_id, step = self._step(event)
        how = str(event.data.get("resolution") or "RETRY").lower()
        step.state, step.note = "RETRYING", str(event.data.get("note") or "")
        return f"{step_id}: incident resolved, {how}{_because(step.note)}"

    def _end(self, event: Event, state: str, note: str) -> tuple[str, StepProgress]:
        step_id, step = self._step(event)
        step.state, step.ended, step.note = state, event.time, note
        step.attempt = int(event.data.get("attempt") or step.attempt)
        for path in [path for path in self.steps if path.startswith(f"{step_id}[")]:
            del self.steps[path]  # what ran inside of it is over
        return step_id, step

    def _held(self, event: Event) -> str:
        what = event.kind.removeprefix("execution_")
        return f"execution {what}{_because(str(event.data.get('reason') or ''))}"

    def _ended_well(self, event: Event) -> str:
        return self._finish(event, "COMPLETED")

    def _ended_by_failure(self, event: Event) -> str:
        return self._finish(event, "FAILED", _failure_text(event.data.get("failure")))

    def _cancelled(self, event: Event) -> str:
        return self._finish(event, "CANCELLED", str(event.data.get("reason") or ""))

    def _timed_out(self, event: Event) -> str:
        return self._finish(event, "TIMED_OUT", _limit_text(event.data.get("timeout")))

    def _took(self, step: StepProgress) -> str:
        seconds = step.seconds(self.now())
        return "" if seconds is None else f" in {humanize_seconds(seconds)}"

    def _finish(self, event: Event, state: str, note: str = "") -> str:
        self.state, self.note = state, note
        for step in self.steps.values():
            if step.under_way:
                step.state, step.ended = "CANCELLED", event.time
        return f"execution {state.replace('_', ' ').lower()}{_because(note)}"


def _because(note: str) -> str:
    return f": {note}" if note else ""


def _failure_text(failure: Any) -> str:
    if not failure:
        return ""
    return f"{failure.get('reason', '')}: {failure.get('message', '')}"


def _limit_text(seconds: Any) -> str:
    return f"longer than {humanize_seconds(float(seconds))}" if seconds else ""
