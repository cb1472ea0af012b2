"""What people are told of an open execution: what it waits for, how far an action is, what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from weft.cli._base.text import clean, humanize_seconds, local_time, shorten

if TYPE_CHECKING:
    from weft.client import Event, Execution, StepExecution

__all__ = [
    "advice",
    "approval_text",
    "clock_time",
    "map_text",
    "origin",
    "parent",
    "pause_text",
    "progress_text",
    "step_note",
    "waits",
]

_MAX_DETAILS: Final = 60


def waits(execution: Execution) -> str:
    """Return what an execution waits for, such as ``RETRY until 12:00:03``; nothing when it does not."""
    if not execution.waits_for or execution.wait_until is None:
        return execution.waits_for
    return f"{execution.waits_for} until {clock_time(execution.wait_until)}"


def clock_time(moment: datetime | str) -> str:
    """Return the time of a moment by the local clock, with its day when that is not near."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    local = moment.astimezone()
    near = abs(local - datetime.now(UTC)) < timedelta(hours=12)
    return local.strftime("%H:%M:%S") if near else local_time(moment)


def origin(execution: Execution) -> str:
    """Return which execution it repeats, from where."""
    found = execution.origin
    return f"repeats {found.execution_id} from step {found.from_step}" if found else ""


def parent(execution: Execution) -> str:
    """Return whose child it is."""
    found = execution.parent
    return f"step {found.step_id} of {found.execution_id}" if found else ""


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
    parts = (_waits_of(step), again, told, _items(step), step.child_execution_id, failure)
    return "; ".join(part for part in parts if part)


def _waits_of(step: StepExecution) -> str:
    """Return what a step waits for; of a person's decision the question."""
    until = f" until {clock_time(step.wait_until)}" if step.wait_until else ""
    if step.waits_for == "APPROVAL" and step.approval is not None:
        return approval_text(step.approval.to_dict()) + until
    return f"{step.waits_for}{until}" if step.waits_for else ""


def approval_text(asked: Mapping[str, Any]) -> str:
    """Return what is asked, and whom."""
    whom = ", ".join(asked.get("assignees") or ())
    return f"asks{' ' if whom else ''}{whom}: {asked.get('title') or '(no question)'}"


def _items(step: StepExecution) -> str:
    return map_text(step.map.count, step.map.completed, step.map.failed) if step.map else ""


def map_text(count: int, completed: int, failed: int) -> str:
    """Return how far a map is."""
    return f"{completed:,} of {count:,} done" + (f", {failed:,} failed" if failed else "")


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
    step_id = clean(event.data.get("step_id", ""))
    step = f" --step '{step_id}'" if "/" in step_id else ""
    resolve = f"weft executions resolve {execution_id}{step}"
    match event.kind:
        case "step_waiting":
            return _advice_on_waiting(event.data, execution_id, step)
        case "incident_raised":
            return (
                f"Step {step_id} used up its attempts; the execution waits:\n"
                f"  try it again:   {resolve}\n"
                f"  with an input:  {resolve} --input '{{…}}'\n"
                f"  give it up:     {resolve} --fail"
            )
        case "execution_paused":
            return f"Paused; to go on:  weft executions resume {execution_id}"
        case _:
            return ""


def _advice_on_waiting(data: Mapping[str, Any], execution_id: str, step: str) -> str:
    match data.get("reason"):
        case "SIGNAL":
            about = data.get("correlation")
            correlation = f" --correlation '{clean(about)}'" if about else ""
            name = clean(data.get("signal", ""))
            return f"It waits for a message:  weft executions signal {execution_id} {name}{correlation}"
        case "APPROVAL":
            asked = data.get("approval") or {}
            outcomes = "|".join(clean(it) for it in asked.get("outcomes") or ())
            return (
                f"It {clean(approval_text(asked))}:  weft executions decide {execution_id} {outcomes}{step}"
            )
        case _:
            return ""
