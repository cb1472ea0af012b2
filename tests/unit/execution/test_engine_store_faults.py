"""The store fails at any write, before or after it took effect: executions go on, and nothing is twice."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.execution.flaky import Fault, FlakyStore
from tests.unit.execution.world import World, eventually, flaky_world, quiet, take_over
from weft.core.errors import WeftError
from weft.core.reasons import Reason
from weft.server.execution.history.model import (
    Event,
    ExecutionCancelled,
    ExecutionState,
    StepScheduled,
)
from weft.server.execution.history.run import ExecutionDetails
from weft.server.store.base import StoreState

UNAVAILABLE = {Reason.STORE_UNAVAILABLE, Reason.STORE_FULL}


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("write", range(3))
async def test_an_execution_goes_on_after_any_write_failed(fault: Fault, write: int) -> None:
    """After each step's write in turn fails, the execution ends, every step recorded once."""
    async with flaky_world(hold=["a"]) as (world, store):
        await world.chain("a", "b", "c")
        execution = await world.start()
        held = await world.held("a")
        world.provider.hold.clear()
        store.plan = [None] * write + [fault]
        waiting = asyncio.create_task(world.executions.wait(execution))
        await asyncio.sleep(0)
        held.complete()
        with pytest.raises(WeftError) as caught:
            await asyncio.wait_for(waiting, 5)
        assert caught.value.reason in UNAVAILABLE
        assert world.engine.open_count == 0
        store.heal()
        details = await asyncio.wait_for(world.ended(execution.id), 5)
        assert details.execution.state is ExecutionState.COMPLETED
        events = await world.check(execution.id)
        assert [type(e.body).__name__ for e in events].count("StepCompleted") == 3
        assert world.engine.open_count == 0
        # Only the body whose record was lost ran twice.
        assert len(world.provider.calls) == (3 if fault is Fault.KEPT else 4)


@pytest.mark.parametrize("fault", Fault)
async def test_a_failed_start_is_unknown_and_a_repeat_finds_out(fault: Fault) -> None:
    """The caller is told that it is not known; the same request id leads to one execution."""
    async with flaky_world() as (world, store):
        await world.chain("a")
        store.plan = [fault]
        with pytest.raises(WeftError) as caught:
            await world.start(request_id="r-1")
        assert caught.value.reason in UNAVAILABLE
        with pytest.raises(WeftError):
            await world.start(request_id="r-2")
        store.heal()
        execution = await world.start(request_id="r-1")
        details = await asyncio.wait_for(world.executions.wait(execution), 5)
        assert details.execution.state is ExecutionState.COMPLETED
        assert world.provider.steps() == ["a"]
        await world.check(execution.id)
        await eventually(lambda: not world.engine._room)
        assert world.engine.held_bytes == 0


async def test_a_start_that_failed_but_was_written_runs_without_being_asked_again() -> None:
    """What is on the disk is run, also when its caller was told that the outcome is unknown."""
    async with flaky_world() as (world, store):
        await world.chain("a")
        store.plan = [Fault.KEPT]
        with pytest.raises(WeftError):
            await world.start()
        store.heal()
        await eventually(lambda: world.provider.steps() == ["a"])


@pytest.mark.parametrize("fault", Fault)
async def test_a_failed_cancellation_is_unknown_and_a_repeat_finds_out(fault: Fault) -> None:
    """The caller is told; after the store is back a repeat ends CANCELLED, recorded once."""
    async with flaky_world(hold=["a"]) as (world, store):
        await world.chain("a", "b")
        execution = await world.start()
        await world.held("a")
        store.plan = [fault]
        with pytest.raises(WeftError) as caught:
            await world.executions.cancel(execution.id, "stop")
        assert caught.value.reason in UNAVAILABLE
        store.heal()
        cancelled = await asyncio.wait_for(world.executions.cancel(execution.id, "stop"), 5)
        assert cancelled.state is ExecutionState.CANCELLED
        await quiet()
        await world.check(execution.id)
        assert "b" not in world.provider.steps()
        assert world.engine.open_count == 0


@pytest.mark.parametrize("fault", Fault)
async def test_a_timeout_that_could_not_be_recorded_is_recorded_later(fault: Fault) -> None:
    """Late by the outage, once, and never as something else."""
    async with flaky_world(hold=["a"]) as (world, store):
        await world.chain("a")
        execution = await world.start(timeout=timedelta(seconds=1))
        await world.held("a")
        store.plan = [fault]
        await world.clock.advance(1)
        await eventually(lambda: store.broken)
        await world.clock.advance(10)
        store.heal()
        details = await asyncio.wait_for(world.ended(execution.id), 5)
        assert details.execution.state is ExecutionState.TIMED_OUT
        await world.check(execution.id)


async def test_everything_is_let_go_while_the_store_is_broken() -> None:
    """Running actions are told to stop: their outcome could not be recorded; all go on afterwards."""
    async with flaky_world(hold=["a"]) as (world, store):
        await world.chain("a")
        started = [await world.start() for _ in range(10)]
        await eventually(lambda: len(world.provider.held) == 10)
        store.plan = [Fault.LOST]
        world.provider.held[0].complete()
        await eventually(lambda: store.broken and not world.provider.held)
        assert world.engine.open_count == 0
        store.heal()
        await eventually(lambda: len(world.provider.held) == 10)
        for held in list(world.provider.held):
            held.complete()
        for execution in started:
            assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
            await world.check(execution.id)


