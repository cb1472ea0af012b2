"""Ids that callers choose, and how many executions run at the same time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.execution.world import SERVICE, World, eventually, new_world, quiet
from weft.core.errors import AlreadyExistsError, ExhaustedError, PreconditionError, ValidationError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Execution, ExecutionCancelled, ExecutionState, Waits
from weft.server.execution.orders.orders import Pause, Resume
from weft.server.execution.service import RerunCommand
from weft.server.execution.starting.start import KeyConflict, KeyReuse
from weft.server.registry.model import Action
from weft.server.store.base import RequestKey
from weft.server.workflow.kinds import Child
from weft.server.workflow.model import Concurrency, OnConflict, Step, WorkflowState


async def test_an_open_execution_has_its_key_alone() -> None:
    """FAIL refuses and names it; USE_EXISTING returns it, for the same input only."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        first = await world.start(value={"x": 1}, execution_key="order-7")
        assert (await world.executions.find("order-7")).id == first.id
        for conflict in (KeyConflict.FAIL, KeyConflict.USE_EXISTING):
            with pytest.raises(AlreadyExistsError) as caught:
                await world.start(value={"x": 2}, execution_key="order-7", conflict=conflict)
            assert caught.value.reason == Reason.EXECUTION_EXISTS
            assert caught.value.metadata["execution_id"] == first.id
        again = await world.start(value={"x": 1}, execution_key="order-7", conflict=KeyConflict.USE_EXISTING)
        assert again.id == first.id
        assert len(world.provider.calls) == 1


async def test_a_start_may_end_the_one_before_it() -> None:
    """TERMINATE_EXISTING: that one is CANCELLED before the new one begins."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        first = await world.start(execution_key="k")
        await world.held("a")
        second = await world.start(execution_key="k", conflict=KeyConflict.TERMINATE_EXISTING)
        assert second.id != first.id
        assert await world.state(first.id) is ExecutionState.CANCELLED
        assert (await world.executions.find("k")).id == second.id
        await world.check(first.id)


@pytest.mark.parametrize("reuse", KeyReuse)
async def test_a_key_of_an_ended_execution(reuse: KeyReuse) -> None:
    """ALLOW starts another one, RETURN_EXISTING returns it (same input), REJECT refuses."""
    async with new_world() as world:
        await world.chain("a")
        first = await world.start(value={"x": 1}, execution_key="k")
        await world.ended(first.id)
        if reuse is KeyReuse.REJECT:
            with pytest.raises(AlreadyExistsError):
                await world.start(value={"x": 1}, execution_key="k", reuse=reuse)
            return
        second = await world.start(value={"x": 1}, execution_key="k", reuse=reuse)
        assert (second.id == first.id) is (reuse is KeyReuse.RETURN_EXISTING)
        if reuse is KeyReuse.RETURN_EXISTING:
            with pytest.raises(AlreadyExistsError):
                await world.start(value={"x": 2}, execution_key="k", reuse=reuse)


async def test_a_crowd_with_one_key_starts_one_execution() -> None:
    """However many start at the same moment."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        use = KeyConflict.USE_EXISTING
        started = await asyncio.gather(
            *(world.start(value={"x": 1}, execution_key="k", conflict=use) for _ in range(50))
        )
        assert len({execution.id for execution in started}) == 1
        await eventually(lambda: len(world.provider.held) == 1)
        assert len(world.engine._room) == 1


async def _limited(
    world: World, limit: int, key: str = "", on_conflict: OnConflict = OnConflict.QUEUE
) -> None:
    await world.register(Action(name="a"))
    concurrency = Concurrency(limit=limit, key=key, on_conflict=on_conflict)
    await world.workflow(Step(id="a", service=SERVICE, action="a"), concurrency=concurrency)


async def test_as_many_run_as_may_and_the_others_wait_in_order() -> None:
    """Those that wait say for what, survive a restart, and come in the order they were started."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 2)
        started = []
        for _ in range(5):
            started.append(await world.start())
            await asyncio.sleep(0.002)  # ids are ordered by the millisecond
        assert [it.waits for it in started] == [Waits.NOTHING] * 2 + [Waits.SLOT] * 3
        await eventually(lambda: len(world.provider.held) == 2)
        await world.restart()
        await eventually(lambda: len(world.provider.held) == 2)
        order: list[str] = []
        for number in range(5):
            await eventually(lambda: bool(world.provider.held))
            held = world.provider.held[0]
            order.append(held.call.execution_id)
            held.complete()
            await world.ended(order[-1])
            left = 5 - number - 1
            await eventually(lambda left=left: len(world.provider.held) == min(2, left))  # type: ignore[misc]
        assert sorted(order[:2]) == [it.id for it in started[:2]]
        assert order[2:] == [it.id for it in started[2:]]


async def test_each_key_has_its_own_slots() -> None:
    """Executions of one customer do not wait for those of another."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 1, "${input.customer}")
        first = [await world.start(value={"customer": name}) for name in ("x", "y", "x")]
        assert [it.waits for it in first] == [Waits.NOTHING, Waits.NOTHING, Waits.SLOT]
        await eventually(lambda: len(world.provider.held) == 2)


