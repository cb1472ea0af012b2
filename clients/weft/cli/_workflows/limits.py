"""What a definition says of retries, timeouts and concurrency, in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weft.cli._base.text import humanize_seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from weft.client import Step, Workflow

__all__ = ["concurrency_text", "limits_text", "retry_text"]


_FURTHER: Final = {"REJECT": "further ones are refused", "CANCEL_RUNNING": "the oldest is cancelled"}


def concurrency_text(workflow: Workflow) -> str:
    """Return how many executions run at the same time, such as ``2 of each ${input.customer}``."""
    found = workflow.concurrency
    if found is None:
        return ""
    text = f"{found.limit} of each {found.key}" if found.key else str(found.limit)
    return f"{text}, {_FURTHER[found.on_conflict]}" if found.on_conflict in _FURTHER else text


def limits_text(step: Step) -> str:
    """Return the timeouts of a step, such as ``30.0s, heartbeat 5.0s, 10m00s in all``."""
    parts = (
        _span(step.timeout),
        _span(step.heartbeat_timeout, "heartbeat {}"),
        _span(step.schedule_to_close_timeout, "{} in all"),
    )
    return ", ".join(part for part in parts if part) or "-"


def retry_text(step: Step) -> str:
    """Return how a step is tried again, such as ``5 attempts, from 1.0s to 1m00s``."""
    policy = step.retry
    if policy is None:
        return "-"
    attempts = f"{policy.max_attempts} attempts" if policy.max_attempts > 0 else "without end"
    pauses = f", from {_span(policy.initial_backoff)} to {_span(policy.max_backoff)}"
    end = ", then fail" if policy.on_exhausted == "FAIL" else ""
    return f"{attempts}{pauses if policy.initial_backoff and policy.max_backoff else ''}{end}"


def _span(value: timedelta | None, form: str = "{}") -> str:
    return form.format(humanize_seconds(value.total_seconds())) if value is not None else ""
