"""What the engine takes on, lets go of at a stop, and takes on again at a start."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.support.wire import JSON
from tests.unit.execution.world import OTHER, SERVICE, World, eventually, flaky_world, new_world, quiet
from weft.core.errors import (
    ExhaustedError,
    PreconditionError,
    ServiceUnavailableError,
    ValidationError,
    Violation,
)
from weft.core.reasons import Reason, Rule
from weft.server.execution.convert import details_to_proto
from weft.server.execution.engine import EngineLimits
from weft.server.execution.model import ExecutionState, StepScheduled, StepState
from weft.server.execution.plan import Plan
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
        assert not world.engine._turns._services


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


# ---- a stop


async def test_a_drain_finishes_the_running_step_and_starts_no_other() -> None:
    """The running step is recorded, the next one is recorded as due, and not dispatched."""
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
        assert kinds[-2:] == ["StepCompleted", "StepScheduled"]
        await world.restart()
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert world.provider.steps() == ["a", "b"]
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


# ---- a start


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
        stale = await world.store.open_executions()
        held.complete()
        await world.executions.wait(execution)
        await eventually(lambda: world.engine.open_count == 0)
        for summary in stale:
            await world.engine._recovery.take_on(summary, "a test")
        await quiet()
        assert world.engine.open_count == 0
        assert world.engine.owned(execution.id) is None
        assert world.provider.steps() == ["a"]
        shown = await world.executions.show(stale[0])
        assert shown.execution.state is ExecutionState.COMPLETED


async def _damage(world: World, monkeypatch: pytest.MonkeyPatch, workflow_id: str, error: Exception) -> None:
    """Restart into a release that cannot run a workflow any more."""
    await world.restart(recover=False)
    find_plan = world.engine._recovery._find_plan

    async def fail(wanted: str, version: int) -> Plan:
        if wanted == workflow_id:
            raise error
        return await find_plan(wanted, version)

    monkeypatch.setattr(world.engine._recovery, "_find_plan", fail)
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


async def test_a_crowd_larger_than_the_limit_is_recovered_whole() -> None:
    """What is on the disk is taken on, however much it is; only new starts are refused."""
    async with new_world(hold=["a"], limits=EngineLimits(open_executions=50)) as world:
        await world.chain("a")
        for _ in range(50):
            await world.start()
        world.limits = EngineLimits(open_executions=10)
        await world.restart()
        await eventually(lambda: world.engine.open_count == 50)
        with pytest.raises(ExhaustedError):
            await world.start()
