"""Imported workflows of Serverless Workflow, run by the engine: they do what their source says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.unit.execution.world import World, new_world, quiet
from tests.unit.importing.running import Answer, import_example, inputs, one_after_the_other, reason, result
from weft.core.errors import ActionFailedError, WeftError
from weft.core.payload import JsonObject
from weft.server.execution.orders.messages import SendSignal


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as made:
        yield made


async def test_tasks_hand_on_what_they_give(world: World) -> None:
    """A call gets what its arguments say."""
    answers: dict[str, Answer | WeftError] = {
        "pilots-harbour-example.post-bookings": lambda _: {"pilot": {"id": 4}},
        "tugs-harbour-example.post-bookings": lambda value: value,
    }
    found = await result(world, "cncf/do_several.yaml", {"ship": {"name": "Argo", "draught": 3}}, answers)
    assert found == {"query": {"pilot": 4}, "headers": {"X-Priority": "high"}, "body": {"ship": "Argo"}}


@pytest.mark.parametrize(
    ("cargo", "moored"),
    [({"declared": False, "items": [1]}, True), ({"declared": True, "items": []}, True)],
)
async def test_tasks_are_left_out_by_their_condition(world: World, cargo: JsonObject, moored: bool) -> None:  # noqa: FBT001 - a case
    """And the data goes on without them."""
    answers: dict[str, Answer | WeftError] = {
        "customs-harbour-example.post-checks": lambda value: {"cargo": value["body"]},
        "berths-harbour-example.post-moorings": lambda _: {"moored": moored},
    }
    assert await result(world, "cncf/conditional.yaml", {"cargo": cargo}, answers) == {"moored": moored}
    assert len(inputs(world, "customs-harbour-example.post-checks")) == (not cargo["declared"])


async def test_for_goes_through_the_list(world: World) -> None:
    """One after the other, until its condition holds no more."""
    answers: dict[str, Answer | WeftError] = {
        "cranes-harbour-example.post-lifts": lambda value: {"halt": value["body"]["id"] == "b"},
    }
    value = {"containers": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "stopped": False}
    assert await result(world, "cncf/for.yaml", value, answers) == {"last": "b"}
    assert inputs(world, "cranes-harbour-example.post-lifts") == [
        {"body": {"id": "a", "number": 1}},
        {"body": {"id": "b", "number": 2}},
    ]


async def test_for_in_for(world: World) -> None:
    """The inner one knows the outer one's item."""
    value = {"decks": [{"name": "d", "rows": [1, 2]}, {"name": "e", "rows": []}, {"name": "f", "rows": [3]}]}
    await result(
        world, "cncf/nested_for.yaml", value, {"cranes-harbour-example.get-rows": lambda value: value}
    )
    queries = [each["query"] for each in inputs(world, "cranes-harbour-example.get-rows")]
    assert queries == [{"deck": "d", "row": 1}, {"deck": "d", "row": 2}, {"deck": "f", "row": 3}]


async def test_fork_gives_a_list(world: World) -> None:
    """In the order of the branches."""
    answers: dict[str, Answer | WeftError] = {
        "fire-harbour-example.put-alerts": lambda value: {"ticket": value["body"]["where"]},
        "coast-harbour-example.get-line": lambda _: {"line": {"number": 9}},
    }
    assert await result(world, "cncf/fork.yaml", {"berth": 5}, answers) == {"fire": 5, "coast": 9}


async def test_the_first_branch_wins(world: World) -> None:
    """And the rest is stopped."""
    world.provider.hold.add("north-harbour-example.get-tug")
    answers: dict[str, Answer | WeftError] = {
        "south-harbour-example.get-tug": lambda _: {"name": "Sue"},
        "tugs-harbour-example.post-orders": lambda value: value,
    }
    assert await result(world, "cncf/fork_compete.yaml", {}, answers) == {"body": {"tug": "Sue"}}