async def test_one_that_waits_for_its_slot_can_be_cancelled() -> None:
    """It never runs, and takes nobody's turn."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 1)
        first, second, third = [await world.start() for _ in range(3)]
        cancelled = await world.executions.cancel(second.id, "")
        assert cancelled.state is ExecutionState.CANCELLED
        (await world.held("a")).complete()
        await world.ended(first.id)
        await eventually(lambda: bool(world.provider.held))
        assert world.provider.held[0].call.execution_id == third.id
        await world.check(second.id)


@pytest.mark.parametrize("timeout", [None, timedelta(seconds=20)], ids=["for long", "for a moment"])
async def test_whatever_is_asked_of_one_that_waits_for_its_slot_it_passes_nobody(
    timeout: timedelta | None,
) -> None:
    """A server takes it on to record what was asked; it waits on afterwards, and comes in its turn."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 1)
        first, second, third = [await world.start(timeout=timeout) for _ in range(3)]
        await world.held("a")
        paused = await world.executions.order(second.id, Pause(execution_id=""))
        assert (paused.state, paused.waits) == (ExecutionState.PAUSED, Waits.SLOT)
        assert await world.executions.order(second.id, Pause(execution_id="")) == paused
        resumed = await world.executions.order(second.id, Resume(execution_id=""))
        assert (resumed.state, resumed.waits) == (ExecutionState.RUNNING, Waits.SLOT)
        await eventually(lambda: world.engine.open_count == 1)
        assert world.provider.steps() == ["a"]
        for turn in (first, second, third):
            await eventually(lambda: bool(world.provider.held))
            assert [it.call.execution_id for it in world.provider.held] == [turn.id]
            world.provider.held[0].complete()
            assert (await world.ended(turn.id)).execution.state is ExecutionState.COMPLETED
            await world.check(turn.id)


async def test_a_slot_is_waited_for_also_by_what_a_dead_server_had_taken_on() -> None:
    """It is due at once then, which is not its turn."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 1)
        first, second = [await world.start() for _ in range(2)]
        await world.held("a")
        claim = await world.store.claim_execution(second.id)
        assert claim is not None
        await world.engine.claims.take_on(claim.execution, "its server is gone")
        await eventually(lambda: world.engine.open_count == 1)
        assert world.provider.steps() == ["a"]
        (await world.held("a")).complete()
        await world.ended(first.id)
        await eventually(lambda: [it.call.execution_id for it in world.provider.held] == [second.id])


async def test_a_workflow_may_refuse_what_is_too_many() -> None:
    """Of a crowd as many run as may; the others are refused, with the limit and the key, and hold no room."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 2, "${input.customer}", OnConflict.REJECT)
        starts = [world.start(value={"customer": "x"}, request_id=f"r-{number}") for number in range(9)]
        results = await asyncio.gather(*starts, return_exceptions=True)
        refused = [each for each in results if isinstance(each, ExhaustedError)]
        assert len(refused) == 7
        assert {each.reason for each in refused} == {Reason.CONCURRENCY_LIMIT}
        assert refused[0].metadata == {"workflow": "flow", "limit": "2", "key": "x"}
        assert len(world.engine._room) == 2
        other = await world.start(value={"customer": "y"})
        assert other.waits is Waits.NOTHING
        (first, *_) = [(number, it) for number, it in enumerate(results) if isinstance(it, Execution)]
        again = await world.start(value={"customer": "x"}, request_id=f"r-{first[0]}")
        assert again.id == first[1].id
        (await world.held("a")).complete()
        await world.ended(first[1].id)
        assert (await world.start(value={"customer": "x"})).waits is Waits.NOTHING


async def test_a_child_that_is_too_many_fails_its_step() -> None:
    """Its workflow refuses it on purpose, so it is not started again and again."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 1, on_conflict=OnConflict.REJECT)
        await world.workflow(Step(id="run", does=Child(name="flow")), name="parent")
        await world.start()
        await world.held("a")
        details = await world.run("parent")
        assert details.execution.state is ExecutionState.FAILED
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.CONCURRENCY_LIMIT


async def test_a_workflow_may_end_the_oldest_for_the_newest() -> None:
    """It is CANCELLED, also one that waits; the newest has its turn when that has ended, and says why."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 1, on_conflict=OnConflict.CANCEL_RUNNING)
        started = []
        for _ in range(4):
            started.append(await world.start())
            await asyncio.sleep(0.002)  # ids are ordered by the millisecond
        assert [it.waits for it in started] == [Waits.NOTHING] + [Waits.SLOT] * 3
        for displaced in started[:3]:
            await world.ended(displaced.id)
            (*_, last) = await world.check(displaced.id)
            assert last.body == ExecutionCancelled(
                reason="another start of its concurrency key took its place"
            )
        await eventually(lambda: [it.call.execution_id for it in world.provider.held] == [started[3].id])


