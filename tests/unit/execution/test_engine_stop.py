"""What the engine lets go of at a stop."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.unit.execution.world import SERVICE, flaky_world, new_world, quiet
from weft.core.errors import (
    ServiceUnavailableError,
)
from weft.core.reasons import Reason
from weft.server.execution.engine.engine import EngineLimits
from weft.server.execution.history.model import ExecutionState
from weft.server.registry.model import Action
from weft.server.workflow.model import Step


async def test_a_drain_finishes_the_running_step_and_starts_no_other() -> None:
    """The running step is recorded; the next one is neither scheduled nor dispatched."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b")
        execution = await world.start()
        held = await world.held("a")
        waiting = asyncio.create_task(world.executions.wait(execution))
        draining = asyncio.create_task(world.engine.drain(timedelta(seconds=5)))
        await quiet(3)
        assert not draining.done()
        held.complete({"x": 1})
        await draining
        with pytest.raises(ServiceUnavailableError) as caught:
            await waiting
        assert caught.value.reason == Reason.SERVER_DRAINING
        assert caught.value.retry_after is not None
        assert world.provider.steps() == ["a"]
        kinds = await world.kinds(execution.id)
        assert kinds[-1] == "StepCompleted"
        await world.restart()
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert world.provider.steps() == ["a", "b"]
        await world.check(execution.id)


async def test_a_drain_does_not_take_for_silent_who_cannot_be_heard() -> None:
    """A server that stops takes no calls, so no heartbeats that come by RPC: the attempt is let end."""
    async with new_world(hold=["a"]) as world:
        await world.register(Action(name="a"))
        await world.workflow(
            Step(id="a", service=SERVICE, action="a", heartbeat_timeout=timedelta(milliseconds=50))
        )
        execution = await world.start()
        held = await world.held("a")
        assert held.call.on_heartbeat is not None
        held.call.on_heartbeat(b"")
        draining = asyncio.create_task(world.engine.drain(timedelta(seconds=5)))
        await asyncio.sleep(0.2)
        assert not draining.done()
        held.complete()
        await draining
        assert "StepCompleted" in await world.kinds(execution.id)
        await world.check(execution.id)


async def test_a_drain_gives_up_on_a_step_after_the_grace() -> None:
    """A step that does not end in time is told to stop, and runs again, as the next attempt."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        await world.held("a")
        await world.engine.drain(timedelta(milliseconds=20))
        assert len(world.provider.cancelled) == 1
        assert await world.kinds(execution.id) == ["ExecutionStarted", "StepScheduled"]
        world.provider.hold.clear()
        await world.restart()
        details = await world.ended(execution.id)
        assert [call.attempt for call in world.provider.calls] == [1, 2]
        assert len({call.idempotency_key for call in world.provider.calls}) == 1
        assert [step.attempt for step in details.steps] == [2]
        await world.check(execution.id)


async def test_a_drain_starts_no_step_that_waited_for_its_turn() -> None:
    """A step whose turn comes during the drain is left for the next start."""
    async with new_world(hold=["a"], limits=EngineLimits(running_steps=1)) as world:
        await world.chain("a")
        for _ in range(3):
            await world.start()
        held = await world.held("a")
        draining = asyncio.create_task(world.engine.drain(timedelta(seconds=5)))
        await quiet(3)
        held.complete()
        await asyncio.wait_for(draining, 2)
        assert len(world.provider.calls) == 1


async def test_a_draining_engine_takes_nothing_new() -> None:
    """Starts and waits are answered with SERVER_DRAINING, also for executions that nobody owns."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        await world.held("a")
        await world.engine.drain(timedelta(0))
        attempts = (
            world.start(),
            world.executions.wait(execution),
            world.executions.cancel(execution.id, ""),
        )
        for attempt in attempts:
            with pytest.raises(ServiceUnavailableError) as caught:
                await attempt
            assert caught.value.reason == Reason.SERVER_DRAINING


async def test_a_start_that_is_on_its_way_during_the_drain_is_kept_for_later() -> None:
    """It is accepted, since it is on the disk; it is not run now; the next start runs it."""
    async with flaky_world() as (world, store):
        await world.chain("a")
        store.gate = asyncio.Event()
        starting = asyncio.create_task(world.start())
        await store.at_gate.wait()
        await world.engine.drain(timedelta(seconds=1))
        store.gate.set()
        execution = await starting
        await quiet()
        assert world.provider.calls == []
        assert world.engine.open_count == 0
        await world.restart()
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
