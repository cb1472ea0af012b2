"""What the engine takes on again at a start, and what becomes of that which cannot go on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from tests.support.wire import JSON
from tests.unit.execution.world import SERVICE, World, eventually, new_world, open_executions, quiet
from weft.core.errors import (
    ExhaustedError,
    PreconditionError,
    ValidationError,
    Violation,
)
from weft.core.reasons import Reason, Rule
from weft.server.execution.engine.engine import EngineLimits
from weft.server.execution.history.model import ExecutionState, StepScheduled
from weft.server.execution.history.plan import Plan
from weft.server.execution.history.step_states import StepState
from weft.server.execution.wire.convert import details_to_proto
from weft.server.store.sqlite import SqliteStore


async def test_recovery_goes_on_where_the_history_ends() -> None:
    """Completed steps are not run again; the step that was due runs as the next attempt, and says why."""
    async with new_world(hold=["b"]) as world:
        await world.chain("a", "b", "c")
        world.provider.answers["a"] = lambda _: {"from": "a"}
        execution = await world.start(value={"x": 1})
        await world.held("b")
        await world.restart()
        again = await world.held("b")
        again.complete()
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert world.provider.steps() == ["a", "b", "b", "c"]
        assert [call.attempt for call in world.provider.calls] == [1, 1, 2, 1]
        # What was recorded before the crash is what the second attempt is given.
        assert world.provider.calls[1].input == world.provider.calls[2].input
        events = await world.check(execution.id)
        scheduled = [event.body for event in events if isinstance(event.body, StepScheduled)]
        assert scheduled[2] == StepScheduled(step_id="b", attempt=2, cause="the server restarted")


async def test_every_restart_counts_an_attempt() -> None:
    """Ten crashes in the same step are eleven attempts, one record, and no gap."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        for _ in range(10):
            await world.held("a")
            await world.restart()
        (await world.held("a")).complete()
        details = await world.ended(execution.id)
        assert [step.attempt for step in details.steps] == [11]
        events = await world.check(execution.id)
        assert len(events) == 1 + 11 + 2


async def test_recovery_beside_starts_runs_every_execution_once() -> None:
    """Nothing that is started while recovery reads is taken on a second time."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        old = [await world.start() for _ in range(30)]
        await eventually(lambda: len(world.provider.held) == 30)
        await world.crash()
        world.provider.calls.clear()
        await world.restart(recover=False)

        async def start_some() -> list[str]:
            return [(await world.start()).id for _ in range(30)]

        world.engine.start_recovery()
        ids = [id_ for batch in await asyncio.gather(*(start_some() for _ in range(4))) for id_ in batch]
        ids += [execution.id for execution in old]
        await eventually(lambda: len(world.provider.held) >= len(ids))
        await quiet()
        called = [call.execution_id for call in world.provider.calls]
        assert sorted(called) == sorted(ids)
        assert world.engine.open_count == len(ids)


async def test_recovery_leaves_alone_what_ended_while_it_read() -> None:
    """An execution that ends between recovery's look and its grasp is not dug up again."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        held = await world.held("a")
        stale = await open_executions(world.store)
        held.complete()
        await world.executions.wait(execution)
        await eventually(lambda: world.engine.open_count == 0)
        for summary in stale:
            await world.engine.claims.take_on(summary, "a test")
        await quiet()
        assert world.engine.open_count == 0
        assert world.engine.owned(execution.id) is None
        assert world.provider.steps() == ["a"]
        shown = await world.executions.show(stale[0])
        assert shown.execution.state is ExecutionState.COMPLETED


