"""Each kind of step, run by the engine over a real store with a turned clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.unit.execution.world import SERVICE, World, eventually, new_world, quiet
from weft.core.errors import ActionFailedError, PreconditionError, ServiceUnavailableError, ValidationError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.server.admin.histories import history_findings
from weft.server.execution.messages import Decide, SendSignal
from weft.server.execution.model import Event, EventEmitted, Execution, ExecutionState, StepCompleted, Waits
from weft.server.execution.orders import Pause, Resolve
from weft.server.execution.run import ExecutionDetails, Run
from weft.server.execution.start_commands import KeyConflict
from weft.server.registry.model import Action
from weft.server.store.base import ExecutionFilter, Page
from weft.server.store.execution_codec import encode_execution
from weft.server.store.seal import seal_event
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.kinds import (
    Approval,
    Branch,
    Case,
    Child,
    Emit,
    Fail,
    Loop,
    Map,
    Parallel,
    SetVariables,
    Signal,
    Succeed,
    Switch,
    Wait,
)
from weft.server.workflow.model import Compensation, ErrorHandler, ErrorKind, Exhausted, RetryPolicy, Step


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as made:
        await made.register(*(Action(name=name) for name in ("a", "b", "c", "undo", "bad")))
        made.provider.answers["bad"] = ActionFailedError("no", reason="SOLD_OUT")
        yield made


def call(step_id: str, action: str = "a", **more: Any) -> Step:
    return Step(id=step_id, service=SERVICE, action=action, **more)


def result(details: ExecutionDetails) -> JsonObject:
    assert details.execution.state is ExecutionState.COMPLETED, details.execution.failure
    assert details.result is not None
    value: JsonObject = orjson.loads(details.result)
    return value


async def outcome(
    world: World, *steps: Step, value: JsonObject | None = None, **definition: Any
) -> JsonObject:
    await world.workflow(*steps, **definition)
    details = await world.run(value=value)
    await world.check(details.execution.id)
    await same_when_read(world, details)
    return result(details)


async def same_when_read(world: World, details: ExecutionDetails) -> None:
    """What memory held is what the history adds up to."""
    read = await world.executions.get(details.execution.id, payloads=True)
    assert read == details
    execution = details.execution
    plan = await world.executions.find_plan(execution.workflow_id, execution.workflow_version)
    events = await world.events(execution.id)
    assert Run(execution, plan, events).details() == details
    await is_sound(world, execution)


async def is_sound(world: World, execution: Execution) -> None:
    """``weft admin verify`` finds nothing."""
    events = await world.events(execution.id)
    rows = [(execution.id, *seal_event(execution.id, event)) for event in events]
    assert not list(history_findings(execution.id, encode_execution(execution), rows, []))


# ---- switch, set, emit, fail, succeed


@pytest.mark.parametrize(("score", "way"), [(9, "high"), (5, "middle"), (1, "low")])
async def test_a_switch_goes_on_at_the_first_case_that_holds(world: World, score: int, way: str) -> None:
    """Else at its default; what it chose is in the history."""
    steps = (
        Step(
            id="s",
            does=Switch(
                cases=(
                    Case(when="${input.score > 7}", next="high"),
                    Case(when="input.score > 3", next="middle"),
                ),
                default="low",
            ),
        ),
        *(Step(id=name, does=SetVariables(values={"way": name})) for name in ("high", "middle", "low")),
    )
    assert await outcome(world, *steps, value={"score": score}) == {"way": way}


async def test_a_switch_without_a_way_fails(world: World) -> None:
    """Rather than to end as if all were well."""
    await world.workflow(Step(id="s", does=Switch(cases=(Case(when="false", next=""),))))
    details = await world.run()
    assert details.execution.failure is not None
    assert details.execution.failure.reason == Reason.NO_CASE


async def test_variables_are_there_everywhere_behind(world: World) -> None:
    """Also for the implicit input of an action, and for who reads the execution."""
    world.provider.answers["a"] = lambda value: {"got": value.get("x", 0)}
    steps = (
        Step(id="v", does=SetVariables(values={"x": "${input.n + 1}", "t": "n is ${input.n}"}), next="a"),
        call("a", next="w"),
        Step(id="w", does=SetVariables(values={"x": "${vars.x * 10}"}), next="end"),
        Step(id="end", does=Succeed(result={"x": "${vars.x}", "t": "${vars.t}", "got": "${steps.a.got}"})),
    )
    assert await outcome(world, *steps, value={"n": 1}) == {"x": 20, "t": "n is 1", "got": 2}


async def test_what_is_emitted_is_in_the_history_once(world: World) -> None:
    """With its data."""
    await world.workflow(Step(id="e", does=Emit(type="order.shipped", data={"id": "${input.id}"})))
    details = await world.run(value={"id": 7})
    events = await world.events(details.execution.id)
    emitted = [event.body for event in events if isinstance(event.body, EventEmitted)]
    assert [(it.type, it.data) for it in emitted] == [("order.shipped", b'{"id":7}')]


async def test_a_workflow_can_fail_with_a_reason_of_its_own(world: World) -> None:
    """The reason is the business's, so that who called can tell it from a defect."""
    await world.workflow(Step(id="f", does=Fail(reason="TOO_POOR", message="only ${input.n} left")))
    details = await world.run(value={"n": 3})
    failure = details.execution.failure
    assert failure is not None
    assert (failure.reason, failure.message, failure.domain) == ("TOO_POOR", "only 3 left", "workflow.weft")


