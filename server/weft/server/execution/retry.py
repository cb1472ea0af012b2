"""What follows a failed attempt: another one, an incident, or the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from weft.core.errors import Code
from weft.core.reasons import DOMAIN
from weft.server.execution.events import (
    EventBody,
    ExecutionFailed,
    Failure,
    IncidentRaised,
    StepFailed,
    StepRetryScheduled,
)
from weft.server.execution.standing import Standing
from weft.server.workflow.model import Exhausted, RetryPolicy, Step

__all__ = ["after_failure", "backoff"]

_RETRYABLE: Final = frozenset(
    {
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.ABORTED,
        Code.INTERNAL,
        Code.UNKNOWN,
    }
)
"""Codes of failures that another attempt may not have; the others speak of the input, or are meant."""


def after_failure(
    step: Step,
    standing: Standing,
    failure: Failure,
    now: datetime,
    chance: Callable[[], float],
    instance_id: str = "",
) -> tuple[EventBody, ...]:
    """Return what is recorded of a failed attempt.

    Args:
        step: The step; without a retry policy its first failure ends the execution.
        standing: Where the execution stands: the attempt that failed is its newest one.
        failure: Why.
        now: When.
        chance: Returns numbers in [0, 1).
        instance_id: Who ran it, if anybody was reached.
    """
    policy = step.retry
    if policy is not None:
        retry_time = _retry_time(step, policy, standing, failure, now, chance)
        if retry_time is not None:
            retry = StepRetryScheduled(
                step_id=step.id,
                attempt=standing.attempt,
                failure=failure,
                retry_time=retry_time,
                instance_id=instance_id,
            )
            return (retry,)
        if policy.exhausted is Exhausted.INCIDENT and not _meant(failure, policy):
            incident = IncidentRaised(
                step_id=step.id, attempt=standing.attempt, failure=failure, instance_id=instance_id
            )
            return (incident,)
    failed = StepFailed(step_id=step.id, attempt=standing.attempt, failure=failure, instance_id=instance_id)
    return failed, ExecutionFailed(failure=failure)


def _retry_time(
    step: Step,
    policy: RetryPolicy,
    standing: Standing,
    failure: Failure,
    now: datetime,
    chance: Callable[[], float],
) -> datetime | None:
    """Return when the next attempt is due; None when there is none."""
    failures = standing.failures + 1
    if failure.code not in _RETRYABLE or failure.reason in policy.non_retryable:
        return None
    if policy.max_attempts and failures >= policy.max_attempts:
        return None
    retry_time = now + backoff(policy, failures, chance())
    limit = step.schedule_to_close_timeout
    if limit is not None and retry_time >= (standing.since or now) + limit:
        return None
    return retry_time


def backoff(policy: RetryPolicy, failures: int, chance: float) -> timedelta:
    """Return the pause after so many failures.

    Args:
        policy: How it grows.
        failures: 1, 2, …
        chance: In [0, 1): how much of the jitter it has.
    """
    longest = policy.max_backoff.total_seconds()
    # Beyond some hundred doublings a float has no end; the longest pause is reached long before.
    grown = min(longest, policy.initial_backoff.total_seconds() * policy.multiplier ** min(failures - 1, 256))
    return timedelta(seconds=grown * (1 + policy.jitter * chance))


def _meant(failure: Failure, policy: RetryPolicy) -> bool:
    """Tell a failure that the action answered on purpose from one that somebody should look at."""
    if failure.reason in policy.non_retryable:
        return True
    return failure.domain != DOMAIN and failure.code not in _RETRYABLE
