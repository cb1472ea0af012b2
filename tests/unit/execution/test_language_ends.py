"""Handlers, what undoes, what runs at the end, and children, run by the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from tests.unit.execution.language import call, is_sound, outcome, result, same_when_read
from tests.unit.execution.world import SERVICE, World, eventually, new_world, quiet
from weft.core.errors import ActionFailedError, PreconditionError, ServiceUnavailableError, ValidationError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Event, Execution, ExecutionState
from weft.server.execution.orders.messages import SendSignal
from weft.server.execution.orders.orders import Pause, Resolve
from weft.server.execution.starting.start_commands import KeyConflict
from weft.server.store.base import ExecutionFilter, Page, StoreFullError
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.kinds import (
    Branch,
    Case,
    Child,
    Fail,
    Loop,
    Map,
    Parallel,
    SetVariables,
    Signal,
    Succeed,
    Switch,
)
from weft.server.workflow.model import Compensation, ErrorHandler, ErrorKind, RetryPolicy, Step

# ---- errors, undoing, the end


async def test_a_handler_takes_failures_by_reason_and_kind(world: World) -> None:
    """The first that fits; what happened is there by name."""
    handlers = (
        ErrorHandler(reasons=("OTHER",), next="no"),
        ErrorHandler(kind=ErrorKind.TECHNICAL, next="no"),
        ErrorHandler(kind=ErrorKind.BUSINESS, next="yes"),
    )
    steps = (
        call("x", "bad", on_error=handlers),
        Step(id="no", does=Fail(reason="WRONG")),
        Step(id="yes", does=SetVariables(values={"why": "${error.reason}", "step": "${error.step}"})),
    )
    assert await outcome(world, *steps) == {"why": "SOLD_OUT", "step": "x"}


async def test_a_failure_in_a_body_is_its_containers(world: World) -> None:
    """Which may have a handler."""
    body = (call("b", "bad"),)
    handled = Step(id="l", does=Loop(while_="true", steps=body), on_error=(ErrorHandler(next="ok"),))
    assert await outcome(world, handled, Step(id="ok", does=Succeed(result={"ok": True}))) == {"ok": True}


async def test_what_was_done_is_undone_newest_first(world: World) -> None:
    """When the execution fails: with what each step gave, and why."""
    undo = Compensation(service=SERVICE, action="undo", input={"n": "${output.n}", "why": "${error.reason}"})
    world.provider.answers["a"] = lambda value: {"n": value["n"]}
    await world.workflow(
        call("x", input={"n": 1}, compensate=undo, next="m"),
        Step(
            id="m",
            does=Map(
                items=[10, 20], steps=(call("y", input={"n": "${item}"}, compensate=undo),), max_concurrency=1
            ),
            next="z",
        ),
        call("z", "bad"),
        finally_steps=(call("f", "b"),),
    )
    details = await world.run()
    assert details.execution.state is ExecutionState.FAILED
    assert details.execution.failure is not None
    assert details.execution.failure.reason == "SOLD_OUT"
    assert world.provider.steps()[-4:] == ["undo/m[1]/y", "undo/m[0]/y", "undo/x", "finally/f"]
    inputs = [orjson.loads(it.input) for it in world.provider.calls if it.action == "undo"]
    assert [it["n"] for it in inputs] == [20, 10, 1]
    assert {it["why"] for it in inputs} == {"SOLD_OUT"}
    await world.check(details.execution.id)
    await same_when_read(world, details)


async def test_a_cancelled_execution_is_undone_and_closed(world: World) -> None:
    """What runs is stopped; then it is undone, and it ends CANCELLED."""
    world.provider.hold = {"b"}
    undo = Compensation(action="undo")
    await world.workflow(call("x", compensate=undo, next="y"), call("y", "b"))
    execution = await world.start()
    await world.held("y")
    await world.executions.cancel(execution.id, "enough")
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.CANCELLED
    assert world.provider.steps() == ["x", "y", "undo/x"]
    assert [it.step_id for it in world.provider.cancelled] == ["y"]
    await same_when_read(world, details)


async def test_what_cannot_be_undone_is_an_incident(world: World) -> None:
    """COMPENSATION_FAILED; the execution stays open until somebody resolves it."""
    world.provider.answers["undo"] = PreconditionError("cannot")
    undo = Compensation(action="undo", retry=RetryPolicy(max_attempts=1))
    await world.workflow(call("x", compensate=undo, next="y"), call("y", "bad"))
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    found = await world.executions.find(execution.id)
    assert found.state is ExecutionState.INCIDENT
    assert found.failure is not None
    assert found.failure.reason == Reason.COMPENSATION_FAILED


async def test_a_restart_goes_on_with_undoing(world: World) -> None:
    """What was undone is not undone again."""
    world.provider.hold = {"undo"}
    undo = Compensation(action="undo")
    await world.workflow(
        call("x", compensate=undo, next="y"), call("y", compensate=undo, next="z"), call("z", "bad")
    )
    execution = await world.start()
    (await world.held("undo/y")).complete()
    await world.held("undo/x")
    world.provider.hold = set()
    await world.restart()
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.FAILED
    assert world.provider.steps().count("undo/y") == 1
    assert world.provider.steps().count("undo/x") == 2
    plan = await world.executions.interactions.compensation_plan(execution.id)
    assert [(it.step_id, str(it.state)) for it in plan] == [("y", "COMPLETED"), ("x", "COMPLETED")]


async def test_finally_runs_also_when_all_goes_well(world: World) -> None:
    """Its failures change nothing."""
    await world.workflow(call("x"), finally_steps=(call("f", "bad"),))
    details = await world.run()
    assert details.execution.state is ExecutionState.COMPLETED
    assert world.provider.steps() == ["x", "finally/f"]


async def test_finally_may_wait_for_a_message(world: World) -> None:
    """Which is taken then, when no other is any more: else nothing could end it."""
    await world.workflow(call("x"), finally_steps=(Step(id="f", does=Signal(name="late")),))
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    late = SendSignal(execution_id="", signal_id="1", name="late", payload=b"{}")
    await world.executions.order(execution.id, late)
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.COMPLETED
    await same_when_read(world, details)


# ---- children


async def test_a_child_gives_its_result(world: World) -> None:
    """Parent and child know each other."""
    world.provider.answers["a"] = lambda value: {"n": value["n"] + 1}
    await world.workflow(call("a"), name="kid")
    found = await outcome(
        world, Step(id="c", does=Child(name="kid"), input={"n": "${input.n}"}), value={"n": 1}
    )
    assert found == {"n": 2}


async def test_the_end_of_a_child_is_heard_while_its_parent_is_let_go_of() -> None:
    """However soon it comes: nobody waits for the next look, a minute later."""

    class Slow(SqliteStore):
        """Takes its time to let go of what waits."""

        async def append_events(
            self, execution: Execution, events: Sequence[Event], *args: Any, **options: Any
        ) -> None:
            if options.get("release") and not events:
                await quiet()
            await super().append_events(execution, events, *args, **options)

    async with new_world(Slow(None)) as world:
        await world.workflow(Step(id="v", does=SetVariables(values={"n": 1})), name="kid")
        await world.workflow(Step(id="c", does=Child(name="kid")))
        async with asyncio.timeout(5):
            assert result(await world.run()) == {"n": 1}


async def test_a_child_that_fails_fails_its_step_with_its_reason(world: World) -> None:
    """So that it can be handled by reason."""
    await world.workflow(call("a", "bad"), name="kid")
    caught = ErrorHandler(reasons=("SOLD_OUT",), next="ok")
    steps = (
        Step(id="c", does=Child(name="kid"), on_error=(caught,)),
        Step(id="ok", does=Succeed(result={"ok": 1})),
    )
    assert await outcome(world, *steps) == {"ok": 1}


async def test_a_child_ends_with_its_parent(world: World) -> None:
    """It is cancelled, unless it was to be let go."""
    world.provider.hold = {"a"}
    await world.workflow(call("a"), name="kid")
    await world.workflow(Step(id="c", does=Child(name="kid")))
    execution = await world.start()
    held = await world.held("a")
    await world.executions.cancel(execution.id, "enough")
    await eventually(lambda: bool(world.provider.cancelled))
    kid = await world.ended(held.call.execution_id)
    assert kid.execution.state is ExecutionState.CANCELLED
    assert kid.execution.parent.execution_id == execution.id


async def test_a_map_may_run_a_child_for_each_item(world: World) -> None:
    """The item is its input."""
    world.provider.answers["a"] = lambda value: {"n": value["n"] * 2}
    await world.workflow(call("a"), name="kid")
    each = Map(items=[{"n": 1}, {"n": 2}], workflow=Child(name="kid"))
    found = await outcome(world, Step(id="m", does=each))
    assert found["items"] == [{"n": 2}, {"n": 4}]


async def test_a_child_that_completed_is_undone_with_its_parent(world: World) -> None:
    """By its own compensations."""
    await world.workflow(call("a", compensate=Compensation(action="undo")), name="kid")
    await world.workflow(Step(id="c", does=Child(name="kid"), next="z"), call("z", "bad"))
    execution = await world.start()
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.FAILED
    assert world.provider.steps() == ["a", "z", "undo/a"]
    everything = (await world.store.list_executions(ExecutionFilter(), Page(size=10))).items
    assert sorted(it.workflow_name for it in everything) == ["flow", "kid", "kid"]
    for each in everything:
        await is_sound(world, each)


async def test_a_workflow_that_starts_itself_for_ever_is_stopped(world: World) -> None:
    """Twenty deep, by an error that says so."""
    await world.workflow(
        Step(id="s", does=Switch(cases=(Case(when="input.go", next="c"),), default="end")),
        Step(id="c", does=Child(name="flow"), input={"go": True}),
        Step(id="end", does=Succeed()),
    )
    execution = await world.start(value={"go": True})
    details = await world.ended(execution.id)
    assert details.execution.failure is not None
    assert details.execution.failure.reason == Reason.CHILDREN_TOO_DEEP


async def test_all_incidents_may_be_resolved_at_once(world: World) -> None:
    """As a batch does; who names no step, and does not mean all of them, is refused."""
    policy = RetryPolicy(max_attempts=1)
    world.provider.answers["a"] = ServiceUnavailableError("worker", "not yet")
    body = (call("a", input={"n": "${item}"}, retry=policy),)
    await world.workflow(Step(id="m", does=Map(items=[1, 2, 3], steps=body)))
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    with pytest.raises(ValidationError, match=r"m\[0\]/a, m\[1\]/a, m\[2\]/a"):
        await world.executions.order(execution.id, Resolve(execution_id="", resolution="RETRY"))
    world.provider.answers["a"] = lambda value: {"n": value["n"]}
    await world.executions.order(execution.id, Resolve(execution_id="", resolution="RETRY", every=True))
    assert [it["n"] for it in result(await world.ended(execution.id))["items"]] == [1, 2, 3]


async def test_an_execution_can_be_ended_at_once(world: World) -> None:
    """Nothing is undone, also when that has begun."""
    world.provider.hold = {"undo"}
    await world.workflow(call("x", compensate=Compensation(action="undo"), next="z"), call("z", "bad"))
    execution = await world.start()
    await world.held("undo/x")
    await world.executions.cancel(execution.id, "", at_once=True)
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.CANCELLED
    await eventually(lambda: [it.step_id for it in world.provider.cancelled] == ["undo/x"])
    await same_when_read(world, details)


async def test_a_start_that_replaces_another_does_not_wait_for_its_undoing(world: World) -> None:
    """What it terminates is ended at once."""
    world.provider.hold = {"b"}
    await world.workflow(call("x", compensate=Compensation(action="undo"), next="y"), call("y", "b"))
    first = await world.start(execution_key="k")
    await world.held("y")
    second = await world.start(execution_key="k", conflict=KeyConflict.TERMINATE_EXISTING)
    assert second.id != first.id
    assert await world.state(first.id) is ExecutionState.CANCELLED
    assert "undo/x" not in world.provider.steps()


async def test_a_paused_execution_that_is_cancelled_is_undone(world: World) -> None:
    """It goes on by itself: nobody has to resume it for that."""
    world.provider.hold = {"b"}
    await world.workflow(
        call("x", compensate=Compensation(action="undo"), next="y"), call("y", "b", next="z"), call("z")
    )
    execution = await world.start()
    held = await world.held("y")
    await world.executions.order(execution.id, Pause(execution_id=""))
    held.complete()
    await world.executions.cancel(execution.id, "enough")
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.CANCELLED
    assert world.provider.steps()[-1] == "undo/x"
    await same_when_read(world, details)


async def test_a_child_whose_parent_could_not_tell_it_is_ended_all_the_same(world: World) -> None:
    """The server died between the parent's end and the word to the child."""
    await world.workflow(Step(id="s", does=Signal(name="never")), name="kid")
    await world.workflow(Step(id="c", does=Child(name="kid")))
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    shown = await world.executions.get(execution.id, payloads=False)
    world.engine.family = None  # nobody is told anything
    await world.executions.cancel(execution.id, "enough")
    assert await world.state(shown.steps[0].child) is ExecutionState.RUNNING
    await world.executions.orphans.look()
    kid = await world.ended(shown.steps[0].child)
    assert kid.execution.state is ExecutionState.CANCELLED


