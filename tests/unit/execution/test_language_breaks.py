"""What goes wrong between two commits: children nobody wants, pauses amid branches, ends amid undoing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.execution.language import call
from tests.unit.execution.world import World, eventually, new_world, open_executions, quiet
from weft.core.errors import PreconditionError, ValidationError
from weft.core.payload import JsonObject, loads
from weft.core.reasons import Reason
from weft.server.execution.engine.limits import EngineLimits
from weft.server.execution.history import run as run_module
from weft.server.execution.history.kept import KeptParsed
from weft.server.execution.history.model import Execution, ExecutionState, StepScheduled
from weft.server.execution.history.run import Run
from weft.server.execution.orders.messages import SendSignal
from weft.server.execution.orders.orders import Pause, Progress, Resolve, Resume
from weft.server.execution.starting.start_commands import RerunCommand
from weft.server.registry.model import Action
from weft.server.store.base import ExecutionFilter, Page
from weft.server.workflow.kinds import (
    Branch,
    Case,
    Child,
    Loop,
    Map,
    Parallel,
    SetVariables,
    Signal,
    Switch,
    Wait,
)
from weft.server.workflow.model import Compensation, Step, WorkflowState


async def children(world: World, parent: Execution) -> list[Execution]:
    found = await world.store.list_executions(ExecutionFilter(), Page(size=1_000))
    return [it for it in found.items if it.parent.execution_id == parent.id]


# ---- children


async def test_a_child_of_a_branch_that_was_stopped_is_not_started(world: World) -> None:
    """Its sister could not be started, and so the step failed before its own turn came."""
    await world.workflow(call("a"), name="kid")
    branches = (
        Branch(name="x", steps=(Step(id="no", does=Child(name="kid"), input={"n": "${input.n}"}),)),
        Branch(name="y", steps=(Step(id="kid", does=Child(name="kid")),)),
    )
    await world.workflow(Step(id="p", does=Parallel(branches=branches)))
    execution = await world.start()
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.FAILED
    await quiet()
    assert world.provider.steps() == []
    assert await children(world, execution) == []


@pytest.mark.parametrize("closing", [{"finally_steps": (call("f"),)}, {}])
async def test_a_child_does_not_outlive_a_parent_that_ended_while_it_was_started(
    world: World, closing: dict[str, Any]
) -> None:
    """It is cancelled as soon as it is there; when its parent told it, it was not."""
    gate, at_gate = asyncio.Event(), asyncio.Event()
    insert = world.store.insert_execution

    async def late(execution: Execution, *args: Any, **more: Any) -> Execution:
        if execution.parent.execution_id:
            at_gate.set()
            await gate.wait()
        return await insert(execution, *args, **more)

    world.store.insert_execution = late  # type: ignore[method-assign]
    world.provider.hold = {"b"}
    await world.workflow(call("b", "b"), name="kid")
    await world.workflow(Step(id="c", does=Child(name="kid")), **closing)
    execution = await world.start()
    await at_gate.wait()
    await world.executions.cancel(execution.id, "enough")
    gate.set()
    assert (await world.ended(execution.id)).execution.state is ExecutionState.CANCELLED
    await quiet(60)
    (child,) = await children(world, execution)
    assert child.state is ExecutionState.CANCELLED
    assert await open_executions(world.store) == ()


async def test_a_child_that_was_deleted_is_not_started_again(world: World) -> None:
    """Whether it ran is not known then: somebody has to decide."""
    await world.workflow(call("a"), name="kid")
    world.provider.hold = {"a"}
    await world.workflow(Step(id="c", does=Child(name="kid")))
    execution = await world.start()
    await eventually(lambda: len(world.provider.held) == 1)
    (child,) = await children(world, execution)
    await world.crash()
    world.provider.hold = set()
    found = await world.store.get_execution(child.id)
    assert found is not None
    await world.clock.advance(8 * 24 * 3600)
    await forget(world, child.id)
    await world.restart()
    await eventually(lambda: len(world.provider.calls) > 1 or world.engine.open_count == 0)
    await quiet()
    now = await world.executions.find(execution.id)
    assert (now.state, now.failure and now.failure.reason) == (
        ExecutionState.INCIDENT,
        Reason.OUTCOME_UNKNOWN,
    )
    assert len(world.provider.calls) == 1
    await world.executions.order(execution.id, Resolve(execution_id=execution.id, resolution="RETRY"))
    assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
    assert len(world.provider.calls) == 2


async def forget(world: World, execution_id: str) -> None:
    def delete(connection: Any) -> None:
        connection.execute("DELETE FROM executions WHERE id = ?", (execution_id,))

    await world.store._write(delete)  # type: ignore[attr-defined]


@pytest.mark.parametrize("abandon", [False, True])
async def test_a_child_that_nobody_told_notices_when_it_is_taken_on(world: World, *, abandon: bool) -> None:
    """The server died with what its parent had to say; one that was let go of goes on."""
    world.provider.hold = {"b"}
    await world.workflow(call("b", "b"), name="kid")
    await world.workflow(Step(id="c", does=Child(name="kid", abandon=abandon)))
    execution = await world.start()
    await world.held("b")
    world.engine.family = None  # as if it died before it could tell
    await world.executions.cancel(execution.id, "enough")
    (child,) = await children(world, execution)
    assert not child.state.final
    world.provider.hold = set()
    await world.restart()
    wanted = ExecutionState.COMPLETED if abandon else ExecutionState.CANCELLED
    assert (await world.ended(child.id)).execution.state is wanted


# ---- pauses


async def test_a_pause_holds_attempts_that_wait_for_their_turn() -> None:
    """What runs ends; what had no turn yet begins after the pause, and each item once."""
    async with new_world(hold=["a"], limits=EngineLimits(service_steps=1)) as world:
        await world.register(Action(name="a"))
        await world.workflow(Step(id="m", does=Map(items=[1, 2, 3], steps=(call("a"),))))
        execution = await world.start()
        held = await world.held("m[0]/a")
        await world.executions.order(execution.id, Pause(execution_id=execution.id))
        held.complete()
        await quiet()
        assert world.provider.steps() == ["m[0]/a"]
        world.provider.hold = set()
        await world.executions.order(execution.id, Resume(execution_id=execution.id))
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
        assert sorted(world.provider.steps()) == ["m[0]/a", "m[1]/a", "m[2]/a"]


async def test_a_pause_holds_the_next_undo_also_where_one_was_given_up(world: World) -> None:
    """An incident resolved by FAIL goes on with the next undo: when the execution is resumed."""
    world.provider.answers["undo"] = PreconditionError("cannot")
    undo, well = Compensation(action="undo"), Compensation(action="c")
    await world.workflow(
        call("x", compensate=well, next="y"), call("y", compensate=undo, next="z"), call("z", "bad")
    )
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    await world.executions.order(execution.id, Pause(execution_id=execution.id))
    await world.executions.order(execution.id, Resolve(execution_id=execution.id, resolution="FAIL"))
    await quiet()
    scheduled = [
        it.body.step_id for it in await world.events(execution.id) if isinstance(it.body, StepScheduled)
    ]
    assert scheduled == ["x", "y", "z", "undo/y"]
    await world.executions.order(execution.id, Resume(execution_id=execution.id))
    await world.ended(execution.id)
    assert world.provider.steps() == ["x", "y", "z", "undo/y", "undo/x"]


@pytest.mark.parametrize("order", ["pause", "cancel", "progress"])
async def test_orders_do_not_stop_what_is_being_undone(world: World, order: str) -> None:
    """Nothing is called twice because somebody pauses or cancels, or the action tells of itself."""
    world.provider.hold = {"undo"}
    await world.workflow(call("x", compensate=Compensation(action="undo"), next="z"), call("z", "bad"))
    execution = await world.start()
    held = await world.held("undo/x")
    if order == "pause":
        await world.executions.order(execution.id, Pause(execution_id=execution.id))
    elif order == "cancel":
        with pytest.raises(PreconditionError):
            await asyncio.wait_for(world.executions.cancel(execution.id, "enough"), 2)
    else:
        await world.executions.order(
            execution.id, Progress(execution_id=execution.id, step_id="undo/x", attempt=1, details=b"{}")
        )
    await quiet()
    assert world.provider.cancelled == []
    held.complete()
    await eventually(lambda: not world.provider.held)
    assert (await world.ended(execution.id)).execution.state is ExecutionState.FAILED
    assert world.provider.steps() == ["x", "z", "undo/x"]


# ---- what is too large, or repeated


async def test_a_map_that_gives_too_much_fails(world: World) -> None:
    """Each of its items is small enough, and all of them together are not."""
    world.provider.answers["a"] = lambda _: {"text": "x" * 30_000}
    await world.workflow(Step(id="m", does=Map(items=list(range(50)), steps=(call("a"),))))
    details = await asyncio.wait_for(world.run(), 20)
    failure = details.execution.failure
    assert failure is not None
    assert failure.reason == Reason.STEP_OUTPUT_TOO_LARGE


async def test_a_loop_keeps_no_more_than_its_last_iteration(world: World) -> None:
    """However many there are."""
    world.provider.hold = {"b"}
    steps = (
        Step(id="n", does=SetVariables(values={"n": "${iteration}"}), next="s"),
        Step(id="s", does=Switch(cases=(Case(when="iteration == 50", next="b"),), default="w")),
        Step(id="w", does=Wait(duration="0s")),
        call("b", "b"),
    )
    await world.workflow(Step(id="l", does=Loop(until="iteration == 50", steps=steps)))
    execution = await world.start()
    await world.held("l[50]/b")
    run = world.engine.owned(execution.id)
    assert run is not None
    place = run.standing.top
    assert (place.completed, len(place.results)) == (50, 1)


@pytest.mark.parametrize("from_step", ["go", "high"])
async def test_a_rerun_that_has_to_wait_begins_where_it_was_to_begin(world: World, from_step: str) -> None:
    """Behind a switch too, and with a workflow that is paused as it is accepted."""
    flow = await world.workflow(
        Step(id="s", does=SetVariables(values={"n": 1}), next="go"),
        Step(id="go", does=Switch(cases=(Case(when="vars.n == 1", next="high"),), default="low")),
        call("low", "b"),
        call("high", next="end"),
        call("end", "c"),
    )
    first = await world.run()
    assert first.execution.state is ExecutionState.COMPLETED
    await world.workflows.set_state(flow.id, WorkflowState.PAUSED, "", None)
    again = await world.executions.rerun(_rerun(first.execution.id, from_step))
    await quiet()
    assert world.provider.steps() == ["high", "end"]
    await world.workflows.set_state(flow.id, WorkflowState.ACTIVE, "", None)
    await world.clock.advance(6)
    assert (await world.ended(again.id)).execution.state is ExecutionState.COMPLETED
    assert world.provider.steps() == ["high", "end", "high", "end"]


def _rerun(execution_id: str, from_step: str = "") -> RerunCommand:
    return RerunCommand(execution=execution_id, from_step=from_step, version=0, text=None, key=None)


async def test_a_rerun_reuses_nothing_that_was_undone(world: World) -> None:
    """It begins with the first step that was, also inside of a map: what that gave is there no more."""
    undo = Compensation(action="undo")
    await world.workflow(
        call("a", next="m"),
        Step(id="m", does=Map(items=[1], steps=(call("x", compensate=undo),)), next="y"),
        call("y", compensate=undo, next="z"),
        call("z", "bad"),
    )
    failed = (await world.run()).execution
    assert failed.state is ExecutionState.FAILED
    assert world.provider.steps()[-2:] == ["undo/y", "undo/m[0]/x"]
    for from_step in ("y", "z"):
        with pytest.raises(ValidationError, match=rf"'m', which comes before '{from_step}', was undone"):
            await world.executions.rerun(_rerun(failed.id, from_step))
    before = len(world.provider.steps())
    again = await world.executions.rerun(_rerun(failed.id))
    assert (await world.ended(again.id)).execution.state is ExecutionState.FAILED
    assert world.provider.steps()[before:][:3] == ["m[0]/x", "y", "z"]


async def test_a_parent_that_is_read_again_bothers_no_child_that_ended(world: World) -> None:
    """Only those that may be open."""
    await world.workflow(call("a"), name="kid")
    world.provider.hold = {"b"}
    body = (Step(id="k", does=Child(name="kid")),)
    await world.workflow(Step(id="m", does=Map(items=[1, 2, 3], steps=body), next="b"), call("b", "b"))
    execution = await world.start()
    await world.held("b")
    plan = await world.executions.find_plan(execution.workflow_id, execution.workflow_version)
    assert Run(execution, plan, await world.events(execution.id)).orphans() == []


# ---- claims


async def test_what_is_being_read_is_not_read_a_second_time(world: World) -> None:
    """An order that comes while an execution is taken on waits for it."""
    world.provider.hold = {"a"}
    await world.workflow(Step(id="w", does=Wait(duration="1h"), next="a"), call("a"))
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    claims = world.engine.claims
    gate, at_gate, reads = asyncio.Event(), asyncio.Event(), 0
    load = claims._load

    async def slow(it: Execution) -> Run:
        nonlocal reads
        reads += 1
        at_gate.set()
        await gate.wait()
        return await load(it)

    claims._load = slow  # type: ignore[assignment,method-assign]
    turning = asyncio.create_task(world.clock.advance(3_600))
    await at_gate.wait()
    pausing = asyncio.create_task(world.executions.order(execution.id, Pause(execution_id=execution.id)))
    await quiet()
    assert reads == 1
    gate.set()
    await turning
    await pausing
    (await world.held("a")).complete()
    assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
    assert world.provider.steps() == ["a"]


# ---- finally


async def test_what_runs_at_the_end_may_wait_for_a_message(world: World) -> None:
    """Only for one that is waited for: others are refused, as the outcome is decided."""
    end = (Step(id="s", does=Signal(name="go")),)
    await world.workflow(Step(id="n", does=Signal(name="no"), timeout=timedelta(1)), finally_steps=end)
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    signal = SendSignal(execution_id="", signal_id="1", name="no", payload=b"{}")
    await world.executions.order(execution.id, signal)
    await eventually(lambda: world.engine.open_count == 0)
    with pytest.raises(PreconditionError) as refused:
        await world.executions.order(execution.id, replace(signal, signal_id="2"))
    assert refused.value.reason == Reason.EXECUTION_ENDED
    await world.executions.order(execution.id, replace(signal, signal_id="3", name="go"))
    assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED


# ---- what costs time


async def test_items_do_not_read_a_large_input_each(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the large output of a step before: both are read a few times, however many items there are."""
    world.provider.answers["a"] = lambda _: {"text": "y" * 70_000}
    body = (Step(id="n", does=SetVariables(values={"n": "${item}"})),)
    steps = (call("a", next="m"), Step(id="m", does=Map(items={"from": 0, "to": 100}, steps=body)))
    await world.workflow(*steps)
    read: list[int] = []

    def counted(text: bytes) -> JsonObject:
        read.append(len(text))
        return loads(text)

    monkeypatch.setattr(run_module, "loads", counted)
    details = await world.run(value={"text": "x" * 70_000})
    assert details.execution.state is ExecutionState.COMPLETED
    assert len([size for size in read if size > 60_000]) < 10


def test_who_read_longest_ago_gives_up_first() -> None:
    """So that all of them together keep no more than the budget."""

    class Forgetful:
        forgot = False

        def forget_parsed(self) -> None:
            self.forgot = True

    kept, first, second, third = KeptParsed(10), Forgetful(), Forgetful(), Forgetful()
    assert kept.may_keep(first, 4)
    assert kept.may_keep(second, 4)
    assert kept.may_keep(first, 5)
    assert kept.may_keep(third, 4)
    assert (first.forgot, second.forgot, third.forgot) == (False, True, False)
    assert not kept.may_keep(third, 11)
    assert kept.may_keep(second, 5)
    assert not first.forgot
