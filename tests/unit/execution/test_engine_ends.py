"""How executions end: cancelled, timed out, and what a caller who leaves in the middle cannot break."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from tests.unit.execution.world import SERVICE, eventually, flaky_world, new_world, quiet
from weft.core.errors import PreconditionError, ResourceNotFoundError
from weft.core.names import new_id
from weft.core.reasons import Reason
from weft.server.execution.engine.engine import EngineLimits
from weft.server.execution.history.model import (
    ExecutionCancelled,
    ExecutionState,
    ExecutionTimedOut,
)
from weft.server.execution.history.step_states import StepState
from weft.server.registry.model import Action
from weft.server.workflow.model import Step


async def test_cancel_ends_the_running_action_and_the_execution() -> None:
    """The action is told to stop, and the step counts as cancelled, not as failed."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b")
        execution = await world.start()
        await world.held("a")
        cancelled = await world.executions.cancel(execution.id, "changed my mind")
        assert cancelled.state is ExecutionState.CANCELLED
        await eventually(lambda: len(world.provider.cancelled) == 1)
        events = await world.check(execution.id)
        assert events[-1].body == ExecutionCancelled(reason="changed my mind")
        details = await world.executions.get(execution.id, payloads=True)
        assert [step.state for step in details.steps] == [StepState.CANCELLED]
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.EXECUTION_CANCELLED
        assert "changed my mind" in details.execution.failure.message
        await quiet()
        assert world.provider.steps() == ["a"]
        assert world.engine.open_count == 0


async def test_cancel_before_the_first_step_ran_dispatches_nothing() -> None:
    """An execution that is cancelled as soon as it is accepted never reaches a provider."""
    async with new_world(hold=["a"], limits=EngineLimits(running_steps=1)) as world:
        await world.chain("a")
        first = await world.start()
        held = await world.held("a")
        execution = await world.start()  # waits for its turn
        await world.executions.cancel(execution.id, "at once")
        held.complete()
        await world.ended(first.id)
        await quiet()
        assert [call.execution_id for call in world.provider.calls] == [first.id]
        events = await world.check(execution.id)
        assert [type(event.body).__name__ for event in events][1:] == ["StepScheduled", "ExecutionCancelled"]


async def test_cancel_between_two_steps_stops_the_second() -> None:
    """A step that is recorded as next, but waits for its turn, is not dispatched after the cancellation."""
    async with flaky_world() as (world, store):
        await world.chain("a", "b")
        execution = await world.start()
        store.gate = asyncio.Event()
        await store.at_gate.wait()  # "a" has answered; its record is on the way
        cancelling = asyncio.create_task(world.executions.cancel(execution.id, ""))
        await quiet(3)
        store.gate.set()
        await cancelling
        called = world.provider.steps()
        await quiet()
        assert world.provider.steps() == called  # nothing is dispatched once cancel has returned
        events = await world.check(execution.id)
        assert isinstance(events[-1].body, ExecutionCancelled)


@pytest.mark.parametrize("answer", ["completes", "fails"])
async def test_cancel_after_the_end_says_so(answer: str) -> None:
    """An ended execution is not cancelled: EXECUTION_ENDED says how it ended, and nothing is recorded."""
    async with new_world() as world:
        await world.chain("a")
        if answer == "fails":
            world.provider.answers["a"] = PreconditionError("no", reason="NO")
        details = await world.run()
        before = await world.check(details.execution.id)
        with pytest.raises(PreconditionError) as caught:
            await world.executions.cancel(details.execution.id, "too late")
        assert caught.value.reason == Reason.EXECUTION_ENDED
        assert caught.value.metadata["state"] == details.execution.state
        assert await world.check(details.execution.id) == before


async def test_cancelling_again_changes_nothing() -> None:
    """A second cancellation returns the first one's outcome, with the first one's reason."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        first = await world.executions.cancel(execution.id, "first")
        again = await world.executions.cancel(execution.id, "second")
        assert again == first
        events = await world.check(execution.id)
        assert events[-1].body == ExecutionCancelled(reason="first")


async def test_many_cancel_at_once_and_one_cancellation_is_recorded() -> None:
    """Cancellations that race record one of them, and all return it."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        outcomes = await asyncio.gather(
            *(world.executions.cancel(execution.id, f"reason {number}") for number in range(20))
        )
        assert len({outcome.end_time for outcome in outcomes}) == 1
        assert (await world.kinds(execution.id)).count("ExecutionCancelled") == 1


async def test_cancel_of_what_does_not_exist() -> None:
    """An id of another kind, and one that nobody has, are not found."""
    async with new_world() as world:
        for unknown in ("", "flow", new_id("exe")):
            with pytest.raises(ResourceNotFoundError) as caught:
                await world.executions.cancel(unknown, "")
            assert caught.value.reason == Reason.EXECUTION_NOT_FOUND


