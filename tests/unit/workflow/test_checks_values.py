"""What is found in conditions, variables, outputs and results."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.workflow.builders import action, found, schema, service, services, step
from tests.unit.workflow.flow_builders import (
    BEHIND,
    KNOWN,
    ORDER,
    TEXT,
    both,
    check,
    does,
    either,
    look,
)
from weft.server.workflow.checks.checks import find_problems
from weft.server.workflow.kinds import (
    Approval,
    Case,
    Emit,
    Fail,
    Loop,
    Map,
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


@pytest.mark.parametrize(
    ("source", "fits"),
    [
        ("1 + 1", False),
        ("input.lines[0].qty * 2 - 1", False),
        ("input.lines + input.lines", False),
        ("[1] + [2]", False),
        ("input.id + 'x'", True),
        ("context.a + context.b", True),
        ("input.id + context.b", True),
        ("timestamp(input.id) + duration('1h')", True),
        ("context.a - duration('1h')", True),
    ],
)
def test_what_a_calculation_gives(source: str, *, fits: bool) -> None:
    """Numbers, texts or lists, as far as one of its parts tells."""
    problems = check(step("u", "use", input={"text": f"${{{source}}}"}))
    assert problems == ([] if fits else [("steps[0].input.text", "TYPE_MISMATCH")])
