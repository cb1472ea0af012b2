"""When to try again, and how long to wait before."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, TypeVar

from weft.core.clock import Clock
from weft.core.errors import MaxRetriesExceededError, ValidationError, Violation, WeftError
from weft.core.reasons import Rule

__all__ = ["NO_RETRY", "RandomSource", "RetryPolicy", "backoff", "call_with_retry"]

T = TypeVar("T")


class RandomSource(Protocol):
    """Where jitter comes from."""

    def uniform(self, a: float, b: float) -> float:
        """Return a number between the two."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter, for failures that are retryable."""

    max_retries: int = 3
    """How many attempts may follow the first one; 0 turns retries off."""
    base_delay: timedelta = timedelta(seconds=0.5)
    """What the first wait is drawn around."""
    max_delay: timedelta = timedelta(seconds=4)
    """The longest wait, before jitter."""
    factor: float = 2.0
    """How much longer each wait is than the one before."""
    jitter: float = 0.2
    """Each wait is multiplied by a number between 1 - jitter and 1 + jitter (gRFC A6)."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValidationError: Every fault.
        """
        checks = (
            ("max_retries", self.max_retries >= 0, "must not be negative"),
            ("base_delay", self.base_delay >= timedelta(), "must not be negative"),
            ("max_delay", self.max_delay >= timedelta(), "must not be negative"),
            ("factor", 1 <= self.factor < math.inf, "must be at least 1"),
            ("jitter", 0 <= self.jitter <= 1, "must be between 0 and 1"),
        )
        if faults := [Violation(name, text, Rule.OUT_OF_RANGE) for name, holds, text in checks if not holds]:
            raise ValidationError(faults)


_LONG_AGO: Final = 100
"""Retries after which a wait has reached its longest; further powers are too large for a float."""

NO_RETRY = RetryPolicy(max_retries=0)
"""One attempt."""


def backoff(policy: RetryPolicy, retry: int, chance: RandomSource) -> timedelta:
    """Return the wait before a retry; the first one has number 1."""
    grown = policy.base_delay.total_seconds() * policy.factor ** min(retry - 1, _LONG_AGO)
    capped = min(grown, policy.max_delay.total_seconds())
    return timedelta(seconds=capped * chance.uniform(1 - policy.jitter, 1 + policy.jitter))


def _never(_: WeftError) -> bool:
    return False


async def call_with_retry(
    attempt: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    clock: Clock,
    chance: RandomSource | None = None,
    got_on: Callable[[WeftError], bool] = _never,
    then: RetryPolicy | None = None,
) -> T:
    """Make attempts until one succeeds, fails for good, or none is left.

    A server's push-back (``retry_after``) is waited for when it is longer than
    our own wait.

    Args:
        attempt: Makes one.
        policy: How often, and with which waits.
        clock: For the waits.
        chance: For their jitter.
        got_on: Tells whether an attempt had got on before it failed: then its failure counts as the first.
        then: The policy from the first attempt that had got on; None: the same one.

    Raises:
        MaxRetriesExceededError: The last attempt failed with a retryable error too.
        WeftError: An attempt failed with an error that is not retryable.
    """
    source = chance or random
    failures = 0
    while True:
        try:
            return await attempt()
        except asyncio.CancelledError:
            raise
        except WeftError as error:
            if got_on(error):
                failures, policy = 0, then or policy
            failures += 1
            if not error.retryable or policy.max_retries == 0:
                raise
            if failures > policy.max_retries:
                raise MaxRetriesExceededError(failures, error) from error
            wait = backoff(policy, failures, source)
            await clock.sleep(max(wait, error.retry_after or timedelta()).total_seconds())
