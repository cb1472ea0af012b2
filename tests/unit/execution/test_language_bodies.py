"""Steps that hold steps: parallel, map and loop, run by the engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.execution.language import call, outcome, result, same_when_read
from tests.unit.execution.world import World, eventually, quiet
from weft.core.errors import ActionFailedError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.server.execution.history.model import ExecutionState, StepCompleted
from weft.server.workflow.kinds import Branch, Loop, Map, Parallel, SetVariables
from weft.server.workflow.model import Exhausted, RetryPolicy, Step

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
