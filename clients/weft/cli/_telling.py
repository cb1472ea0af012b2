"""What people are told of an open execution: what it waits for, how far an action is, what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from weft.cli._text import clean, humanize_seconds, local_time, shorten

if TYPE_CHECKING:
    from weft.client import Event, Execution, StepExecution

__all__ = ["advice", "clock_time", "origin", "pause_text", "progress_text", "step_note", "waits"]

_MAX_DETAILS: Final = 60


def waits(execution: Execution) -> str:
    """Return what an execution waits for, such as ``RETRY until 12:00:03``; nothing when it does not."""
    if not execution.waits_for or execution.wait_until is None:
        return execution.waits_for
    return f"{execution.waits_for} until {clock_time(execution.wait_until)}"


def clock_time(moment: datetime) -> str:
    """Return the time of a moment by the local clock, with its day when that is not near."""
    local = moment.astimezone()
    near = abs(local - datetime.now(UTC)) < timedelta(hours=12)
    return local.strftime("%H:%M:%S") if near else local_time(moment)


def origin(execution: Execution) -> str:
    """Return which execution it repeats, from where."""
    found = execution.origin
    return f"repeats {found.execution_id} from step {found.from_step}" if found else ""


def progress_text(details: Mapping[str, Any] | None) -> str:
    """Return what an action told: ``percent``, or ``done`` of ``total``, or else all of it as JSON."""
    if not details:
        return ""
    percent, done, total = (details.get(name) for name in ("percent", "done", "total"))
    if _is_number(percent):
        return f"{percent:g} %"
    if _is_number(done) and _is_number(total):
        return f"{done:g} of {total:g}"
    return shorten(clean(json.dumps(details, ensure_ascii=False)), _MAX_DETAILS)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def step_note(step: StepExecution) -> str:
    """Return what there is to say of a step: when its next attempt is, how far it is, why it failed."""
    failure = f"{step.failure.reason}: {step.failure.message}" if step.failure else ""
    again = f"next attempt at {clock_time(step.retry_time)}" if step.retry_time else ""
    told = progress_text(step.progress) if step.end_time is None else ""
    return "; ".join(part for part in (again, told, failure) if part)


def pause_text(event: Event) -> str:
    """Return how long after an event its next attempt is due."""
    try:
        due = datetime.fromisoformat(str(event.data.get("retry_time")))
    except ValueError:
        return "soon"
    if event.time is None:
        return f"at {clock_time(due)}"
    return f"in {humanize_seconds((due - event.time).total_seconds())}"


def advice(event: Event, execution_id: str) -> str:
    """Return what a person can do about what just happened, in lines; nothing of most events."""
    resolve = f"weft executions resolve {execution_id}"
    match event.kind:
        case "incident_raised":
            return (
                f"Step {clean(event.data.get('step_id', ''))} used up its attempts; the execution waits:\n"
                f"  try it again:   {resolve}\n"
                f"  with an input:  {resolve} --input '{{…}}'\n"
                f"  give it up:     {resolve} --fail"
            )
        case "execution_paused":
            return f"Paused; to go on:  weft executions resume {execution_id}"
        case _:
            return ""