async def test_a_caller_who_leaves_during_a_cancellation_leaves_no_zombie() -> None:
    """The cancellation that was on its way to the disk counts, for memory and store alike."""
    async with flaky_world(hold=["a"]) as (world, store):
        await world.chain("a", "b")
        execution = await world.start()
        held = await world.held("a")
        store.gate = asyncio.Event()
        cancelling = asyncio.create_task(world.executions.cancel(execution.id, ""))
        await store.at_gate.wait()
        cancelling.cancel()
        await quiet(3)
        store.gate.set()
        held.complete()
        details = await asyncio.wait_for(world.ended(execution.id), 5)
        assert details.execution.state is ExecutionState.CANCELLED
        await eventually(lambda: world.engine.open_count == 0)
        assert world.provider.steps() == ["a"]
        await world.check(execution.id)


async def test_a_caller_who_leaves_during_a_start_leaves_no_orphan() -> None:
    """What is accepted is run, also when nobody was there any more to be told."""
    async with flaky_world() as (world, store):
        await world.chain("a")
        store.gate = asyncio.Event()
        starting = asyncio.create_task(world.start(request_id="r-1"))
        await store.at_gate.wait()
        starting.cancel()
        await quiet(3)
        store.gate.set()
        await eventually(lambda: world.provider.steps() == ["a"])
        joined = await world.start(request_id="r-1")
        details = await asyncio.wait_for(world.executions.wait(joined), 5)
        assert details.execution.state is ExecutionState.COMPLETED
        assert world.provider.steps() == ["a"]
        await world.check(joined.id)


# ---- time


async def test_the_total_timeout_fires_when_it_is_due_and_not_before() -> None:
    """At the limit the execution is TIMED_OUT, once, and its action is told to stop."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start(timeout=timedelta(seconds=30))
        assert execution.expire_time == execution.create_time + timedelta(seconds=30)
        await world.held("a")
        await world.clock.advance(29.999)
        await quiet()
        assert await world.state(execution.id) is ExecutionState.RUNNING
        await world.clock.advance(0.001)
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.TIMED_OUT
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.EXECUTION_TIMEOUT
        assert details.execution.failure.metadata == {"timeout_seconds": "30"}
        await world.clock.advance(3_600)
        await quiet()
        events = await world.check(execution.id)
        assert events[-1].body == ExecutionTimedOut(timeout=timedelta(seconds=30))
        assert events[-1].time == execution.expire_time
        assert len(world.provider.cancelled) == 1


async def test_no_call_may_take_longer_than_the_execution_has_left() -> None:
    """A provider's deadline shrinks with the time that is left; a moment more, as our own end comes first."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b")
        await world.start(timeout=timedelta(seconds=30))
        held = await world.held("a")
        await world.clock.advance(20)
        held.future.set_result(b"{}")
        await quiet()
        assert world.provider.timeouts == pytest.approx([31, 11], abs=0.1)


async def test_the_workflows_own_timeout_counts_when_the_caller_has_none() -> None:
    """A definition's limit holds for each of its executions; the caller's comes first."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", timeout=timedelta(seconds=10))
        own = await world.start()
        short = await world.start(timeout=timedelta(seconds=1))
        await world.clock.advance(1)
        assert (await world.ended(short.id)).execution.state is ExecutionState.TIMED_OUT
        assert await world.state(own.id) is ExecutionState.RUNNING
        await world.clock.advance(9)
        assert (await world.ended(own.id)).execution.state is ExecutionState.TIMED_OUT


async def test_an_execution_in_time_is_not_timed_out_later() -> None:
    """The timer dies with the execution."""
    async with new_world() as world:
        await world.chain("a", timeout=timedelta(seconds=10))
        details = await world.run()
        await world.clock.advance(60)
        await quiet()
        events = await world.check(details.execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert type(events[-1].body).__name__ == "ExecutionCompleted"


async def test_time_that_passes_while_the_server_is_down_counts() -> None:
    """The limit is a moment, not a duration of uptime: it fires right after the restart."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start(timeout=timedelta(seconds=30))
        await world.held("a")
        await world.crash()
        await world.clock.advance(60)
        await world.restart()
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.TIMED_OUT
        await world.check(execution.id)


async def test_a_timeout_and_a_completion_at_the_same_moment_record_one_end() -> None:
    """Whoever is first wins; the other one is not recorded."""
    for delay in range(8):
        async with new_world(hold=["a"]) as world:
            await world.chain("a")
            execution = await world.start(timeout=timedelta(seconds=1))
            held = await world.held("a")
            expiring = asyncio.create_task(world.clock.advance(1))
            for _ in range(delay):
                await asyncio.sleep(0)
            held.complete()
            await expiring
            details = await world.ended(execution.id)
            assert details.execution.state in {ExecutionState.TIMED_OUT, ExecutionState.COMPLETED}
            await world.check(execution.id)


async def test_a_failure_is_logged_without_values(caplog: pytest.LogCaptureFixture) -> None:
    """What a payload holds is in the history, for those who may read it, and not in the log."""
    caplog.set_level(logging.DEBUG)
    async with new_world() as world:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
        await world.register(Action(name="a", input_schema=schema))
        await world.workflow(Step(id="a", service=SERVICE, action="a"))
        details = await world.run(value={"n": "hunter2-SECRET"})
        assert details.execution.failure is not None
        assert "step a failed: VALIDATION_FAILED" in caplog.text
        assert "SECRET" not in caplog.text