# ---- parallel, map, loop


async def test_branches_run_at_the_same_time_and_join(world: World) -> None:
    """Each step is called before any has answered; the output has every branch by its name."""
    world.provider.hold = {"a", "b"}
    branches = (Branch(name="x", steps=(call("a"),)), Branch(name="y", steps=(call("b", "b"),)))
    await world.workflow(Step(id="p", does=Parallel(branches=branches)))
    execution = await world.start()
    first, second = await world.held("p[0]/a"), await world.held("p[1]/b")
    second.complete({"n": 2})
    first.complete({"n": 1})
    details = await world.ended(execution.id)
    assert result(details) == {"x": {"n": 1}, "y": {"n": 2}}
    await same_when_read(world, details)


async def test_any_branch_will_do_and_the_others_are_stopped(world: World) -> None:
    """With ``join: 1`` the first that completes ends the step."""
    world.provider.hold = {"a", "b"}
    branches = (Branch(name="x", steps=(call("a"),)), Branch(name="y", steps=(call("b", "b"),)))
    await world.workflow(Step(id="p", does=Parallel(branches=branches, join=1)))
    execution = await world.start()
    await world.held("p[0]/a")
    (await world.held("p[1]/b")).complete({"n": 2})
    assert result(await world.ended(execution.id)) == {"y": {"n": 2}}
    await eventually(lambda: [it.step_id for it in world.provider.cancelled] == ["p[0]/a"])


async def test_a_branch_that_fails_stops_the_others_and_fails_the_step(world: World) -> None:
    """Unless its errors are collected."""
    world.provider.hold = {"a"}
    branches = (Branch(name="x", steps=(call("a"),)), Branch(name="y", steps=(call("b", "bad"),)))
    await world.workflow(Step(id="p", does=Parallel(branches=branches)))
    details = await world.run()
    assert details.execution.failure is not None
    assert details.execution.failure.reason == "SOLD_OUT"
    await eventually(lambda: [it.step_id for it in world.provider.cancelled] == ["p[0]/a"])
    await same_when_read(world, details)


async def test_errors_of_branches_can_be_collected(world: World) -> None:
    """Then the step completes, and says what failed."""
    branches = (Branch(name="x", steps=(call("a"),)), Branch(name="y", steps=(call("b", "bad"),)))
    found = await outcome(world, Step(id="p", does=Parallel(branches=branches, collect_errors=True)))
    assert found["x"] == {}
    assert found["errors"]["y"]["reason"] == "SOLD_OUT"


async def test_a_map_keeps_the_order_of_its_items(world: World) -> None:
    """However they are worked on; not more at a time than it says."""
    world.provider.answers["a"] = lambda value: {"n": value["n"] * 2}
    body = (call("a", input={"n": "${item}", "i": "${index}"}),)
    each = Map(items="${input.list}", steps=body, max_concurrency=3)
    found = await outcome(world, Step(id="m", does=each), value={"list": list(range(10))})
    assert found["items"] == [{"n": n * 2} for n in range(10)]
    assert (found["count"], found["failed"], found["errors"]) == (10, 0, [])


