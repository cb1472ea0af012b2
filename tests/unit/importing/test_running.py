"""Imported examples, run by the engine: they do what their source says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.unit.execution.world import SERVICE, World, new_world, quiet
from tests.unit.importing.examples import HERE, golden
from tests.unit.importing.test_valid import definition_of
from weft.cli._definitions import read_workflows
from weft.core.errors import ActionFailedError, WeftError
from weft.core.payload import JsonObject
from weft.server.execution.messages import SendSignal
from weft.server.execution.model import ExecutionState
from weft.server.execution.run import ExecutionDetails
from weft.server.registry.model import Action
from weft.server.workflow.kinds import Kind, Loop, Map, Parallel
from weft.server.workflow.model import Definition, Step, Workflow

Answer = Callable[[JsonObject], JsonObject]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as made:
        yield made


async def import_example(world: World, file: str) -> str:
    """Create the workflows of an example, children first; return the name of the one it is about."""
    found = read_workflows([str(golden(HERE / file))])
    definitions = {written.name: _at_one_service(definition_of(written)) for written in reversed(found)}
    called = {step.action for it in definitions.values() for step in it.every_step() if step.service}
    await world.register(*(Action(name=name) for name in sorted(called)))
    now = world.clock.now()
    for name, definition in definitions.items():
        draft = Workflow(
            id="",
            name=name,
            definition=definition,
            create_time=now,
            update_time=now,
            version_create_time=now,
        )
        await world.workflows.create(draft, None)
    return found[0].name


def _at_one_service(definition: Definition) -> Definition:
    """Let one service answer for all: its actions are called as theirs, such as ``shop.price``."""
    return replace(definition, steps=tuple(_moved(step) for step in definition.steps))


def _moved(step: Step) -> Step:
    if step.service:
        return replace(step, service=SERVICE, action=f"{step.service}.{step.action}")
    does: Kind | None = step.does
    match does:
        case Parallel(branches=branches):
            moved = tuple(replace(it, steps=tuple(map(_moved, it.steps))) for it in branches)
            return replace(step, does=replace(does, branches=moved))
        case Map(steps=steps) | Loop(steps=steps):
            return replace(step, does=replace(does, steps=tuple(map(_moved, steps))))
        case _:
            return step


async def run(
    world: World, file: str, value: JsonObject, answers: dict[str, Answer | WeftError]
) -> ExecutionDetails:
    """Run an example to its end; time goes on as fast as it can."""
    name = await import_example(world, file)
    world.provider.answers.update(answers)
    execution = await world.start(name, value)
    async with asyncio.timeout(20):
        while not (await world.state(execution.id)).final:
            await quiet(3)
            await world.clock.advance(60)
    return await world.ended(execution.id)


async def result(
    world: World, file: str, value: JsonObject, answers: dict[str, Answer | WeftError] | None = None
) -> JsonObject:
    details = await run(world, file, value, answers or {})
    assert details.execution.state is ExecutionState.COMPLETED, details.execution.failure
    assert details.result is not None
    found: JsonObject = orjson.loads(details.result)
    return found


async def reason(
    world: World, file: str, value: JsonObject, answers: dict[str, Answer | WeftError] | None = None
) -> tuple[str, str]:
    details = await run(world, file, value, answers or {})
    failure = details.execution.failure
    assert failure is not None
    return failure.reason, failure.message


def one_after_the_other(*values: JsonObject) -> Answer:
    following: Iterator[JsonObject] = iter(values)
    return lambda _: next(following)


def inputs(world: World, action: str) -> list[JsonObject]:
    return [orjson.loads(call.input) for call in world.provider.calls if call.action == action]


# ---- States Language


async def test_data_goes_from_state_to_state(world: World) -> None:
    """Each has exactly what the one before gave."""
    answers: dict[str, Answer | WeftError] = {
        "read-meter.invoke": lambda value: {"read": value["meter"] * 10},
        "price-reading.invoke": lambda value: {"price": value["read"] * 2},
        "send-bill.invoke": lambda value: {"sent": value},
    }
    assert await result(world, "asl/chain.json", {"meter": 7}, answers) == {"sent": {"price": 140}}


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (2_000, {"total": 2_000, "credit": {"fine": True}, "shipment": {"number": "T1"}}),
        (5, {"total": 5, "credit": "none", "shipment": {"number": "T1"}}),
    ],
)
async def test_ways_that_meet_bring_their_own_data(world: World, total: int, expected: JsonObject) -> None:
    """`ResultPath` adds to what there was, whichever way it came."""
    answers: dict[str, Answer | WeftError] = {
        "check-credit.invoke": lambda value: {"fine": value == {"total": 2_000}},
        "ship.invoke": lambda _: {"tracking": {"number": "T1", "cost": 3}},
    }
    assert await result(world, "asl/merge.json", {"total": total}, answers) == expected


async def test_circles_go_round_until_they_are_over(world: World) -> None:
    """With the data of the round before."""
    answers: dict[str, Answer | WeftError] = {
        "start-rendering.invoke": lambda _: {"id": "j1"},
        "look-at-rendering.invoke": one_after_the_other(
            {"state": "BUSY"}, {"state": "BUSY"}, {"state": "READY"}
        ),
        "fetch-rendering.invoke": lambda value: {"fetched": value["id"]},
    }
    assert await result(world, "asl/poller.json", {"pause": 30}, answers) == {"fetched": "j1"}
    assert inputs(world, "look-at-rendering.invoke") == [{"id": "j1"}] * 3


async def test_a_circle_may_end_in_a_failure(world: World) -> None:
    """By another way out."""
    answers: dict[str, Answer | WeftError] = {
        "start-rendering.invoke": lambda _: {"id": "j1"},
        "look-at-rendering.invoke": one_after_the_other({"state": "BUSY"}, {"state": "BROKEN"}),
    }
    found = await reason(world, "asl/poller.json", {"pause": 0}, answers)
    assert found == ("RENDERING_BROKEN", "The farm gave up.")


async def test_counting_counts(world: World) -> None:
    """Ten times, as the source says."""
    assert await result(world, "asl/counting.json", {"x": 1}) == {"count": 10, "step": 1, "index": 10}
    assert [each["round"] for each in inputs(world, "work.invoke")] == list(range(1, 10))


async def test_a_circle_in_a_circle(world: World) -> None:
    """Two pages with two rows each."""
    answers: dict[str, Answer | WeftError] = {
        "next-page.invoke": one_after_the_other({"more": True, "n": 1}, {"more": False, "n": 2}),
        "next-row.invoke": one_after_the_other(*({"more": it} for it in (True, False, True, False))),
    }
    found = await result(world, "asl/two_loops.json", {"book": 1}, answers)
    assert found == {"book": 1, "page": {"more": False, "n": 2}, "row": {"more": False}}


async def test_a_handler_is_found_by_the_error(world: World) -> None:
    """And the data behind it has what happened."""
    answers: dict[str, Answer | WeftError] = {
        "book-table.invoke": ActionFailedError("all taken", reason="NO_TABLE"),
        "suggest-other.invoke": lambda value: {"suggested": value},
        "confirm.invoke": lambda value: {"confirmed": value},
    }
    found = await result(world, "asl/catch.json", {"guests": 2}, answers)
    assert found["confirmed"]["suggested"]["guests"] == 2
    assert "all taken" in found["confirmed"]["suggested"]["because"]


async def test_branches_give_a_list(world: World) -> None:
    """Also of what is no object."""
    answers: dict[str, Answer | WeftError] = {
        "find-address.invoke": lambda value: {"street": f"{value['who']} street"},
        "find-phone.invoke": lambda _: {"number": "555"},
        "greet.invoke": lambda value: value,
    }
    found = await result(world, "asl/parallel.json", {"who": "Ada"}, answers)
    assert found == {"street": "Ada street", "phone": "555", "all": [{"street": "Ada street"}, "555"]}


async def test_a_map_gives_a_list_in_order(world: World) -> None:
    """Of what the last state of each item hands on."""
    answers: dict[str, Answer | WeftError] = {
        "weigh-parcel.invoke": lambda value: {"grams": len(value["code"])},
        "report.invoke": lambda value: value,
    }
    order = {"order": {"parcels": [{"code": "aaa"}, {"code": "b"}], "customer": "Ada"}}
    found = await result(world, "asl/map.json", order, answers)
    assert found == {**order["order"], "checked": [3, 1]}


async def test_items_with_data_of_their_own_are_children(world: World) -> None:
    """One way does not disturb another's."""
    answers: dict[str, Answer | WeftError] = {
        "look-up.invoke": lambda value: {"body": "old"} if value["url"] == "a" else {},
        "fetch.invoke": lambda value: {"body": f"new {value['url']}"},
        "keep.invoke": lambda value: {"kept": [value["url"], value["body"]]},
    }
    found = await result(world, "asl/map_old.json", {"urls": ["a", "b"]}, answers)
    assert found == {"result": [{"kept": ["a", "old"]}, {"kept": ["b", "new b"]}]}