class ToldStore(SqliteStore):
    """Tells what other servers do, as one does that several servers share."""

    def __init__(self) -> None:
        super().__init__(None)
        self.listeners: list[Callable[[Sequence[str]], None]] = []

    def on_change(self, listener: Callable[[Sequence[str]], None]) -> None:
        self.listeners.append(listener)


async def test_children_are_looked_for_when_a_server_is_gone() -> None:
    """Soon, not with the next look half a minute later; what happens all the time is no reason to look."""
    store = ToldStore()
    async with new_world(store) as world:
        await world.workflow(Step(id="s", does=Signal(name="never")), name="kid")
        await world.workflow(Step(id="c", does=Child(name="kid")))
        execution = await world.start()
        await eventually(lambda: world.engine.open_count == 0)
        shown = await world.executions.get(execution.id, payloads=False)
        world.engine.family = None  # nobody is told anything
        await world.executions.cancel(execution.id, "enough")
        looking = asyncio.create_task(world.executions.orphans.run())
        for ids, state in (((execution.id,), ExecutionState.RUNNING), ((), ExecutionState.CANCELLED)):
            for listener in store.listeners:
                listener(ids)
            await world.clock.advance(6)
            await quiet()
            assert await world.state(shown.steps[0].child) is state
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


class FullStore(SqliteStore):
    """Has no room left whenever somebody looks for children without parents."""

    asked = 0

    async def orphans(self, after: str, limit: int) -> tuple[str, ...]:
        self.asked += 1
        raise StoreFullError(f"no space left to look for {limit} behind {after!r}")


