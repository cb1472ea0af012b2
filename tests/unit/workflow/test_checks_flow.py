"""What is found in the data of switches, branches, maps, loops and handlers."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.workflow.builders import action, found, schema, service, services, step
from weft.server.workflow.checks import find_problems
from weft.server.workflow.kinds import (
    Approval,
    Branch,
    Case,
    Emit,
    Fail,
    Kind,
    Loop,
    Map,
    Parallel,
    SetVariables,
    Signal,
    Succeed,
    Switch,
    Wait,
)
from weft.server.workflow.model import (
    Cache,
    Compensation,
    Concurrency,
    Definition,
    ErrorHandler,
    Step,
    StepLimit,
)

TEXT = schema("text", text="string")
NUMBER = schema("text", text="integer")
LINE = schema("sku", "qty", sku="string", qty="integer", note="string")
ORDER = schema(
    "id",
    "lines",
    "big",
    id="string",
    big="boolean",
    lines={"type": "array", "items": LINE},
    name="string",
)
KNOWN = services(
    service(
        "s",
        action("any"),
        action("read", None, TEXT),
        action("count", None, NUMBER),
        action("maybe", None, schema(text="string", closed=True)),
        action("use", TEXT, schema("n", n="integer")),
        action("book", schema("sku", sku="string"), schema("ref", ref="string")),
        action("pair", schema("a", "b", a="string", b="integer"), None),
        action("undo", schema("ref", ref="string"), None),
    )
)


def does(step_id: str, kind: Kind, following: str = "", **rest: Any) -> Step:
    return Step(id=step_id, does=kind, next=following, **rest)


def either(one: str, other: str) -> Step:
    return does("which", Switch(cases=(Case(when="input.big", next=one),), default=other))


def look(source: str, following: str = "", step_id: str = "look") -> Step:
    """Give a step whose input is one expression."""
    return step(step_id, "any", following, input={"x": f"${{{source}}}"})


def both(*bodies: tuple[Step, ...], **rest: Any) -> Parallel:
    return Parallel(branches=tuple(Branch(name=f"b{n}", steps=body) for n, body in enumerate(bodies)), **rest)


def check(*steps: Step, **rest: Any) -> list[tuple[str, str]]:
    return found(KNOWN, *steps, **{"input_schema": ORDER, **rest})


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
BEHIND = "steps[1].input.x"


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


@pytest.mark.parametrize(
    "when",
    ["input.id", "1 + 2", "'yes'", "size(input.lines)", "[true]", "input.lines.map(l, l.qty)", "null", "-1"],
)
def test_a_condition_that_is_never_true_or_false(when: str) -> None:
    """What has another type for certain is no condition."""
    switch = Switch(cases=(Case(when=when),), default="")
    assert check(does("w", switch)) == [("steps[0].switch.cases[0].when", "TYPE_MISMATCH")]


@pytest.mark.parametrize(
    "when",
    [
        "input.big",
        "!input.big",
        "input.lines.exists(l, l.qty > 3)",
        "has(input.name)",
        "input.id == 'x' ? true : false",
        "input.id.startsWith('x')",
        "(input.big)",
        "context.anything",
        "'a' in input.lines",
        "{'a': true}.a",
        "[true][0]",
        "input.id != 'x' && input.id < 'y'",
        "(1 > 2 ? [true] : [false])[0]",
        "dyn(true)",
    ],
)
def test_conditions_that_may_hold(when: str) -> None:
    """All else is one, also what cannot be told."""
    assert check(does("w", Switch(cases=(Case(when=when),)))) == []


SETS = SetVariables(values={"total": 5, "name": "${input.id}", "list": []})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("vars.total + 1", []),
        ("vars.total * 0.5", [(BEHIND, "TYPE_MISMATCH?")]),
        ("vars.name.size()", []),
        ("vars['list']", []),
        ("vars.totl", [(BEHIND, "EXPRESSION_NAME_UNKNOWN")]),
        ("steps.set.total", []),
        ("steps.set.other", [(BEHIND, "INPUT_UNKNOWN")]),
    ],
)
def test_variables_behind_the_step_that_sets_them(source: str, expected: list[tuple[str, str]]) -> None:
    """They have the type of what was set."""
    assert check(does("set", SETS, "look"), look(source)) == expected


def setting(step_id: str, following: str = "", value: Any = 1) -> Step:
    return does(step_id, SetVariables(values={"v": value}), following)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # On every way, though by different steps.
        ((either("p", "q"), setting("p", "look"), setting("q", "look"), look("vars.v")), []),
        (
            (either("p", "look"), setting("p", "look"), look("vars.v")),
            [("steps[2].input.x", "INPUT_MISSING?")],
        ),
        ((either("p", "look"), setting("p", "look"), look("has(vars.v) ? vars.v : 0")), []),
        ((look("vars.v", "p"), setting("p")), [("steps[0].input.x", "EXPRESSION_NAME_UNKNOWN")]),
        # Out of bodies.
        ((does("k", both((setting("p"),), (step("q", "any"),)), "look"), look("vars.v")), []),
        (
            (does("k", both((setting("p"),), (step("q", "any"),), join=1), "look"), look("vars.v")),
            [(BEHIND, "INPUT_MISSING?")],
        ),
        ((does("k", Loop(until="true", steps=(setting("p"),)), "look"), look("vars.v")), []),
        (
            (does("k", Loop(while_="input.big", steps=(setting("p"),)), "look"), look("vars.v")),
            [(BEHIND, "INPUT_MISSING?")],
        ),
        (
            (does("k", Map(items="${input.lines}", steps=(setting("p"),)), "look"), look("vars.v")),
            [(BEHIND, "INPUT_MISSING?")],
        ),
        # From another branch, that runs at the same time.
        (
            (does("k", both((setting("p"),), (look("vars.v"),))),),
            [("steps[0].parallel.branches[1].steps[0].input.x", "INPUT_MISSING?")],
        ),
        # A case in a body, all of whose ways set it.
        (
            (
                does(
                    "k",
                    Loop(until="true", steps=(either("p", "q"), setting("p"), setting("q"))),
                    "look",
                ),
                look("vars.v"),
            ),
            [],
        ),
    ],
)
def test_variables_that_may_not_be_set(steps: tuple[Step, ...], expected: list[tuple[str, str]]) -> None:
    """They are there across the whole execution, from when they were set."""
    assert check(*steps) == expected


def test_variables_are_given_to_steps_without_a_template() -> None:
    """Over the input, under the outputs."""
    use = step("u", "use")
    wrong = does("set", SetVariables(values={"text": 5}), "u")
    right = does("set", SetVariables(values={"text": "a ${input.id}"}), "u")
    assert check(right, use) == []
    assert check(wrong, use) == [("steps[1]", "TYPE_MISMATCH")]
    assert check(does("set", SetVariables(values={"text": 5}), "r"), step("r", "read", "u"), use) == []


def test_a_template_of_the_output_is_what_the_step_gives() -> None:
    """Its shape, and not the action's; it knows what the action gave as `output`."""
    first = step("r", "read", "look", output={"word": "${output.text}", "len": "${size(output.text)}"})
    assert check(first, look("steps.r.word + string(steps.r.len)")) == []
    assert check(first, look("steps.r.text")) == [(BEHIND, "INPUT_UNKNOWN")]
    assert check(first, step("look", "use")) == [("steps[1]", "INPUT_MISSING")]
    assert check(first, step("look", "use", input={"text": "${steps.r.len}"})) == [
        ("steps[1].input.text", "TYPE_MISMATCH")
    ]
    assert check(step("r", "read", output={"word": "${output.txt}"})) == [
        ("steps[0].output.word", "INPUT_UNKNOWN?")
    ]


