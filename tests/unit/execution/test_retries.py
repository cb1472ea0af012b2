"""Steps that are tried again: when, how often, and what becomes of them in the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.execution.world import SERVICE, World, eventually, new_world, quiet
from weft.core.errors import ActionFailedError, Code, PreconditionError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.server.execution.history.model import (
    Event,
    ExecutionState,
    IncidentRaised,
    StepRetryScheduled,
    StepScheduled,
    Waits,
)
from weft.server.execution.history.step_states import StepState
from weft.server.execution.orders.orders import Pause, Resolve, Resume
from weft.server.execution.rules.retry import backoff
from weft.server.registry.model import Action
from weft.server.workflow.model import Exhausted, RetryPolicy, Step

STEADY = RetryPolicy(max_attempts=3, initial_backoff=timedelta(seconds=2), jitter=0.0)
DOWN = ServiceUnavailableError(SERVICE, "it is down", reason=Reason.ACTION_UNAVAILABLE)


async def flow(world: World, policy: RetryPolicy | None, **step: Any) -> None:
    await world.register(Action(name="a"), Action(name="b"))
    await world.workflow(
        Step(id="a", service=SERVICE, action="a", next="b", retry=policy, **step),
        Step(id="b", service=SERVICE, action="b"),
    )


def retries(events: tuple[Event, ...]) -> list[StepRetryScheduled]:
    return [event.body for event in events if isinstance(event.body, StepRetryScheduled)]


async def test_a_failed_attempt_is_followed_by_another_one_after_its_pause() -> None:
    """Not before, and as long as it waits everybody can see for what and until when."""
    async with new_world() as world:
        await flow(world, STEADY)
        world.provider.answers["a"] = DOWN
        execution = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        await quiet()
        stored = await world.store.get_execution(execution.id)
        assert stored is not None
        assert (stored.state, stored.waits) == (ExecutionState.RUNNING, Waits.RETRY)
        assert stored.due_time == world.clock.now() + timedelta(seconds=2)
        await world.clock.advance(1.9)
        await quiet()
        assert len(world.provider.calls) == 1
        world.provider.answers["a"] = lambda _: {}
        await world.clock.advance(0.2)
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert [call.attempt for call in world.provider.calls] == [1, 2, 1]
        assert len({call.idempotency_key for call in world.provider.calls[:2]}) == 1
        assert len({call.attempt_token for call in world.provider.calls[:2]}) == 2
        (retry,) = retries(await world.check(execution.id))
        assert (retry.attempt, retry.failure.reason) == (1, Reason.ACTION_UNAVAILABLE)


async def test_a_pause_outlives_the_server() -> None:
    """After a restart the next attempt comes when it was due, neither at once nor with a new pause."""
    async with new_world() as world:
        await flow(world, STEADY)
        world.provider.answers["a"] = DOWN
        execution = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        await quiet()
        await world.clock.advance(1)
        world.provider.answers["a"] = lambda _: {}
        await world.restart()
        await quiet()
        await world.clock.advance(0.9)
        await quiet()
        assert len(world.provider.calls) == 1
        for _ in range(3):
            await world.clock.advance(0.1)
            await quiet()
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert [call.attempt for call in world.provider.calls] == [1, 2, 1]
        scheduled = [e.body for e in await world.check(execution.id) if isinstance(e.body, StepScheduled)]
        assert [(it.step_id, it.attempt, it.cause) for it in scheduled] == [
            ("a", 1, ""),
            ("a", 2, "retry"),
            ("b", 1, ""),
        ]


async def test_an_action_that_says_when_is_not_tried_again_before_that() -> None:
    """The pause is the longer one of what the step says and what the action asks for."""
    async with new_world() as world:
        await flow(world, STEADY)
        world.provider.answers["a"] = ActionFailedError(
            "too many", reason="BUSY", code=Code.RESOURCE_EXHAUSTED, retry_after=timedelta(seconds=30)
        )
        execution = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        await quiet()
        stored = await world.store.get_execution(execution.id)
        assert stored is not None
        assert stored.due_time == world.clock.now() + timedelta(seconds=30)
        world.provider.answers["a"] = ActionFailedError(
            "too many", reason="BUSY", code=Code.RESOURCE_EXHAUSTED, retry_after=timedelta(seconds=1)
        )
        await world.clock.advance(30)
        await eventually(lambda: len(world.provider.calls) == 2)
        await quiet()
        stored = await world.store.get_execution(execution.id)
        assert stored is not None
        assert stored.due_time == world.clock.now() + timedelta(seconds=4)  # the second pause of the step
        await world.check(execution.id)


async def test_a_long_pause_is_waited_for_in_the_store() -> None:
    """An execution that waits for an hour takes no memory, and comes back in time."""
    async with new_world() as world:
        await flow(world, RetryPolicy(initial_backoff=timedelta(hours=1), max_backoff=timedelta(hours=2)))
        world.provider.answers["a"] = DOWN
        execution = await world.start()
        waiting = asyncio.create_task(world.executions.wait(execution))
        await eventually(lambda: len(world.provider.calls) == 1 and world.engine.open_count == 0)
        assert world.engine.held_bytes == 0
        world.provider.answers["a"] = lambda _: {}
        for _ in range(80):
            await world.clock.advance(60)
        await eventually(lambda: len(world.provider.calls) == 3)
        assert (await waiting).execution.state is ExecutionState.COMPLETED
        await world.check(execution.id)


async def test_used_up_attempts_raise_an_incident_that_somebody_resolves() -> None:
    """It stands still, visibly; resolved, it has all its attempts again, with the input it was given."""
    async with new_world() as world:
        await flow(world, STEADY)
        world.provider.answers["a"] = DOWN
        execution = await world.start(value={"x": 1})
        while len(world.provider.calls) < 3:  # the store takes its time to record each
            await quiet()
            await world.clock.advance(10)
        await eventually(lambda: world.engine.open_count == 0)
        assert await world.state(execution.id) is ExecutionState.INCIDENT
        details = await world.executions.get(execution.id, payloads=True)
        assert [step.state for step in details.steps] == [StepState.INCIDENT]
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.ACTION_UNAVAILABLE
        assert details.execution.waits is Waits.INCIDENT
        await world.restart()  # it is nothing that a restart ends
        await quiet()
        assert len(world.provider.calls) == 3

        world.provider.answers["a"] = lambda value: value
        resolve = Resolve(execution_id="", resolution="RETRY", input=b'{"x":2}', note="mended")
        await world.executions.order(execution.id, resolve)
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert [call.input for call in world.provider.calls] == [b'{"x":1}'] * 3 + [b'{"x":2}'] * 2
        assert [call.attempt for call in world.provider.calls] == [1, 2, 3, 4, 1]
        events = await world.check(execution.id)
        assert [type(e.body) for e in events].count(IncidentRaised) == 1


async def test_an_incident_may_be_resolved_as_a_failure() -> None:
    """Then the execution fails, with what its step failed for; and nothing is left to resolve."""
    async with new_world() as world:
        await flow(world, RetryPolicy(max_attempts=1))
        world.provider.answers["a"] = DOWN
        execution = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        await eventually(lambda: world.engine.open_count == 0)
        await world.executions.order(execution.id, Resolve(execution_id="", resolution="FAIL"))
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.FAILED
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.ACTION_UNAVAILABLE
        await world.check(execution.id)
        with pytest.raises(PreconditionError) as caught:
            await world.executions.order(execution.id, Resolve(execution_id="", resolution="FAIL"))
        assert caught.value.reason == Reason.EXECUTION_ENDED


async def test_what_is_resolved_while_it_is_paused_has_no_incident_any_more() -> None:
    """The step is shown as one that is to be tried again, and not as one that somebody has to look at."""
    async with new_world() as world:
        await flow(world, RetryPolicy(max_attempts=1))
        world.provider.answers["a"] = DOWN
        execution = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        await eventually(lambda: world.engine.open_count == 0)
        await world.executions.order(execution.id, Pause(execution_id=""))
        with pytest.raises(PreconditionError, match="step 'b' has no incident"):
            await world.executions.order(
                execution.id, Resolve(execution_id="", resolution="RETRY", step_id="b")
            )
        world.provider.answers.clear()
        await world.executions.order(execution.id, Resolve(execution_id="", resolution="RETRY"))
        details = await world.executions.get(execution.id, payloads=True)
        assert details.execution.state is ExecutionState.PAUSED
        (step,) = details.steps
        assert (step.state, step.retry_time) == (StepState.RETRYING, world.clock.now())
        await world.check(execution.id)
        await world.executions.order(execution.id, Resume(execution_id=""))
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
        await world.check(execution.id)


async def test_nothing_is_resolved_where_there_is_no_incident() -> None:
    """NO_INCIDENT, and the execution goes on."""
    async with new_world(hold=["a"]) as world:
        await flow(world, STEADY)
        execution = await world.start()
        held = await world.held("a")
        with pytest.raises(PreconditionError) as caught:
            await world.executions.order(execution.id, Resolve(execution_id="", resolution="RETRY"))
        assert caught.value.reason == Reason.NO_INCIDENT
        held.complete()
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ActionFailedError("sold out", reason="SOLD_OUT", code=Code.FAILED_PRECONDITION), "FAILED"),
        (ActionFailedError("boom"), "INCIDENT"),
        (PreconditionError("broken", reason=Reason.ACTION_OUTPUT_INVALID), "INCIDENT"),
        (ActionFailedError("no", reason="LISTED", code=Code.UNAVAILABLE), "FAILED"),
    ],
)
async def test_what_an_action_refuses_on_purpose_is_not_tried_again(error: Exception, state: str) -> None:
    """A business reason fails the step at once; what somebody may mend, in the action or here, waits."""
    policy = RetryPolicy(max_attempts=1, non_retryable=("LISTED",))
    async with new_world() as world:
        await flow(world, policy)
        world.provider.answers["a"] = error  # type: ignore[assignment]
        execution = await world.start()
        await eventually(lambda: world.engine.open_count == 0)
        assert await world.state(execution.id) == state
        assert world.provider.steps() == ["a"]


async def test_a_step_may_fail_its_execution_when_its_attempts_are_used_up() -> None:
    """With FAIL there is no incident."""
    async with new_world() as world:
        await flow(world, RetryPolicy(max_attempts=2, exhausted=Exhausted.FAIL, jitter=0.0))
        world.provider.answers["a"] = DOWN
        execution = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        await quiet()
        await world.clock.advance(1)
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.FAILED
        assert len(world.provider.calls) == 2
        await world.check(execution.id)


async def test_all_attempts_together_have_a_limit() -> None:
    """No attempt begins that could not end before the schedule-to-close timeout, and none runs beyond it."""
    policy = RetryPolicy(max_attempts=0, initial_backoff=timedelta(seconds=4), multiplier=1.0, jitter=0.0)
    async with new_world() as world:
        await flow(world, policy, schedule_to_close_timeout=timedelta(seconds=10))
        world.provider.answers["a"] = DOWN
        execution = await world.start()
        for _ in range(4):
            await quiet()
            await world.clock.advance(4)
        await eventually(lambda: world.engine.open_count == 0)
        assert await world.state(execution.id) is ExecutionState.INCIDENT
        assert world.provider.timeouts == pytest.approx([10.0, 6.0, 2.0], abs=0.5)


async def test_a_retry_that_waits_ends_with_its_execution() -> None:
    """Cancelled or out of time while it waits: no further attempt, also when the wait is in the store."""
    for pause in (timedelta(seconds=5), timedelta(hours=1)):
        async with new_world() as world:
            await flow(world, RetryPolicy(initial_backoff=pause, max_backoff=pause))
            world.provider.answers["a"] = DOWN
            first = await world.start()
            second = await world.start(timeout=timedelta(minutes=2))
            await eventually(lambda: len(world.provider.calls) == 2)
            await quiet()
            cancelled = await world.executions.cancel(first.id, "enough")
            assert cancelled.state is ExecutionState.CANCELLED
            calls = len(world.provider.calls)
            for _ in range(130):
                await world.clock.advance(1)
            details = await world.ended(second.id)  # what a turn of the clock began may still be at the store
            assert details.execution.state is ExecutionState.TIMED_OUT
            if pause > timedelta(minutes=2):
                assert len(world.provider.calls) == calls
            assert {call.execution_id for call in world.provider.calls[calls:]} <= {second.id}
            await world.check(first.id)
            await world.check(second.id)


@given(
    failures=st.integers(1, 10_000),
    multiplier=st.floats(1, 10),
    chance=st.floats(0, 1, exclude_max=True),
    jitter=st.floats(0, 1),
)
def test_pauses_grow_to_a_limit_and_are_never_shorter_than_promised(
    failures: int, multiplier: float, chance: float, jitter: float
) -> None:
    """Whatever the policy: at least the pause without jitter, at most one share of jitter more."""
    policy = RetryPolicy(multiplier=multiplier, jitter=jitter, max_backoff=timedelta(minutes=5))
    plain = backoff(policy, failures, 0.0)
    assert policy.initial_backoff <= plain <= policy.max_backoff
    assert plain <= backoff(policy, failures, chance) <= plain * (1 + jitter) + timedelta(microseconds=1)
    assert backoff(policy, failures + 1, 0.0) >= plain


@given(
    asked=st.timedeltas(timedelta(days=-1), timedelta.max),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_what_an_action_asks_for_is_a_least_pause_and_has_a_limit(asked: timedelta, chance: float) -> None:
    """Whatever it asks for: no shorter than the step's own pause, and never more than a day."""
    policy = RetryPolicy()
    pause = backoff(policy, 1, chance, asked)
    day = timedelta(days=1)
    assert pause >= max(backoff(policy, 1, chance), min(asked, day))
    assert pause <= day * (1 + policy.jitter)