async def test_who_looks_for_children_waits_while_the_disk_is_full() -> None:
    """The search goes on half a minute later; it does not end, which would be logged as a defect."""
    store = FullStore(None)
    async with new_world(store) as world:
        looking = asyncio.create_task(world.executions.orphans.run())
        for _ in range(3):
            await world.clock.advance(30)
        assert not looking.done()
        assert store.asked > 1
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_who_looks_at_a_child_may_be_cancelled_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of the child is nothing to record any more."""
    world.provider.hold = {"a"}
    await world.workflow(call("a"), name="kid")
    inside = (Branch(name="x", steps=(Step(id="c", does=Child(name="kid")),)),)
    await world.workflow(Step(id="p", does=Parallel(branches=inside)), finally_steps=(call("f", "b"),))
    looking, go_on = asyncio.Event(), asyncio.Event()
    look = world.engine.children.outcome

    async def slowly(*args: Any, **more: Any) -> Any:
        found = await look(*args, **more)
        if found is not None:
            looking.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(world.engine.children, "outcome", slowly)
    execution = await world.start()
    (await world.held("a")).fail(ActionFailedError("no", reason="SOLD_OUT"))
    await looking.wait()
    await world.executions.cancel(execution.id, "enough")
    go_on.set()
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.CANCELLED
    kinds = await world.kinds(execution.id)
    assert "StepFailed" not in kinds[kinds.index("ExecutionClosing") :]
    await world.check(execution.id)


async def test_what_cannot_be_undone_may_be_given_up(world: World) -> None:
    """FAIL goes on with what is left to undo, and to the end that was decided."""
    world.provider.answers["c"] = PreconditionError("cannot")
    first, second = Compensation(action="undo"), Compensation(action="c", retry=RetryPolicy(max_attempts=1))
    await world.workflow(
        call("x", compensate=first, next="y"), call("y", compensate=second, next="z"), call("z", "bad")
    )
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    assert await world.state(execution.id) is ExecutionState.INCIDENT
    await world.executions.order(execution.id, Resolve(execution_id="", resolution="FAIL"))
    details = await world.ended(execution.id)
    assert details.execution.failure is not None
    assert details.execution.failure.reason == "SOLD_OUT"
    assert world.provider.steps() == ["x", "y", "z", "undo/y", "undo/x"]
    await same_when_read(world, details)


async def test_children_of_a_map_are_undone_too(world: World) -> None:
    """Each by its own compensations, the newest first."""
    world.provider.answers["a"] = lambda value: {"n": value["n"]}
    undo = Compensation(action="undo", input={"n": "${output.n}"})
    await world.workflow(call("a", compensate=undo), name="kid")
    each = Map(items=[{"n": 1}, {"n": 2}], workflow=Child(name="kid"), max_concurrency=1)
    await world.workflow(Step(id="m", does=each, next="z"), call("z", "bad"))
    execution = await world.start()
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.FAILED
    undone = [orjson.loads(it.input)["n"] for it in world.provider.calls if it.action == "undo"]
    assert undone == [2, 1]
