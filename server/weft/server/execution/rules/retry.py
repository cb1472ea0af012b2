"""What follows a failed attempt: another one, an incident, or the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from weft.core.errors import Code
from weft.core.reasons import DOMAIN, Reason
from weft.server.execution.history.events import (
    EventBody,
    Failure,
    IncidentRaised,
    StepRetryScheduled,
)
from weft.server.execution.history.paths import UNDO
from weft.server.execution.history.place import Place
from weft.server.execution.rules.endings import handler_of
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

_UNKNOWN_OUTCOME: Final = frozenset(
    {Reason.ACTION_UNAVAILABLE, Reason.ACTION_TIMEOUT, Reason.HEARTBEAT_TIMEOUT, Reason.OUTCOME_UNKNOWN}
)
"""Reasons of failures after which the action may have run, or may still run."""

_LONGEST_ASKED: Final = timedelta(hours=24)
"""As long as a pause of the step's own may be at most; what asks for more means another unit."""


def after_failure(
    step: Step,
    place: Place,
    failure: Failure,
    now: datetime,
    chance: Callable[[], float],
    instance_id: str = "",
    asked: timedelta | None = None,
) -> tuple[EventBody, ...]:
    """Return what is recorded of a failed attempt; nothing when the step failed for good.

    Args:
        step: The step; one without a retry policy has a single attempt.
        place: Where it stands: the attempt that failed is its newest one.
        failure: Why.
        now: When.
        chance: Returns numbers in [0, 1).
        instance_id: Who ran it, if anybody was reached.
        asked: How long it asks to be left alone, if it does.
    """
    if step.at_most_once and failure.reason in _UNKNOWN_OUTCOME:
        return (_incident(place, failure, instance_id),)
    policy = step.retry
    retry_time = None
    if policy is not None and _is_tried_again(policy, place, failure):
        retry_time = _retry_time(step, place, now + backoff(policy, place.failures + 1, chance(), asked), now)
    if retry_time is not None:
        retry = StepRetryScheduled(
            step_id=place.path,
            attempt=place.attempt,
            failure=failure,
            retry_time=retry_time,
            instance_id=instance_id,
        )
        return (retry,)
    if place.scope == UNDO:
        return (_incident(place, _not_undone(place, failure), instance_id),)
    if policy is None or policy.exhausted is not Exhausted.INCIDENT or _meant(failure, policy):
        return ()
    return () if handler_of(step, failure) is not None else (_incident(place, failure, instance_id),)


def _incident(place: Place, failure: Failure, instance_id: str) -> IncidentRaised:
    return IncidentRaised(step_id=place.path, attempt=place.attempt, failure=failure, instance_id=instance_id)


def _not_undone(place: Place, failure: Failure) -> Failure:
    """Say that a step could not be undone: somebody has to look, whatever the reason was."""
    return replace(
        failure,
        reason=str(Reason.COMPENSATION_FAILED),
        message=f"{place.path} could not be undone: {failure.message}",
        metadata={**failure.metadata, "cause": failure.reason},
        domain=DOMAIN,
    )


def _is_tried_again(policy: RetryPolicy, place: Place, failure: Failure) -> bool:
    if failure.code not in _RETRYABLE or failure.reason in policy.non_retryable:
        return False
    return not policy.max_attempts or place.failures + 1 < policy.max_attempts


def _retry_time(step: Step, place: Place, due: datetime, now: datetime) -> datetime | None:
    """Return when the next attempt is due; None when all of them would take too long together."""
    limit = step.schedule_to_close_timeout
    return None if limit is not None and due >= (place.since or now) + limit else due


def backoff(policy: RetryPolicy, failures: int, chance: float, asked: timedelta | None = None) -> timedelta:
    """Return the pause after so many failures.

    Args:
        policy: How it grows.
        failures: 1, 2, …
        chance: In [0, 1): how much of the jitter it has.
        asked: How long the one that failed asks to be left alone: no pause is shorter.
    """
    longest = policy.max_backoff.total_seconds()
    # Beyond some hundred doublings a float has no end; the longest pause is reached long before.
    grown = min(longest, policy.initial_backoff.total_seconds() * policy.multiplier ** min(failures - 1, 256))
    least = min(asked, _LONGEST_ASKED).total_seconds() if asked is not None else 0.0
    return timedelta(seconds=max(grown, least) * (1 + policy.jitter * chance))


def _meant(failure: Failure, policy: RetryPolicy) -> bool:
    """Tell a failure that the action answered on purpose from one that somebody should look at."""
    if failure.reason in policy.non_retryable:
        return True
    return failure.domain != DOMAIN and failure.code not in _RETRYABLE
