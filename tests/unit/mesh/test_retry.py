"""When to try again, and how long to wait before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import SteppingClock
from weft.core.errors import (
    ConflictError,
    ExhaustedError,
    MaxRetriesExceededError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.mesh.policies.retry import NO_RETRY, RetryPolicy, backoff, call_with_retry

EXACT = RetryPolicy(jitter=0.0)


class Low:
    """Chance that always draws the lowest."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


def down(retry_after: float | None = None) -> ServiceUnavailableError:
    wait = None if retry_after is None else timedelta(seconds=retry_after)
    return ServiceUnavailableError("texts", reason=Reason.NO_INSTANCE, retry_after=wait)


def script(*outcomes: WeftError | str) -> Callable[[], Awaitable[str]]:
    """Return an attempt that has these outcomes, one after the other."""
    left = list(outcomes)

    async def attempt() -> str:
        outcome = left.pop(0)
        if isinstance(outcome, WeftError):
            raise outcome
        return outcome

    return attempt


async def test_a_success_is_returned_without_a_wait() -> None:
    """The first attempt is enough."""
    clock = SteppingClock()
    assert await call_with_retry(script("good"), EXACT, clock) == "good"
    assert clock.waits == []


async def test_waits_grow_and_end_with_the_first_success() -> None:
    """Half a second, then twice as long each time."""
    clock = SteppingClock()
    assert await call_with_retry(script(down(), down(), down(), "good"), EXACT, clock) == "good"
    assert clock.waits == [0.5, 1.0, 2.0]


async def test_who_got_on_counts_anew() -> None:
    """A wait that outlives many restarts is as patient at the last one as at the first."""
    clock = SteppingClock()
    outcomes: list[WeftError | str] = [down(), down(), down(), down(), down(), "good"]
    again = await call_with_retry(script(*outcomes), EXACT, clock, got_on=lambda error: error is outcomes[2])
    assert again == "good"
    assert clock.waits == [0.5, 1.0, 0.5, 1.0, 2.0]


async def test_who_got_on_may_be_more_patient_then() -> None:
    """What was accepted is waited for longer than for its acceptance."""
    patient, clock = replace(EXACT, max_retries=6), SteppingClock()
    outcomes: list[WeftError | str] = [down(), *(down() for _ in range(6)), "good"]
    again = await call_with_retry(
        script(*outcomes), EXACT, clock, got_on=lambda error: error is outcomes[1], then=patient
    )
    assert again == "good"
    assert clock.waits == [0.5, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


async def test_giving_up_keeps_the_last_failure() -> None:
    """Attempts are the first one and the retries; reason and service are those of the last failure."""
    clock = SteppingClock()
    failures = [down() for _ in range(4)]
    with pytest.raises(MaxRetriesExceededError) as caught:
        await call_with_retry(script(*failures), EXACT, clock)
    error = caught.value
    assert (error.attempts, error.last_error, error.__cause__) == (4, failures[3], failures[3])
    assert (error.reason, error.service_name, len(clock.waits)) == (Reason.NO_INSTANCE, "texts", 3)


@pytest.mark.parametrize("error", [ConflictError("changed"), ExhaustedError("full")], ids=repr)
async def test_what_a_repeat_does_not_help_is_raised_at_once(error: WeftError) -> None:
    """As it is, also after retries of something else."""
    clock = SteppingClock()
    with pytest.raises(type(error)) as caught:
        await call_with_retry(script(down(), error), EXACT, clock)
    assert caught.value is error
    assert clock.waits == [0.5]


async def test_without_retries_the_failure_itself_is_raised() -> None:
    """One attempt needs no error that counts attempts."""
    error = down()
    with pytest.raises(ServiceUnavailableError) as caught:
        await call_with_retry(script(error), NO_RETRY, SteppingClock())
    assert caught.value is error


async def test_a_server_that_asks_for_more_time_gets_it() -> None:
    """The longer of its wait and ours counts."""
    clock = SteppingClock()
    await call_with_retry(script(down(retry_after=3.5), down(retry_after=0.1), "good"), EXACT, clock)
    assert clock.waits == [3.5, 1.0]


async def test_cancelling_ends_the_retries() -> None:
    """In the attempt as well as in the wait."""
    clock = ManualClock()
    waiting = asyncio.create_task(call_with_retry(script(down(), "never"), EXACT, clock))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_another_exception_is_not_retried() -> None:
    """A defect is not made better by repeating it."""

    async def attempt() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call_with_retry(attempt, EXACT, SteppingClock())


def test_jitter_spreads_each_wait_around_its_own_length() -> None:
    """The lowest draw of 20 % is 0.8 of it."""
    waits = [backoff(RetryPolicy(), retry, Low()) for retry in (1, 2, 3, 4, 5)]
    assert [wait.total_seconds() for wait in waits] == [0.4, 0.8, 1.6, 3.2, 3.2]


@settings(deadline=None)
@given(
    retry=st.integers(1, 100_000),
    base=st.floats(0.001, 60),
    most=st.floats(0.001, 60),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
)
def test_no_wait_is_longer_than_the_longest(
    retry: int, base: float, most: float, factor: float, jitter: float
) -> None:
    """Never negative, never beyond the longest and its jitter, however many retries there were."""
    policy = RetryPolicy(
        base_delay=timedelta(seconds=base), max_delay=timedelta(seconds=most), factor=factor, jitter=jitter
    )
    wait = backoff(policy, retry, random.Random(retry)).total_seconds()
    assert 0 <= wait <= most * (1 + jitter) + 1e-5