async def test_a_map_has_no_more_open_than_it_says(world: World) -> None:
    """The next item begins when one has ended."""
    world.provider.hold = {"a"}
    await world.workflow(
        Step(id="m", does=Map(items={"from": 0, "to": 5}, steps=(call("a"),), max_concurrency=2))
    )
    execution = await world.start()
    (await world.held("m[0]/a")).complete()
    await world.held("m[1]/a")
    await world.held("m[2]/a")
    await quiet()
    assert {it.call.step_id for it in world.provider.held} == {"m[1]/a", "m[2]/a"}
    world.provider.hold = set()
    for held in list(world.provider.held):
        held.complete()
    assert result(await world.ended(execution.id))["count"] == 5


async def test_a_map_tolerates_some_failures(world: World) -> None:
    """Those items are null, and the errors name them; one more fails the step."""

    def answer(value: JsonObject) -> JsonObject:
        if value["n"] % 2:
            raise ActionFailedError("odd", reason="ODD")
        return {"n": value["n"]}

    world.provider.answers["a"] = answer
    body = (call("a", input={"n": "${item}"}),)
    found = await outcome(world, Step(id="m", does=Map(items=[0, 1, 2], steps=body, tolerated_failures=1)))
    assert found["items"] == [{"n": 0}, None, {"n": 2}]
    assert [(it["index"], it["reason"]) for it in found["errors"]] == [(1, "ODD")]
    await world.workflow(
        Step(id="m", does=Map(items=[0, 1, 2, 3], steps=body, tolerated_failures=1)), name="more"
    )
    details = await world.run("more")
    assert details.execution.state is ExecutionState.FAILED


@pytest.mark.parametrize(
    "items", ["text", 7, {"from": 0}, {"from": 0, "to": 5, "step": 0}, {"from": 0.5, "to": 2}]
)
async def test_a_map_over_what_is_no_list_fails_clearly(world: World, items: Any) -> None:
    """With a reason of its own."""
    await world.workflow(Step(id="m", does=Map(items="${input.items}", steps=(call("a"),))))
    details = await world.run(value={"items": items})
    assert details.execution.failure is not None
    assert details.execution.failure.reason == Reason.MAP_ITEMS_INVALID


async def test_a_long_map_adds_up(world: World) -> None:
    """Whether somebody looks meanwhile or not; what it gave is in order."""
    world.provider.answers["a"] = lambda value: value
    each = Map(items={"from": 0, "to": 400}, steps=(call("a", input={"n": "${item}"}),))
    found = await outcome(world, Step(id="m", does=each))
    assert found["items"] == [{"n": n} for n in range(400)]


async def test_an_empty_map_is_done_at_once(world: World) -> None:
    """Nothing is called."""
    found = await outcome(world, Step(id="m", does=Map(items=[], steps=(call("a"),))))
    assert found == {"count": 0, "failed": 0, "errors": [], "items": []}
    assert world.provider.calls == []


async def test_a_loop_goes_on_until_its_condition_holds(world: World) -> None:
    """An iteration sees what the one before left."""
    world.provider.answers["a"] = lambda value: {"n": value["n"] + 1}
    body = (call("a", input={"n": "${has(steps.a) ? steps.a.n : 0}"}),)
    found = await outcome(world, Step(id="l", does=Loop(until="${steps.a.n >= 4}", steps=body)))
    assert found == {"iterations": 4, "last": {"n": 4}}
    assert world.provider.steps() == ["l[0]/a", "l[1]/a", "l[2]/a", "l[3]/a"]


async def test_a_loop_may_run_not_at_all(world: World) -> None:
    """``while`` is looked at before the first iteration."""
    found = await outcome(
        world, Step(id="l", does=Loop(while_="input.go", steps=(call("a"),))), value={"go": False}
    )
    assert found == {"iterations": 0, "last": {}}


@pytest.mark.parametrize(
    ("condition", "iterations"),
    [({"while_": "iteration < 3"}, 3), ({"while_": "iteration > 0"}, 0), ({"until": "iteration == 1"}, 2)],
)
async def test_a_condition_knows_the_number_of_its_iteration(
    world: World, condition: dict[str, Any], iterations: int
) -> None:
    """`while` that of the one that would come, `until` that of the last one."""
    body = call("again", "a", input={"n": "${iteration}"})
    found = await outcome(world, Step(id="loop", does=Loop(steps=(body,), **condition)))
    assert found["iterations"] == iterations