@pytest.mark.parametrize(
    ("first", "source", "expected"),
    [
        (does("w", Wait(duration="1s"), "look"), "steps.w.until", []),
        (does("w", Wait(duration="1s"), "look"), "steps.w.since", [(BEHIND, "INPUT_UNKNOWN")]),
        (does("w", Signal(name="paid", schema=TEXT), "look"), "steps.w.text", []),
        (does("w", Signal(name="paid", schema=TEXT), "look"), "steps.w.txt", [(BEHIND, "INPUT_UNKNOWN?")]),
        (does("w", Signal(name="paid"), "look"), "steps.w.anything", []),
        (does("w", Approval(title="?"), "look"), "steps.w.outcome + steps.w.by + steps.w.comment", []),
        (does("w", Approval(title="?"), "look"), "steps.w.result", [(BEHIND, "INPUT_UNKNOWN")]),
        (does("w", Approval(title="?", schema=TEXT), "look"), "steps.w.data.text", []),
        (
            does("w", Approval(title="?", schema=TEXT), "look"),
            "steps.w.data.txt",
            [(BEHIND, "INPUT_UNKNOWN?")],
        ),
        (does("w", Emit(type="a.b"), "look"), "steps.w.x", [(BEHIND, "INPUT_UNKNOWN")]),
    ],
)
def test_what_other_kinds_give(first: Step, source: str, expected: list[tuple[str, str]]) -> None:
    """As the table of ADR 0019 has it."""
    assert check(first, look(source)) == expected