async def test_a_store_that_comes_and_goes_does_no_harm() -> None:
    """Twenty outages in a row, in the middle of recovery too: every execution ends once."""
    async with flaky_world() as (world, store):
        await world.chain("a", "b", "c", "d")
        started = [await world.start() for _ in range(10)]
        for number in range(20):
            store.plan = [None] * (number % 4) + [Fault.KEPT if number % 2 else Fault.LOST]
            store.heal()
            await quiet(2)
            store.heal()
        store.plan.clear()
        for execution in started:
            details = await healed(store, asyncio.create_task(world.ended(execution.id)))
            assert details.execution.state is ExecutionState.COMPLETED
            await world.check(execution.id)
        assert world.engine.open_count == 0


async def healed(store: FlakyStore, ended: asyncio.Task[ExecutionDetails]) -> ExecutionDetails:
    """Wait for an end; the last outage may come late."""

    def over() -> bool:
        store.heal()
        return ended.done()

    await eventually(over)
    return await ended


async def test_memory_that_is_behind_the_store_is_read_again(caplog: pytest.LogCaptureFixture) -> None:
    """A write that is refused because somebody wrote before leads to the stored truth, not to a zombie."""
    async with flaky_world(hold=["a"]) as (world, _):
        await world.chain("a", "b")
        execution = await world.start()
        held = await world.held("a")
        run = world.engine.owned(execution.id)
        assert run is not None
        run.execution = replace(run.execution, last_event=1)
        held.complete()
        await eventually(lambda: "reading it again" in caplog.text)
        (await world.held("a")).complete()
        details = await asyncio.wait_for(world.ended(execution.id), 5)
        assert details.execution.state is ExecutionState.COMPLETED
        await world.check(execution.id)


async def test_nothing_is_shown_before_it_is_durable() -> None:
    """While a record is on its way to the disk, no reader and no waiter knows of it."""
    async with flaky_world(hold=["a"]) as (world, store):
        await world.chain("a")
        execution = await world.start()
        held = await world.held("a")
        waiting = asyncio.create_task(world.executions.wait(execution))
        store.gate = asyncio.Event()
        held.complete({"x": 1})
        await store.at_gate.wait()
        await quiet(3)
        shown = await world.executions.show(execution)
        assert shown == await world.executions.get(execution.id, payloads=True)
        assert (shown.execution.state, shown.result) == (ExecutionState.RUNNING, None)
        assert not waiting.done()
        store.gate.set()
        assert (await waiting).result == b'{"x":1}'


async def test_a_step_that_runs_again_after_the_store_failed_says_so() -> None:
    """The cause in the history is what happened, not a restart that did not."""
    async with flaky_world(hold=["a"]) as (world, store):
        await world.chain("a")
        execution = await world.start()
        held = await world.held("a")
        store.plan = [Fault.LOST]
        held.complete()
        await eventually(lambda: store.broken)
        store.heal()
        (await world.held("a")).complete()
        await asyncio.wait_for(world.ended(execution.id), 5)
        causes = [
            event.body.cause
            for event in await world.check(execution.id)
            if isinstance(event.body, StepScheduled)
        ]
        assert causes == ["", "the store failed"]


async def test_a_caller_who_leaves_leaves_no_defect_behind(caplog: pytest.LogCaptureFixture) -> None:
    """Found by the fault rig: a write that fails when its caller has gone is logged as nobody's defect."""
    async with flaky_world() as (world, store):
        await world.chain("a")
        store.plan = [Fault.LOST]
        store.gate = asyncio.Event()
        starting = asyncio.create_task(world.start())
        await store.at_gate.wait()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        assert starting.cancelled()
        del starting  # its frames hold what it waited for
        store.gate.set()
        await quiet()
        store.gate = None
        store.heal()
        await quiet()
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_follower_of_what_was_let_go_of_looks_again() -> None:
    """When another server takes it on, nothing here says so: whoever follows it must not sleep on."""
    async with flaky_world(hold=["a"]) as (world, store):
        await world.chain("a")
        execution = await world.start()
        await world.held("a")
        followed = asyncio.create_task(_last_state(world, execution.id))
        await quiet()
        await world.engine.claims.stop()  # nothing here takes it on again
        world.engine.store_changed(StoreState.BROKEN)
        await take_over(store)
        await _end_elsewhere(store, execution.id)
        assert await asyncio.wait_for(followed, 5) is ExecutionState.CANCELLED


async def _last_state(world: World, execution_id: str) -> ExecutionState:
    return [state async for _, state in world.executions.watch(execution_id, 0)][-1]


async def _end_elsewhere(store: FlakyStore, execution_id: str) -> None:
    """Record an end as another server would."""
    claim = await store.claim_execution(execution_id)
    assert claim is not None
    assert claim.granted
    now = claim.execution.create_time
    last = claim.execution.last_event
    ended = replace(claim.execution, state=ExecutionState.CANCELLED, end_time=now, last_event=last + 1)
    await store.append_events(ended, [Event(last + 1, now, ExecutionCancelled())], last, release=True)