async def test_a_loop_that_does_not_end_fails(world: World) -> None:
    """At its bound; also one that never waits for anything."""
    body = (Step(id="v", does=SetVariables(values={"n": "${iteration}"})),)
    await world.workflow(Step(id="l", does=Loop(while_="true", steps=body, max_iterations=700)))
    details = await world.run()
    assert details.execution.failure is not None
    assert details.execution.failure.reason == Reason.LOOP_LIMIT


async def test_bodies_may_hold_bodies(world: World) -> None:
    """A map in a branch in a map: names mean the innermost."""
    world.provider.answers["a"] = lambda value: {"n": value["n"]}
    inner = Step(id="in", does=Map(items="${item}", steps=(call("a", input={"n": "${item + index}"}),)))
    outer = Step(id="p", does=Parallel(branches=(Branch(name="x", steps=(inner,)),)))
    found = await outcome(world, Step(id="m", does=Map(items=[[1, 2], [10]], steps=(outer,))))
    assert [[it["n"] for it in each["x"]["items"]] for each in found["items"]] == [[1, 3], [10]]
    assert set(world.provider.steps()) == {"m[0]/p[0]/in[0]/a", "m[0]/p[0]/in[1]/a", "m[1]/p[0]/in[0]/a"}


async def test_what_ran_in_bodies_goes_on_after_a_crash(world: World) -> None:
    """What was recorded is not run again; what was not, is."""
    world.provider.hold = {"a"}
    body = (call("a", input={"n": "${item}"}),)
    await world.workflow(Step(id="m", does=Map(items=[1, 2, 3], steps=body)))
    execution = await world.start()
    (await world.held("m[1]/a")).complete({"n": 2})
    await eventually(lambda: len(world.provider.held) == 2)
    world.provider.hold = set()
    world.provider.answers["a"] = lambda value: {"n": value["n"]}
    await world.restart()
    details = await world.ended(execution.id)
    assert [it["n"] for it in result(details)["items"]] == [1, 2, 3]
    assert world.provider.steps().count("m[1]/a") == 1
    await same_when_read(world, details)


# ---- waits


async def test_a_wait_ends_at_its_time_and_not_before(world: World) -> None:
    """Also across a restart; a long one leaves memory."""
    await world.workflow(Step(id="w", does=Wait(duration="${input.h}h"), next="a"), call("a"))
    execution = await world.start(value={"h": 2})
    await eventually(lambda: world.engine.open_count == 0)
    await world.restart()
    await world.clock.advance(7_199)
    await quiet()
    assert world.provider.calls == []
    await world.clock.advance(2)
    assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
    assert world.provider.steps() == ["a"]


async def test_a_signal_wakes_the_step_that_waits_for_it(world: World) -> None:
    """Its output is the message; a repeat changes nothing."""
    await world.workflow(Step(id="s", does=Signal(name="paid", correlation="${input.id}")))
    execution = await world.start(value={"id": "7"})
    await eventually(lambda: world.engine.open_count == 0)
    other = SendSignal(execution_id="", signal_id="0", name="paid", correlation="8", payload=b'{"x":0}')
    await world.executions.order(execution.id, other)
    assert await world.state(execution.id) is ExecutionState.RUNNING
    right = SendSignal(execution_id="", signal_id="1", name="paid", correlation="7", payload=b'{"x":1}')
    await world.executions.order(execution.id, right)
    assert result(await world.ended(execution.id)) == {"x": 1}


async def test_a_signal_that_comes_early_is_kept(world: World) -> None:
    """For the step that waits for it later; each is taken once, in the order they came."""
    world.provider.hold = {"a"}
    await world.workflow(
        call("a", next="s"),
        Step(id="s", does=Signal(name="x"), next="t"),
        Step(id="t", does=Signal(name="x"), output={"both": ["${steps.s.n}", "${output.n}"]}),
    )
    execution = await world.start()
    held = await world.held("a")
    for number in (1, 2, 1):
        signal = SendSignal(execution_id="", signal_id=str(number), name="x", payload=b'{"n":%d}' % number)
        await world.executions.order(execution.id, signal)
    held.complete()
    assert result(await world.ended(execution.id)) == {"both": [1, 2]}