UNKNOWN = "EXPRESSION_NAME_UNKNOWN"


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        (does("k", Wait(duration="${nobody}s")), "wait.duration"),
        (does("k", Wait(until="${nobody}")), "wait.until"),
        (does("k", Signal(name="a", correlation="${nobody}")), "signal.correlation"),
        (does("k", Approval(title="${nobody}")), "approval.title"),
        (does("k", Approval(title="?", assignees=("a", "${nobody}"))), "approval.assignees[1]"),
        (does("k", Approval(title="?", due="${nobody}d")), "approval.due"),
        (does("k", Emit(type="a", data={"x": ["${nobody}"]})), "emit.data.x[0]"),
        (does("k", Fail(reason="A", message="${nobody}")), "fail.message"),
        (does("k", Succeed(result={"x": "${nobody}"})), "succeed.result.x"),
        (does("k", SetVariables(values={"x": "${nobody}"})), "set.x"),
        (does("k", Map(items="${nobody}", steps=(step("x", "any"),))), "map.items"),
        (does("k", Map(items={"from": 0, "to": "${nobody}"}, steps=(step("x", "any"),))), "map.items.to"),
        (does("k", Switch(cases=(Case(when="nobody"),))), "switch.cases[0].when"),
        (step("k", "any", output={"x": "${nobody}"}), "output.x"),
        (step("k", "any", cache=Cache(key="${nobody}", ttl=timedelta(days=1))), "cache.key"),
        (step("k", "any", limit=StepLimit(key="${nobody}", rate=1)), "limit.key"),
        (
            step("k", "any", compensate=Compensation(action="any", input={"x": "${nobody}"})),
            "compensate.input.x",
        ),
    ],
)
def test_expressions_stand_in_many_places(broken: Step, path: str) -> None:
    """Each of them is looked at, and told with its path."""
    assert check(broken) == [(f"steps[0].{path}", UNKNOWN)]


def test_expressions_of_the_workflow_as_a_whole() -> None:
    """They know what is there at the start."""
    rest = {"concurrency": Concurrency(limit=1, key="${vars.x}"), "search_attributes": {"a": "${steps.x.y}"}}
    assert check(step("x", "any"), **rest) == [("concurrency.key", UNKNOWN), ("search_attributes.a", UNKNOWN)]
    fine = {"search_attributes": {"a": "${input.id}", "b": "${context.user}"}}
    assert check(step("x", "any"), **fine) == []
    wrong = {"search_attributes": {"a": "${input.ID}"}}
    assert check(step("x", "any"), **wrong) == [("search_attributes.a", "INPUT_UNKNOWN?")]


def test_what_undoes_a_step_is_given_its_output() -> None:
    """By name without a template, or by a template over `output`."""
    booked: dict[str, Any] = {"input": {"sku": "x"}}
    assert check(step("b", "book", compensate=Compensation(action="undo"), **booked)) == []
    assert check(step("b", "read", compensate=Compensation(action="undo"))) == [
        ("steps[0].compensate", "INPUT_MISSING")
    ]
    wrong = Compensation(action="undo", input={"ref": "${size(output.ref)}"})
    assert check(step("b", "book", compensate=wrong, **booked)) == [
        ("steps[0].compensate.input.ref", "TYPE_MISMATCH")
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("has(steps.r) ? steps.r.text : ''", []),
        ("steps.r.text", [("finally[0].input.x", "INPUT_MISSING?")]),
        ("steps.inner.text", [("finally[0].input.x", UNKNOWN)]),
        ("has(vars.v) ? vars.v : 0", []),
        ("input.id", []),
        ("has(error.reason) ? error.reason : ''", []),
        ("error.reason", [("finally[0].input.x", "INPUT_MISSING?")]),
    ],
)
def test_what_runs_at_the_end_may_come_early(source: str, expected: list[tuple[str, str]]) -> None:
    """An execution may end before any step of its list has completed."""
    again = does("again", Loop(until="true", steps=(step("inner", "read", "set"), setting("set"))))
    assert check(step("r", "read", "again"), again, finally_steps=(look(source),)) == expected


