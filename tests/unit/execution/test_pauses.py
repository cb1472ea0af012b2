"""Executions and workflows that are paused: nothing is dispatched, nothing is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.execution.world import SERVICE, World, eventually, new_world, quiet
from weft.core.errors import PreconditionError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.server.execution.history.model import ExecutionState, Waits
from weft.server.execution.orders.orders import Pause, Resume
from weft.server.registry.model import Action
from weft.server.workflow.model import RetryPolicy, Step, WorkflowState

PAUSE = Pause(execution_id="", reason="look at it")
RESUME = Resume(execution_id="", reason="go on")


async def test_a_paused_execution_finishes_its_attempt_and_begins_no_other() -> None:
    """What runs is recorded; the next step comes after the resume, as its first attempt."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b")
        execution = await world.start()
        held = await world.held("a")
        paused = await world.executions.order(execution.id, PAUSE)
        assert paused.state is ExecutionState.PAUSED
        assert (await world.executions.order(execution.id, PAUSE)).last_event == paused.last_event
        held.complete({"x": 1})
        await eventually(lambda: world.engine.open_count == 0)
        stored = await world.store.get_execution(execution.id)
        assert stored is not None
        assert (stored.state, stored.waits, stored.due_time) == (ExecutionState.PAUSED, Waits.RESUME, None)
        await world.restart()
        await world.clock.advance(3600)
        await quiet()
        assert world.provider.steps() == ["a"]
        resumed = await world.executions.order(execution.id, RESUME)
        assert resumed.state is ExecutionState.RUNNING
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert [call.attempt for call in world.provider.calls] == [1, 1]
        await world.check(execution.id)


async def test_an_attempt_that_a_crash_took_from_a_paused_execution_runs_again_after_the_resume() -> None:
    """Not before; and as the next attempt."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        await world.held("a")
        await world.executions.order(execution.id, PAUSE)
        await world.restart()
        await quiet()
        assert len(world.provider.calls) == 1
        world.provider.hold.clear()
        await world.executions.order(execution.id, RESUME)
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert [call.attempt for call in world.provider.calls] == [1, 2]
        await world.check(execution.id)


async def test_a_retry_that_comes_due_during_a_pause_waits_for_the_resume() -> None:
    """Then it is made at once."""
    async with new_world() as world:
        await world.register(Action(name="a"))
        await world.workflow(Step(id="a", service=SERVICE, action="a", retry=RetryPolicy(jitter=0.0)))
        world.provider.answers["a"] = ServiceUnavailableError(SERVICE, "down", reason="ACTION_UNAVAILABLE")
        execution = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        await quiet()
        await world.executions.order(execution.id, PAUSE)
        world.provider.answers.clear()
        await world.clock.advance(60)
        await quiet()
        assert len(world.provider.calls) == 1
        await world.executions.order(execution.id, RESUME)
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        await world.check(execution.id)


async def test_a_paused_execution_still_runs_out_of_time_and_can_be_cancelled() -> None:
    """A pause holds up steps, not the promise to end."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b")
        late = await world.start(timeout=timedelta(seconds=30))
        cancelled = await world.start()
        for execution in (late, cancelled):
            await world.executions.order(execution.id, PAUSE)
        for held in list(world.provider.held):
            held.complete()
        await eventually(lambda: world.engine.open_count == 0)
        assert (await world.executions.cancel(cancelled.id, "")).state is ExecutionState.CANCELLED
        for _ in range(32):
            await world.clock.advance(1)
        details = await world.ended(late.id)
        assert details.execution.state is ExecutionState.TIMED_OUT
        assert world.provider.steps() == ["a", "a"]
        for execution in (late, cancelled):
            await world.check(execution.id)
            with pytest.raises(PreconditionError) as caught:
                await world.executions.order(execution.id, RESUME)
            assert caught.value.reason == Reason.EXECUTION_ENDED


async def _set_state(world: World, state: WorkflowState) -> None:
    await world.workflows.set_state("flow", state, "", None)


async def test_a_paused_workflow_holds_all_its_executions_and_those_that_are_started() -> None:
    """What runs is recorded, nothing further is dispatched; active again, everything goes on."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b")
        before = await world.start()
        held = await world.held("a")
        await _set_state(world, WorkflowState.PAUSED)
        during = await world.start()
        assert during.waits is Waits.WORKFLOW
        held.complete()
        await eventually(lambda: world.engine.open_count == 0)
        await world.restart()
        await world.clock.advance(60)
        await quiet()
        assert world.provider.steps() == ["a"]
        assert await world.kinds(during.id) == ["ExecutionStarted"]
        world.provider.hold.clear()
        await _set_state(world, WorkflowState.ACTIVE)
        for execution in (before, during):
            details = await world.ended(execution.id)
            assert details.execution.state is ExecutionState.COMPLETED
            assert {step.attempt for step in details.steps} == {1}
            await world.check(execution.id)


async def test_an_execution_that_waits_for_its_workflow_runs_out_of_time() -> None:
    """Its timeout counts from its start."""
    async with new_world() as world:
        await world.chain("a")
        await _set_state(world, WorkflowState.PAUSED)
        execution = await world.start(timeout=timedelta(seconds=5))
        for _ in range(8):
            await world.clock.advance(1)
        assert (await world.ended(execution.id)).execution.state is ExecutionState.TIMED_OUT
        assert world.provider.calls == []
        await world.check(execution.id)
