"""What is found in the data of switches, branches, maps, loops and handlers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workflow.builders import action, found, schema, service, services, step
from tests.unit.workflow.flow_builders import (
    BEHIND,
    KNOWN,
    ORDER,
    both,
    check,
    does,
    either,
    look,
)
from weft.server.workflow.checks.checks import find_problems
from weft.server.workflow.kinds import (
    Loop,
    Map,
)
from weft.server.workflow.model import (
    Definition,
    ErrorHandler,
)

ANY_WAY = (either("r", "c"), step("r", "read", "look"), step("c", "count", "look"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("steps.r.text", [("steps[3].input.x", "INPUT_MISSING?")]),
        ("has(steps.r) ? steps.r.text : ''", []),
        ("has(steps.r.text) ? steps.r.text : ''", [("steps[3].input.x", "INPUT_MISSING?")]),
        ("'r' in steps ? steps.r.text : ''", []),
        ("has(steps.r) ? steps.c.text : 1", [("steps[3].input.x", "INPUT_MISSING?")]),
        ("has(steps.r)", []),
        ("steps.which.next", []),
        ("steps.which.then", [("steps[3].input.x", "INPUT_UNKNOWN")]),
    ],
)
def test_behind_a_switch_a_case_may_not_have_run(source: str, expected: list[tuple[str, str]]) -> None:
    """Its output is there only on some ways: it is asked for before it is taken."""
    assert check(*ANY_WAY, look(source)) == expected


def test_what_has_not_run_on_any_way() -> None:
    """A step of the other case is never there: that is an error."""
    steps = (either("r", "c"), step("r", "read"), look("steps.r.text", step_id="c"))
    assert check(*steps) == [("steps[2].input.x", "EXPRESSION_NAME_UNKNOWN")]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("read", "read", []),
        ("read", "maybe", [("steps[3]", "INPUT_MISSING?")]),
        ("read", "any", []),
        ("count", "count", [("steps[3]", "TYPE_MISMATCH")]),
        ("read", "count", []),
        ("read", "use", [("steps[1]", "INPUT_MISSING"), ("steps[3]", "INPUT_MISSING?")]),
    ],
)
def test_types_come_together_behind_a_switch(one: str, other: str, expected: list[tuple[str, str]]) -> None:
    """What every case gives is there, and is what any of them gives."""
    last = step("last", "use")
    steps = (either("p", "q"), step("q", other, "last"), step("p", one, "last"), last)
    assert check(*steps) == expected


def test_a_step_that_every_way_leads_over_is_sure() -> None:
    """Cases that come together again are behind it, and what it gives is there."""
    steps = (
        *ANY_WAY,
        step("look", "read", "end"),
        look("steps.look.text + string(steps.which.next)", step_id="end"),
    )
    assert check(*steps) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("error.reason", []),
        ("error.metadata.whatever", []),
        ("error.message + error.code + error.step", []),
        ("error.business", []),
        ("error.reasn", [("steps[1].input.x", "INPUT_UNKNOWN?")]),
        ("steps.r.text", [("steps[1].input.x", "EXPRESSION_NAME_UNKNOWN")]),
    ],
)
def test_behind_a_handler_there_is_the_error(source: str, expected: list[tuple[str, str]]) -> None:
    """And not what the step that failed would have given."""
    first = step("r", "read", "fine", on_error=(ErrorHandler(next="look"),))
    assert check(first, look(source, "fine"), step("fine", "any")) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("error.reason", [("steps[2].input.x", "INPUT_MISSING?")]),
        ("has(error.reason) ? error.reason : ''", []),
        ("steps.r.text", [("steps[2].input.x", "INPUT_MISSING?")]),
    ],
)
def test_where_a_handler_comes_back(source: str, expected: list[tuple[str, str]]) -> None:
    """Both the error and the output are there on some ways only."""
    first = step("r", "read", "look", on_error=(ErrorHandler(next="mend"),))
    assert check(first, step("mend", "any", "look"), look(source)) == expected


ELSEWHERE = [("steps[0].input.x", "EXPRESSION_NAME_UNKNOWN")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("item.sku", ELSEWHERE),
        ("index", ELSEWHERE),
        ("iteration", ELSEWHERE),
        ("error.reason", ELSEWHERE),
        ("output.text", ELSEWHERE),
        ("vars.x", ELSEWHERE),
        ("vars", []),
        ("input.id", []),
        ("execution.id + context.user", []),
    ],
)
def test_names_that_are_only_there_in_some_places(source: str, expected: list[tuple[str, str]]) -> None:
    """A name of another place is told as such."""
    assert check(look(source)) == expected
    if expected and "vars" not in source:
        (problem,) = find_problems(Definition(steps=(look(source),)), KNOWN)
        assert "is there only" in problem.message


IN_MAP = "steps[1].map.steps[0].input.x"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("item.sku", []),
        ("item.qty * 2 + index", []),
        ("item.skew", [(IN_MAP, "INPUT_UNKNOWN?")]),
        ("item.note", [(IN_MAP, "INPUT_MISSING?")]),
        ("item.sku.size() * 0.5", [(IN_MAP, "TYPE_MISMATCH?")]),
        ("item.sku.code", [(IN_MAP, "INPUT_UNKNOWN")]),
        ("index.code", [(IN_MAP, "INPUT_UNKNOWN")]),
        ("steps.r.text + input.id", []),
        ("steps.each.items", [(IN_MAP, "EXPRESSION_NAME_UNKNOWN")]),
        ("iteration", [(IN_MAP, "EXPRESSION_NAME_UNKNOWN")]),
    ],
)
def test_the_steps_of_a_map_know_the_item(source: str, expected: list[tuple[str, str]]) -> None:
    """As the list declares it, beside all that ran before the map."""
    each = Map(items="${input.lines}", steps=(look(source),))
    assert check(step("r", "read", "each"), does("each", each)) == expected


def test_an_item_that_is_an_object_gives_its_members() -> None:
    """Without a template a step takes them, and an item that is none gives nothing."""
    booked = (step("b", "book"),)
    assert check(does("each", Map(items="${input.lines}", steps=booked))) == []
    assert check(does("each", Map(items=["a", "b"], steps=booked))) == [
        ("steps[0].map.steps[0]", "INPUT_MISSING")
    ]
    assert check(does("each", Map(items=[{"sku": 5}], steps=booked))) == [
        ("steps[0].map.steps[0]", "TYPE_MISMATCH")
    ]
    assert check(does("each", Map(items={"from": 0, "to": 3}, steps=(look("item * 2"),)))) == []


def test_an_item_wins_over_what_ran_before_its_map_and_not_over_what_runs_in_it() -> None:
    """As the engine puts them together: outer outputs, the item, inner outputs."""
    sku = schema("sku", sku="integer")
    known = services(service("s", action("number", None, sku), action("book", schema("sku", sku="string"))))
    each = Map(items=[{"sku": "x"}], steps=(step("b", "book"),))
    assert found(known, step("n", "number", "each"), does("each", each)) == []
    inner = Map(items=[{"sku": "x"}], steps=(step("n", "number", "b"), step("b", "book")))
    assert found(known, does("each", inner)) == [("steps[0].map.steps[1]", "TYPE_MISMATCH")]
    nested = Map(items=[{"sku": 1}], steps=(does("again", each),))
    assert found(known, does("outer", nested)) == []


BOOKED = does("each", Map(items="${input.lines}", steps=(step("b", "book"),)), "look")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("steps.each.items[0].ref", []),
        ("steps.each.items[0].reff", [(BEHIND, "INPUT_UNKNOWN?")]),
        ("steps.each.items.map(i, i.ref)", []),
        ("steps.each.count + steps.each.failed + size(steps.each.errors)", []),
        ("steps.each.count * 0.5", [(BEHIND, "TYPE_MISMATCH?")]),
        ("steps.each.result", [(BEHIND, "INPUT_UNKNOWN")]),
        ("steps.b.ref", [(BEHIND, "EXPRESSION_NAME_UNKNOWN")]),
        ("item.sku", [(BEHIND, "EXPRESSION_NAME_UNKNOWN")]),
    ],
)
def test_what_a_map_gives(source: str, expected: list[tuple[str, str]]) -> None:
    """The outputs of its last steps as a list; what ran in it is not visible behind it."""
    assert check(BOOKED, look(source)) == expected


def test_a_map_that_keeps_nothing_gives_no_items() -> None:
    """And one that tolerates failures has null where they were."""
    kept = Map(items="${input.lines}", steps=(step("b", "book"),), discard_outputs=True)
    assert check(does("each", kept, "look"), look("steps.each.items")) == [(BEHIND, "INPUT_UNKNOWN")]


def test_a_hint_leads_to_the_container() -> None:
    """Who names a step in a body is told what is visible instead."""
    (problem,) = find_problems(Definition(steps=(BOOKED, look("steps.b.ref")), input_schema=ORDER), KNOWN)
    assert problem.message == "the step 'b' runs in the list of 'each': it is not visible behind it"
    assert problem.hint == "use steps.each, the output of the step around it"


IN_BRANCH = "steps[1].parallel.branches[1].steps[0].input.x"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("steps.r.text", []),
        ("steps.a.text", [(IN_BRANCH, "EXPRESSION_NAME_UNKNOWN")]),
        ("steps.par.b0.text", [(IN_BRANCH, "EXPRESSION_NAME_UNKNOWN")]),
    ],
)
def test_a_branch_does_not_see_another(source: str, expected: list[tuple[str, str]]) -> None:
    """Only what ran before all of them."""
    par = both((step("a", "read"),), (look(source),))
    assert check(step("r", "read", "par"), does("par", par)) == expected


@pytest.mark.parametrize(
    ("rest", "source", "expected"),
    [
        ({}, "steps.par.b0.text + string(steps.par.b1.text)", []),
        ({}, "steps.par.b0.txt", [(BEHIND, "INPUT_UNKNOWN?")]),
        ({}, "steps.par.b2", [(BEHIND, "INPUT_UNKNOWN")]),
        ({}, "steps.par.b1.text * 0.5", [(BEHIND, "TYPE_MISMATCH?")]),
        ({}, "steps.a.text", [(BEHIND, "EXPRESSION_NAME_UNKNOWN")]),
        ({"join": 2}, "steps.par.b0.text", []),
        ({"join": 1}, "steps.par.b0.text", [(BEHIND, "INPUT_MISSING?")]),
        ({"join": 1}, "has(steps.par.b0) ? steps.par.b0.text : ''", []),
        ({"collect_errors": True}, "steps.par.b0.text", [(BEHIND, "INPUT_MISSING?")]),
        ({"collect_errors": True}, "steps.par.errors", [(BEHIND, "INPUT_MISSING?")]),
        ({"collect_errors": True}, "has(steps.par.errors) ? steps.par.errors : {}", []),
        ({}, "steps.par.errors", [(BEHIND, "INPUT_UNKNOWN")]),
    ],
)
def test_what_a_parallel_gives(rest: dict[str, Any], source: str, expected: list[tuple[str, str]]) -> None:
    """The output of each branch by its name, as far as it has to complete."""
    par = both((step("a", "read"),), (step("b", "count"),), **rest)
    assert check(does("par", par, "look"), look(source)) == expected


def test_the_output_of_a_branch_with_two_ends() -> None:
    """It is what either of them gives."""
    body = (either("p", "q"), step("p", "read"), step("q", "count"))
    par = does("par", both(body), "look")
    assert check(par, look("steps.par.b0.text")) == []
    assert check(par, step("look", "use", input={"text": "${steps.par.b0.text}"})) == []
    wrong = (either("p", "q"), step("p", "count"), step("q", "count"))
    assert check(
        does("par", both(wrong), "look"), step("look", "use", input={"text": "${steps.par.b0.text}"})
    ) == [("steps[1].input.text", "TYPE_MISMATCH")]


LOOP = "steps[0].loop"


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        (Loop(until="steps.c.text > 3", steps=(step("c", "count"),)), []),
        (Loop(until="steps.c.txt > 3", steps=(step("c", "count"),)), [(f"{LOOP}.until", "INPUT_UNKNOWN?")]),
        (Loop(until="steps.c.text", steps=(step("c", "count"),)), [(f"{LOOP}.until", "TYPE_MISMATCH")]),
        (Loop(while_="steps.c.text < 3", steps=(step("c", "count"),)), [(f"{LOOP}.while", "INPUT_MISSING?")]),
        (Loop(while_="iteration < 3", steps=(look("iteration"),)), []),
        (
            Loop(while_="true", steps=(look("has(steps.c) ? steps.c.text : 0", "c"), step("c", "count"))),
            [],
        ),
        (
            Loop(while_="true", steps=(look("steps.c.text", "c"), step("c", "count"))),
            [(f"{LOOP}.steps[0].input.x", "INPUT_MISSING?")],
        ),
        (Loop(while_="item.x", steps=(step("c", "count"),)), [(f"{LOOP}.while", "EXPRESSION_NAME_UNKNOWN")]),
        (Loop(while_="${true}", steps=(step("c", "count"),)), []),
        (Loop(while_="tru &&", steps=(step("c", "count"),)), [(f"{LOOP}.while", "EXPRESSION_INVALID")]),
    ],
)
def test_loops_see_the_iteration_before(loop: Loop, expected: list[tuple[str, str]]) -> None:
    """What the body leaves is there in the next iteration, so never in the first."""
    assert check(does("again", loop)) == expected


def test_what_a_loop_gives() -> None:
    """How often it ran, and what its last iteration gave."""
    again = does("again", Loop(until="true", steps=(step("c", "count"),)), "look")
    assert check(again, look("steps.again.last.text + steps.again.iterations")) == []
    assert check(again, look("steps.again.last.txt")) == [(BEHIND, "INPUT_UNKNOWN?")]
    assert check(again, step("look", "use", input={"text": "${steps.again.last.text}"})) == [
        ("steps[1].input.text", "TYPE_MISMATCH")
    ]
