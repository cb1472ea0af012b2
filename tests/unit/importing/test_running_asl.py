"""Imported state machines, run by the engine: they do what their source says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.execution.world import World, new_world
from tests.unit.importing.running import Answer, inputs, one_after_the_other, reason, result
from weft.core.errors import ActionFailedError, WeftError
from weft.core.payload import JsonObject


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as made:
        yield made


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