async def _damage(world: World, monkeypatch: pytest.MonkeyPatch, workflow_id: str, error: Exception) -> None:
    """Restart into a release that cannot run a workflow any more."""
    await world.restart(recover=False)
    find_plan = world.engine.claims._find_plan

    async def fail(wanted: str, version: int) -> Plan:
        if wanted == workflow_id:
            raise error
        return await find_plan(wanted, version)

    monkeypatch.setattr(world.engine.claims, "_find_plan", fail)
    world.engine.start_recovery()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("damaged"), Reason.INTERNAL),
        (ValidationError([Violation("input_schema", "is none", Rule.SCHEMA_INVALID)]), "VALIDATION_FAILED"),
    ],
)
async def test_one_that_cannot_be_resumed_ends_and_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """It is FAILED, with the reason, for everybody to see; a cancellation says that it has ended."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        await world.chain("a", name="other")
        bad = await world.start(value={"x": 1})
        good = await world.start("other")
        await eventually(lambda: len(world.provider.held) == 2)
        await _damage(world, monkeypatch, bad.workflow_id, error)
        details = await asyncio.wait_for(world.ended(bad.id), 5)
        assert details.execution.state is ExecutionState.FAILED
        assert details.execution.failure is not None
        assert details.execution.failure.reason == reason
        assert details.execution.failure.message.startswith("the execution cannot go on: ")
        assert [step.state for step in details.steps] == [StepState.CANCELLED]
        assert details.input == b'{"x":1}'
        await world.check(bad.id)
        await eventually(lambda: world.engine.owned(good.id) is not None)
        assert f"execution {bad.id} cannot be resumed" in caplog.text
        with pytest.raises(PreconditionError) as caught:
            await asyncio.wait_for(world.executions.cancel(bad.id, ""), 5)
        assert caught.value.reason == Reason.EXECUTION_ENDED


async def test_an_execution_is_shown_though_its_workflow_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at it takes no compiled plan: service and action stand in the stored definition."""
    async with new_world() as world:
        await world.chain("a")
        execution = (await world.run()).execution

        def refuse(_: object) -> Plan:
            raise ValueError("damaged")

        monkeypatch.setattr(world.executions._plans, "of", refuse)
        details = await world.executions.get(execution.id, payloads=True)
        (step,) = details_to_proto(details, JSON).steps
        assert (step.service, step.action) == (SERVICE, "a")


async def test_a_defect_while_recording_ends_the_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody goes on with must not be RUNNING for ever."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        held = await world.held("a")
        run = world.engine.owned(execution.id)
        assert run is not None

        async def record(*_: object) -> None:
            raise TypeError("a defect")

        monkeypatch.setattr(run, "record", record)
        held.complete()
        await eventually(lambda: world.engine.owned(execution.id) is None)
        details = await asyncio.wait_for(world.ended(execution.id), 5)
        assert details.execution.state is ExecutionState.FAILED
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.INTERNAL
        assert world.engine.held_bytes == 0


async def test_a_crowd_larger_than_the_limit_is_taken_on_as_others_leave() -> None:
    """What is on the disk is run in the end, however much it is; new starts are refused meanwhile."""
    async with new_world(hold=["a"], limits=EngineLimits(open_executions=50)) as world:
        await world.chain("a")
        for _ in range(50):
            await world.start()
        world.limits = EngineLimits(open_executions=10)
        await world.restart()
        await eventually(lambda: len(world.provider.held) == 10)
        with pytest.raises(ExhaustedError):
            await world.start()
        world.provider.hold.clear()
        for held in list(world.provider.held):
            held.complete()
        await eventually(lambda: world.provider.steps().count("a") == 100)
        await eventually(lambda: world.engine.open_count == 0)
        assert await open_executions(world.store) == ()


async def test_an_order_beside_recovery_runs_no_attempt_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads an execution while another one drives it finds out, and leaves it to that one.

    Found by the fault rig on PostgreSQL, seed 20261210: attempt 2 of a step ran twice.
    """
    async with new_world(hold=["a", "b"]) as world:
        await world.chain("a", "b")
        execution = await world.start()
        await world.held("a")
        await world.restart(recover=False)
        world.provider.calls.clear()
        gates = {name: Gate() for name in ("recovery reads", "the order claims", "the order reads")}
        asked = asyncio.Event()

        async def read_events(*args: Any, **options: Any) -> Any:
            found = await SqliteStore.read_events(store, *args, **options)
            await gates["the order reads" if asked.is_set() else "recovery reads"].passed()
            return found

        async def claim_execution(*args: Any) -> Any:
            found = await SqliteStore.claim_execution(store, *args)
            await gates["the order claims"].passed()
            return found

        store: Any = world.store
        monkeypatch.setattr(store, "read_events", read_events)
        monkeypatch.setattr(store, "claim_execution", claim_execution)
        world.engine.start_recovery()
        await gates["recovery reads"].reached.wait()
        asked.set()
        cancelling = asyncio.create_task(world.executions.cancel(execution.id, "stop"))
        with suppress(TimeoutError):  # recovery keeps it out
            async with asyncio.timeout(0.2):
                await gates["the order claims"].reached.wait()
        assert not gates["the order claims"].reached.is_set()
        for gate in gates.values():
            gate.open.set()
        assert (await asyncio.wait_for(cancelling, 5)).state.final
        await quiet()
        called = [(call.step_id, call.attempt) for call in world.provider.calls]
        assert len(called) == len(set(called)), called


class Gate:
    """Where somebody waits until a test lets everybody through."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def passed(self) -> None:
        self.reached.set()
        await self.open.wait()
