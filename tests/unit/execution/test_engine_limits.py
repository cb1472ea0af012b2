"""How much the engine takes on, and that one sick service does not hold up the others."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.execution.world import OTHER, eventually, new_world, quiet
from weft.core.errors import AlreadyExistsError, ExhaustedError
from weft.core.reasons import Reason
from weft.server.execution.engine.engine import EngineLimits
from weft.server.execution.history.model import ExecutionState
from weft.server.execution.starting.start_commands import KeyConflict, KeyReuse
from weft.server.registry.model import Action
from weft.server.workflow.model import Step


async def test_a_full_engine_refuses_with_a_time_to_wait() -> None:
    """More open executions than allowed are refused with ENGINE_FULL, and taken again when one ended."""
    async with new_world(hold=["a"], limits=EngineLimits(open_executions=2)) as world:
        await world.chain("a")
        first = await world.start()
        await world.start()
        with pytest.raises(ExhaustedError) as caught:
            await world.start()
        assert caught.value.reason == Reason.ENGINE_FULL
        assert caught.value.retry_after == timedelta(seconds=1)
        await world.executions.cancel(first.id, "")
        await world.start()


async def test_starts_at_once_do_not_overfill_the_engine() -> None:
    """The limit holds for starts that are on their way to the disk, too."""
    async with new_world(hold=["a"], limits=EngineLimits(open_executions=5)) as world:
        await world.chain("a")
        outcomes = await asyncio.gather(*(world.start() for _ in range(50)), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, ExhaustedError)]
        assert (world.engine.open_count, len(refused)) == (5, 45)


async def test_a_repeat_is_answered_by_a_full_engine() -> None:
    """A caller who asks again for what it started is not turned away."""
    async with new_world(hold=["a"], limits=EngineLimits(open_executions=1)) as world:
        await world.chain("a")
        first = await world.start(request_id="r-1")
        assert (await world.start(request_id="r-1")).id == first.id


async def test_a_full_engine_returns_what_has_the_key() -> None:
    """Nothing would be started, so there is nothing to wait for; other input is told apart."""
    async with new_world(hold=["a"], limits=EngineLimits(open_executions=1)) as world:
        await world.chain("a")
        first = await world.start(value={"x": 1}, execution_key="order-7")
        use = KeyConflict.USE_EXISTING
        again = await world.start(value={"x": 1}, execution_key="order-7", conflict=use)
        assert again.id == first.id
        others: list[dict[str, Any]] = [{"value": {"x": 2}, "conflict": use}, {"value": {"x": 1}}]
        for more in others:
            with pytest.raises(AlreadyExistsError) as caught:
                await world.start(execution_key="order-7", **more)
            assert caught.value.metadata["execution_id"] == first.id


async def test_a_full_engine_returns_what_had_the_key() -> None:
    """One that has ended, where that is what the caller asked for; another one has to wait."""
    async with new_world(hold=["a"], limits=EngineLimits(open_executions=1)) as world:
        await world.chain("a")
        first = await world.start(value={"x": 1}, execution_key="order-7")
        await world.executions.cancel(first.id, "")
        await world.start()
        keep = KeyReuse.RETURN_EXISTING
        assert (await world.start(value={"x": 1}, execution_key="order-7", reuse=keep)).id == first.id
        for reuse, key in ((KeyReuse.ALLOW, "order-7"), (keep, "order-8")):
            with pytest.raises(ExhaustedError):
                await world.start(value={"x": 1}, execution_key=key, reuse=reuse)


async def test_a_full_engine_ends_nothing_for_another() -> None:
    """What is to make way goes on as long as there is no room for who comes."""
    async with new_world(hold=["a"], limits=EngineLimits(open_executions=1)) as world:
        await world.chain("a")
        first = await world.start(execution_key="order-7")
        with pytest.raises(ExhaustedError):
            await world.start(execution_key="order-7", conflict=KeyConflict.TERMINATE_EXISTING)
        assert not (await world.state(first.id)).final


async def test_steps_beyond_the_limit_wait_for_their_turn() -> None:
    """No more steps run at the same time than allowed; all of them run in the end."""
    async with new_world(hold=["a"], limits=EngineLimits(running_steps=2)) as world:
        await world.chain("a")
        started = [await world.start() for _ in range(5)]
        seen = 0
        while seen < 5:
            await eventually(lambda: bool(world.provider.held))
            assert len(world.provider.held) <= 2
            world.provider.held[0].complete()
            seen += 1
            await quiet(3)
        for execution in started:
            assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED


async def test_a_sick_service_does_not_hold_up_the_others() -> None:
    """Whatever waits for a service that hangs, a step of another one runs at once."""
    async with new_world(hold=["hang"], limits=EngineLimits(service_steps=2)) as world:
        await world.chain("hang", name="sick")
        await world.register(Action(name="go"), service=OTHER)
        await world.workflow(Step(id="go", service=OTHER, action="go"), name="well")
        for _ in range(20):
            await world.start("sick")
        await eventually(lambda: len(world.provider.held) == 2)
        for _ in range(5):
            details = await asyncio.wait_for(world.run("well"), 5)
            assert details.execution.state is ExecutionState.COMPLETED
        assert len(world.provider.held) == 2


async def test_waiting_for_a_service_costs_nobody_a_turn() -> None:
    """Also when few turns are left in all: those who wait for their service hold none of them."""
    async with new_world(hold=["hang"], limits=EngineLimits(service_steps=1, running_steps=2)) as world:
        await world.chain("hang", name="sick")
        await world.register(Action(name="go"), service=OTHER)
        await world.workflow(Step(id="go", service=OTHER, action="go"), name="well")
        for _ in range(5):
            await world.start("sick")
        await world.held("hang")
        assert (await asyncio.wait_for(world.run("well"), 5)).result == b"{}"


async def test_nothing_is_kept_of_services_that_nobody_waits_for() -> None:
    """Queues of services come and go with their steps."""
    async with new_world() as world:
        await world.chain("a")
        await world.run()
        await eventually(lambda: world.engine.open_count == 0)
        assert not world.engine._driver._attempts._turns.services


async def test_payloads_of_open_executions_have_a_limit() -> None:
    """Inputs and outputs count as long as their execution is open; more are refused with ENGINE_FULL."""
    async with new_world(hold=["b"], limits=EngineLimits(open_bytes=10_000)) as world:
        await world.chain("a", "b")
        world.provider.answers["a"] = lambda _: {"y": "o" * 4_000}
        first = await world.start(value={"x": "i" * 4_000})
        await world.held("b")
        assert 8_000 < world.engine.held_bytes < 8_100
        with pytest.raises(ExhaustedError) as caught:
            await world.start(value={"x": "i" * 2_000})
        assert caught.value.reason == Reason.ENGINE_FULL
        assert caught.value.retry_after == timedelta(seconds=1)
        await world.executions.cancel(first.id, "")
        assert world.engine.held_bytes == 0
        await world.start(value={"x": "i" * 2_000})


async def test_starts_at_once_do_not_overfill_the_memory() -> None:
    """The bytes of starts that are on their way to the disk count, too."""
    async with new_world(hold=["a"], limits=EngineLimits(open_bytes=5_500)) as world:
        await world.chain("a")
        starts = (world.start(value={"x": "i" * 1_000}) for _ in range(20))
        outcomes = await asyncio.gather(*starts, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, ExhaustedError)]
        assert (world.engine.open_count, len(refused)) == (5, 15)


async def test_recovery_counts_what_it_takes_on() -> None:
    """All of it is taken on, however much it is; new starts wait until there is room again."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        started = [await world.start(value={"x": "i" * 1_000}) for _ in range(5)]
        world.limits = EngineLimits(open_bytes=3_000)
        await world.restart()
        await eventually(lambda: world.engine.open_count == 5)
        assert world.engine.held_bytes > 5_000
        with pytest.raises(ExhaustedError):
            await world.start()
        for execution in started:
            await world.executions.cancel(execution.id, "")
        await world.start()