async def test_a_signal_nobody_takes_is_refused(world: World) -> None:
    """With the names of those that are taken."""
    await world.workflow(Step(id="s", does=Signal(name="paid")))
    execution = await world.start()
    with pytest.raises(Exception, match="paid") as caught:
        await world.executions.order(
            execution.id, SendSignal(execution_id="", signal_id="1", name="pay", payload=b"{}")
        )
    assert getattr(caught.value, "reason", "") == Reason.SIGNAL_UNKNOWN


async def test_a_signal_that_does_not_come_is_an_error_to_handle(world: World) -> None:
    """By its reason."""
    late = ErrorHandler(reasons=(str(Reason.SIGNAL_TIMEOUT),), next="late")
    await world.workflow(
        Step(id="s", does=Signal(name="paid"), timeout=timedelta(hours=1), on_error=(late,)),
        Step(id="late", does=Succeed(result={"late": "${error.step}"})),
    )
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    await world.clock.advance(3_601)
    assert result(await world.ended(execution.id)) == {"late": "s"}


async def test_an_approval_takes_one_of_its_outcomes(world: World) -> None:
    """The decision, who made it, and what was said are the output."""
    ask = Approval(title="Pay ${input.n}?", assignees=("${input.boss}",), due="2h", outcomes=("yes", "no"))
    await world.workflow(Step(id="ask", does=ask))
    execution = await world.start(value={"n": 5, "boss": "ann"})
    await eventually(lambda: world.engine.open_count == 0)
    shown = await world.executions.get(execution.id, payloads=True)
    asked = shown.steps[0].asked
    assert asked is not None
    assert (asked.title, asked.assignees) == ("Pay 5?", ("ann",))
    with pytest.raises(ValidationError, match="yes"):
        await world.executions.interactions.decide(execution.id, decision("maybe"))
    await world.executions.interactions.decide(execution.id, decision("yes"))
    found = result(await world.ended(execution.id))
    assert (found["outcome"], found["comment"], found["by"], found["data"]) == ("yes", "fine", "ann", {})
    with pytest.raises(PreconditionError):
        await world.executions.interactions.decide(execution.id, decision("no"))


async def test_who_is_asked_something_finds_it(world: World) -> None:
    """Whatever else is waited for beside it: the execution is listed as one that waits for a decision."""
    ask = Step(id="ask", does=Approval(title="?", outcomes=("yes",)))
    pause = Step(id="w", does=Wait(duration="1h"))
    branches = (Branch(name="x", steps=(pause,)), Branch(name="y", steps=(ask,)))
    await world.workflow(Step(id="p", does=Parallel(branches=branches)))
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    found = await world.executions.find(execution.id)
    assert (found.waits, found.due_time) == (Waits.APPROVAL, found.create_time + timedelta(hours=1))
    await world.executions.interactions.decide(execution.id, decision("yes"))
    await eventually(lambda: world.engine.open_count == 0)
    assert (await world.executions.find(execution.id)).waits is Waits.TIMER


def decision(outcome: str) -> Decide:
    return Decide(execution_id="", step_id="", outcome=outcome, comment="fine", decided_by="ann", time="")


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
            self, execution: Execution, events: Sequence[Event], expected_last: int, *, release: bool = False
        ) -> None:
            if release and not events:
                await quiet()
            await super().append_events(execution, events, expected_last, release=release)

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


async def test_retries_in_bodies_are_durable(world: World) -> None:
    """Each item has its own."""
    policy = RetryPolicy(
        max_attempts=2, initial_backoff=timedelta(seconds=5), jitter=0, exhausted=Exhausted.FAIL
    )
    tries: list[int] = []

    def answer(value: JsonObject) -> JsonObject:
        tries.append(value["n"])
        if tries.count(value["n"]) == 1:
            raise OSError("a defect")
        return {"n": value["n"]}

    world.provider.answers["a"] = answer
    body = (call("a", input={"n": "${item}"}, retry=policy),)
    await world.workflow(Step(id="m", does=Map(items=[1, 2], steps=body)))
    execution = await world.start()
    await eventually(lambda: len(tries) == 2)
    await quiet()
    await world.clock.advance(5)
    assert result(await world.ended(execution.id))["items"] == [{"n": 1}, {"n": 2}]
    completed = [it.body for it in await world.events(execution.id) if isinstance(it.body, StepCompleted)]
    assert {it.attempt for it in completed if it.step_id.endswith("/a")} == {2}


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