async def test_a_map_in_a_map(world: World) -> None:
    """The inner one knows the outer one's item."""
    answers: dict[str, Answer | WeftError] = {
        "paint.invoke": lambda value: {"done": f"{value['house']}/{value['room']}"}
    }
    houses = {"houses": [{"name": "h", "rooms": ["x", "y"]}, {"name": "i", "rooms": []}]}
    found = await result(world, "asl/nested_maps.json", houses, answers)
    assert found == {"result": [[{"done": "h/x"}, {"done": "h/y"}], []]}


@pytest.mark.parametrize(("amount", "discount"), [(200, 10), (1, 0)])
async def test_variables_are_there_by_name(world: World, amount: int, discount: int) -> None:
    """Also those that a way of a choice sets."""
    answers: dict[str, Answer | WeftError] = {
        "load-prices.invoke": lambda _: {"price": 3},
        "order.invoke": lambda value: value,
    }
    found = await result(world, "asl/variables.json", {"amount": amount}, answers)
    assert found == {"price": 3, "vat": 19, "discount": discount, "amount": amount}


async def test_what_failed_is_undone_by_hand(world: World) -> None:
    """As the source says, and then it fails as that does."""
    answers: dict[str, Answer | WeftError] = {
        "book-hotel.invoke": lambda _: {"room": 7},
        "book-flight.invoke": ActionFailedError("no seat", reason="FULL"),
    }
    found, message = await reason(world, "asl/saga.json", {"who": "Ada"}, answers)
    assert found == "FAILED"
    assert "no seat" in message
    (undone,) = inputs(world, "cancel-hotel.invoke")
    assert (undone["who"], undone["hotel"], undone["error"]["Error"]) == ("Ada", {"room": 7}, "FULL")


async def test_jsonata_as_far_as_it_goes(world: World) -> None:
    """Arguments, outputs and items."""
    answers: dict[str, Answer | WeftError] = {
        "write-row.invoke": lambda value: {"id": f"{value['sheet']}{value['at']}{value['row']}"}
    }
    found = await result(world, "asl/jsonata_map.json", {"rows": ["a", "b"], "sheet": "s"}, answers)
    assert found == {"ids": ["s0a", "s1b"]}


async def test_what_is_not_there_fails_when_it_is_reached(world: World) -> None:
    """Rather than to be something else."""
    found, message = await reason(
        world, "asl/intrinsics.json", {"a": "x", "n": 1, "list": ["x", "y"], "one": {}, "two": {}}
    )
    assert found == "EXPRESSION_FAILED"
    assert "not carried over: States.Hash" in message


# ---- Serverless Workflow


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