async def test_the_oldest_is_ended_also_after_a_crash() -> None:
    """That it has to go is stored together with the newest one."""
    async with new_world(hold=["a"]) as world:
        await _limited(world, 1, on_conflict=OnConflict.CANCEL_RUNNING)
        first = await world.start()
        await world.held("a")
        assert world.engine.claims.task is not None
        world.engine.claims.task.cancel()
        second = await world.start()
        await world.restart()
        await world.ended(first.id)
        assert await world.state(first.id) is ExecutionState.CANCELLED
        await eventually(lambda: [it.call.execution_id for it in world.provider.held] == [second.id])


def _rerun(execution: str, **more: Any) -> RerunCommand:
    known: dict[str, Any] = {"from_step": "", "version": 0, "text": None, "key": None}
    return RerunCommand(execution=execution, **(known | more))


async def test_a_failed_execution_is_run_anew_from_the_step_that_failed() -> None:
    """A new execution, linked to the old one; what went well is not run again, and its output is used."""
    async with new_world() as world:
        await world.chain("a", "b", "c")
        world.provider.answers["a"] = lambda _: {"from": "a"}
        world.provider.answers["b"] = PreconditionError("no", reason=Reason.EXPRESSION_FAILED)
        old = await world.run(value={"x": 1})
        assert old.execution.state is ExecutionState.FAILED
        world.provider.answers["b"] = lambda value: value
        world.provider.calls.clear()
        again = await world.executions.rerun(_rerun(old.execution.id))
        assert again.id != old.execution.id
        assert (again.origin.execution_id, again.origin.from_step) == (old.execution.id, "b")
        details = await world.ended(again.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert world.provider.steps() == ["b", "c"]
        assert world.provider.calls[0].input == b'{"x":1,"from":"a"}'
        await world.check(again.id)
        with pytest.raises(AlreadyExistsError):
            await _same_request_other_step(world, old.execution.id)


async def _same_request_other_step(world: World, old: str) -> None:
    await world.executions.rerun(_rerun(old, key=RequestKey("m", "r", b"1")))
    await world.executions.rerun(_rerun(old, from_step="a", key=RequestKey("m", "r", b"2")))


async def test_a_repeat_of_a_rerun_returns_it_whatever_became_of_the_workflow() -> None:
    """An answer may be lost, and the workflow be out of use when it is asked for again."""
    async with new_world() as world:
        await world.chain("a")
        key = "order-7"
        old = await world.ended((await world.start(execution_key=key)).id)
        again = _rerun(key, key=RequestKey("Rerun", "r-1", b"1"))
        first = await world.ended((await world.executions.rerun(again)).id)
        world.provider.hold.add("a")
        other = await world.start(execution_key=key)  # which the key means from now on, and it is open
        assert (await world.executions.rerun(again)).id == first.execution.id
        await world.executions.cancel(other.id, "")
        await world.workflows.set_state("flow", WorkflowState.INACTIVE, "", None)
        assert (await world.executions.rerun(again)).id == first.execution.id
        with pytest.raises(PreconditionError) as caught:
            await world.executions.rerun(_rerun(old.execution.id))
        assert caught.value.reason == Reason.WORKFLOW_INACTIVE


async def test_an_execution_is_run_anew_from_any_step_with_another_input() -> None:
    """Also one that went well; of one that is open, or from a step that has no past, it is refused."""
    async with new_world(hold=["c"]) as world:
        await world.chain("a", "b", "c")
        execution = await world.start(value={"x": 1})
        await world.held("c")
        with pytest.raises(PreconditionError) as caught:
            await world.executions.rerun(_rerun(execution.id))
        assert caught.value.reason == Reason.EXECUTION_OPEN
        world.provider.hold.clear()
        await world.executions.cancel(execution.id, "")
        world.provider.calls.clear()
        again = await world.executions.rerun(_rerun(execution.id, from_step="a", text=b'{"x":2}'))
        assert (await world.ended(again.id)).execution.state is ExecutionState.COMPLETED
        assert [call.input for call in world.provider.calls] == [b'{"x":2}'] * 3
        last = await world.executions.rerun(_rerun(again.id))
        assert last.origin.from_step == "c"
        for step, text in (("zz", "no step 'zz'"), ("c", "")):
            if not text:
                continue
            with pytest.raises(ValidationError, match=text):
                await world.executions.rerun(_rerun(again.id, from_step=step))
        await quiet()


async def test_an_execution_is_read_by_its_key() -> None:
    """Its history, its watch and its details alike."""
    async with new_world() as world:
        await world.chain("a")
        execution = await world.start(execution_key="order/7")
        await world.ended(execution.id)
        events, more = await world.executions.history("order/7", 0, 100)
        assert (events, more) == (await world.events(execution.id), False)
        watched = [event async for event, _ in world.executions.watch("order/7", 0)]
        assert tuple(watched) == events
        assert (await world.executions.get("order/7", payloads=True)).execution.id == execution.id