RESULT = schema("text", text="string", closed=True)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((step("r", "read"),), []),
        ((either("r", "c"), step("r", "read"), step("c", "count")), [("output_schema", "TYPE_MISMATCH")]),
        (
            (step("r", "read", on_error=(ErrorHandler(),)),),
            [("output_schema", "INPUT_MISSING")],
        ),
        ((does("ok", Succeed(result={"text": "x"})),), []),
        ((does("ok", Succeed(result={"text": 5})),), [("steps[0].succeed.result", "TYPE_MISMATCH")]),
        ((does("ok", Succeed()),), [("steps[0].succeed.result", "INPUT_MISSING")]),
        (
            (
                does("l", Loop(until="true", steps=(does("ok", Succeed(result={"txt": "x"})),)), "r"),
                step("r", "read"),
            ),
            [
                ("steps[0].loop.steps[0].succeed.result", "INPUT_MISSING"),
                ("steps[0].loop.steps[0].succeed.result", "INPUT_UNKNOWN"),
            ],
        ),
        ((does("f", Fail(reason="NO")),), []),
    ],
)
def test_every_end_gives_what_the_workflow_promises(
    steps: tuple[Step, ...], expected: list[tuple[str, str]]
) -> None:
    """Each way to the end, and each `succeed`, is held against the output schema."""
    assert check(*steps, output_schema=RESULT) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({"...": "${input}", "a": "x", "b": 1}, []),
        ({"...": "${steps.r}", "b": 1}, [("steps[1].input", "INPUT_MISSING?")]),
        ({"...": {"a": "x", "b": "y"}}, [("steps[1].input....", "TYPE_MISMATCH")]),
        ({"...": [{"a": 1}, {"a": "x", "b": 1}]}, []),
        ({"...": [{"a": "x"}, {"a": 1, "b": 1}]}, [("steps[1].input....", "TYPE_MISMATCH")]),
    ],
)
def test_members_that_are_taken_over(template: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """What is known of the objects behind `...` is known of the whole."""
    assert check(step("r", "read", "p"), step("p", "pair", input=template)) == expected


def test_deep_members_of_declared_objects() -> None:
    """Members of members are looked at as well."""
    wide = schema("a", a=schema("b", b=schema("c", c="string")))
    known = services(service("s", action("any"), action("deep", None, wide)))
    first = step("d", "deep", "look")
    assert found(known, first, look("steps.d.a.b.c")) == []
    assert found(known, first, look("steps.d.a.b.x")) == [(BEHIND, "INPUT_UNKNOWN?")]
    assert found(known, first, look("steps.d.a.x.c")) == [(BEHIND, "INPUT_UNKNOWN?")]


def test_large_definitions_of_all_kinds_take_no_time() -> None:
    """A thousand steps that switch, set and join, and a hundred branches: the work does not multiply."""
    steps: list[Step] = []
    for n in range(333):
        following = f"w{n + 1}" if n < 332 else ""
        steps += [
            does(f"w{n}", Switch(cases=(Case(when="input.big", next=f"l{n}"),), default=f"r{n}")),
            does(f"l{n}", SetVariables(values={"v": f"${{{n}}}", "text": "${input.id}"}), following),
            step(f"r{n}", "use", following),
        ]
    wide = both(*((look("input.id", step_id=f"x{n}"),) for n in range(100)))
    dense = [
        does(f"s{n}", Switch(cases=tuple(Case(when="true", next=f"s{min(n + k, 499)}") for k in range(1, 9))))
        for n in range(499)
    ]
    for given in (steps, [does("k", wide)], [*dense, step("s499", "any")]):
        started = time.process_time()
        find_problems(Definition(steps=tuple(given), input_schema=ORDER), KNOWN)
        assert time.process_time() - started < 3  # under half a second on an idle machine