@pytest.mark.parametrize(
    ("kind", "expected"), [("tanker", {"permit": 1}), ("yacht", {"berth": 20}), ("raft", "UNKNOWN_SHIP")]
)
async def test_a_switch_goes_its_ways(world: World, kind: str, expected: Any) -> None:
    """To a task, to the end, to an error."""
    ship = {"ship": {"type": kind, "length": 10}}
    answers: dict[str, Answer | WeftError] = {"fire-harbour-example.post-permits": lambda _: {"permit": 1}}
    if isinstance(expected, dict):
        assert await result(world, "cncf/switch.yaml", ship, answers) == expected
    else:
        assert (await reason(world, "cncf/switch.yaml", ship, answers))[0] == expected


async def test_going_back_repeats(world: World) -> None:
    """Until the water is high."""
    answers: dict[str, Answer | WeftError] = {
        "tides-harbour-example.get-now": one_after_the_other({"level": 3}, {"level": 3.5}, {"level": 4.5}),
        "lock-harbour-example.post-open": lambda value: value,
    }
    assert await result(world, "cncf/loop_back.yaml", {}, answers) == {"body": {"level": 4.5}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"tension": 5}, {"moored": True}),
        ({"tension": 1}, {"moored": True}),
        (ActionFailedError("shut", reason="BERTH_CLOSED"), "NOT_CAUGHT"),
    ],
)
async def test_errors_are_caught_by_a_condition(world: World, answer: Any, expected: Any) -> None:
    """Those of calls and those that are raised; what it lets pass fails."""
    answers: dict[str, Answer | WeftError] = {
        "berths-harbour-example.post-moorings": answer if isinstance(answer, WeftError) else lambda _: answer,
        "crew-harbour-example.post-calls": lambda value: value,
    }
    if isinstance(expected, dict):
        assert await result(world, "cncf/try_catch.yaml", {"ship": "Argo"}, answers) == expected
        calls = inputs(world, "crew-harbour-example.post-calls")
        assert calls == (
            [{"body": {"why": "Loose rope", "ship": "Argo"}}] if answer == {"tension": 1} else []
        )
    else:
        assert (await reason(world, "cncf/try_catch.yaml", {"ship": "Argo"}, answers))[0] == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("NO_SHIP", None, {"b": 2}),
        ("OTHER", None, {"failed": "OTHER"}),
        ("NO_SHIP", "LATE", {"failed": "LATE"}),
    ],
)
async def test_a_try_in_a_try(world: World, first: str, second: str | None, expected: JsonObject) -> None:
    """What the inner one does not catch, and what fails in it, is the outer one's."""
    answers: dict[str, Answer | WeftError] = {
        "a-harbour-example.get-x": ActionFailedError("x", reason=first),
        "b-harbour-example.get-x": ActionFailedError("y", reason=second) if second else lambda _: {"b": 2},
    }
    assert await result(world, "cncf/try_nested.yaml", {}, answers) == expected


async def test_expressions_shape_data(world: World) -> None:
    """The input, each task's, and the result."""
    ships = {"ships": [{"name": "Argo", "length": 120}, {"name": "Nina", "length": 20}]}
    assert await result(world, "cncf/set_expression.yaml", ships) == {"count": 2, "first": "Argo"}


async def test_what_is_exported_is_there_for_all_that_follow(world: World) -> None:
    """And may grow."""
    answers: dict[str, Answer | WeftError] = {
        "port-harbour-example.post-session": lambda _: {"token": "t", "jobs": [{"id": 8}]},
        "port-harbour-example.post-jobs": lambda value: {"ok": value},
    }
    found = await result(world, "cncf/export_context.yaml", {}, answers)
    assert found == {"done": {"headers": {"Authorization": "Bearer t"}, "body": {"id": 8}}}


async def test_an_event_is_waited_for(world: World) -> None:
    """By its name and its correlation."""
    name = await import_example(world, "cncf/listen_one.yaml")
    world.provider.answers["port-harbour-example.post-departures"] = lambda value: value
    execution = await world.start(name, {"imo": "77"})
    await quiet()
    for number, imo in enumerate(("78", "77")):
        event = SendSignal(
            execution_id="", signal_id=str(number), name="example_harbour_pilot_aboard", correlation=imo,
            payload=orjson.dumps({"pilot": imo}),
        )  # fmt: skip
        await world.executions.order(execution.id, event)
    details = await world.ended(execution.id)
    assert details.result is not None
    assert orjson.loads(details.result) == {"body": {"pilot": "77"}}
