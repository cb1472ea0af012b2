"""Workflows that run workflows: whether they are there, what they take and give, and whether that ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.workflow.builders import action, brief, schema, service, services, step
from weft.core.payload import JsonObject
from weft.server.workflow.checks.checks import KnownWorkflow, find_problems
from weft.server.workflow.kinds import Branch, Case, Child, Loop, Map, Parallel, Switch
from weft.server.workflow.model import Definition, Problem, Share, Step, WorkflowState

KNOWN = services(service("s", action("any"), action("use", schema("text", text="string"), None)))
ANY = step("any")


def does(step_id: str, kind: Any, following: str = "", **rest: Any) -> Step:
    return Step(id=step_id, does=kind, next=following, **rest)


def run(name: str, **rest: Any) -> Step:
    return does("run", Child(name=name, **rest))


def known(name: str, *versions: Definition, **rest: Any) -> KnownWorkflow:
    return KnownWorkflow(
        name=name, latest=len(versions), definitions=dict(enumerate(versions, start=1)), **rest
    )


def definition(*steps: Step, **rest: Any) -> Definition:
    return Definition(steps=steps or (ANY,), **rest)


def problems(
    *steps: Step,
    workflows: Mapping[str, KnownWorkflow],
    name: str = "",
    others: tuple[str, ...] | None = (),
    **rest: Any,
) -> list[Problem]:
    return find_problems(
        definition(*steps, **rest), KNOWN, workflows=workflows, other_workflows=others, name=name
    )


BOOK = known("book", definition(), definition(), aliases={"stable": (Share(version=1, percent=100),)})


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (Child(name="book"), []),
        (Child(name="book", version=2), []),
        (Child(name="book", alias="stable"), []),
        (Child(name="book", alias="latest"), []),
        (Child(name="boook"), [("steps[0].workflow.name", "WORKFLOW_UNKNOWN")]),
        (Child(name="book", version=3), [("steps[0].workflow.version", "WORKFLOW_UNKNOWN")]),
        (Child(name="book", alias="stabel"), [("steps[0].workflow.alias", "WORKFLOW_UNKNOWN")]),
        (Child(name="off"), [("steps[0].workflow.name", "WORKFLOW_NOT_USABLE?")]),
    ],
)
def test_workflows_that_are_there(child: Child, expected: list[tuple[str, str]]) -> None:
    """By name, version and alias."""
    workflows = {"book": BOOK, "off": known("off", definition(), state=WorkflowState.INACTIVE)}
    assert brief(problems(does("run", child), workflows=workflows)) == expected
    in_map = does("each", Map(items=[{}], workflow=child))
    assert brief(problems(in_map, workflows=workflows)) == [
        (path.replace("steps[0].workflow", "steps[0].map.workflow"), code) for path, code in expected
    ]


@pytest.mark.parametrize(
    ("child", "hint"),
    [
        (Child(name="boook"), "did you mean 'book'?"),
        (Child(name="shipp"), "did you mean 'ship'?"),
        (Child(name="book", version=3), "its newest is 2"),
        (Child(name="book", alias="stabel"), "did you mean 'stable'?"),
    ],
)
def test_hints_for_workflows(child: Child, hint: str) -> None:
    """Also names that are only told for this."""
    (problem,) = problems(does("run", child), workflows={"book": BOOK}, others=("ship",))
    assert problem.hint == hint


def test_when_workflows_are_not_told_nothing_is_missed() -> None:
    """A check without a list of workflows says nothing about them."""
    assert find_problems(definition(run("nobody")), KNOWN) == []


def test_a_workflow_may_name_itself() -> None:
    """Before it is stored there is no other of that name."""
    switch = does("sw", Switch(cases=(Case(when="input.more", next="run"),), default="end"))
    (problem,) = problems(switch, run("me"), step("end", "any"), workflows={}, name="me")
    assert (problem.code, problem.severity) == ("WORKFLOW_ENDLESS", "WARNING")


TAKES = schema("text", text="string", closed=True)
GIVES = schema("n", n="integer")


def child_flow(steps: tuple[Step, ...], workflow_input: JsonObject | None = None) -> list[tuple[str, str]]:
    workflows = {"w": known("w", definition(input_schema=TAKES, output_schema=GIVES))}
    return brief(problems(*steps, workflows=workflows, input_schema=workflow_input))


@pytest.mark.parametrize(
    ("given", "workflow_input", "expected"),
    [
        ({"text": "x"}, None, []),
        ({"text": 5}, None, [("steps[0].input.text", "TYPE_MISMATCH")]),
        ({"txt": "x"}, None, [("steps[0].input", "INPUT_MISSING"), ("steps[0].input.txt", "INPUT_UNKNOWN")]),
        (None, schema("text", text="string"), []),
        (None, schema("x", x="string"), [("steps[0]", "INPUT_MISSING")]),
        (None, schema("text", text="integer"), [("steps[0]", "TYPE_MISMATCH")]),
    ],
)
def test_a_child_is_given_what_its_workflow_takes(
    given: JsonObject | None, workflow_input: JsonObject | None, expected: list[tuple[str, str]]
) -> None:
    """As an action is: by a template, or by name."""
    assert child_flow((does("run", Child(name="w"), input=given),), workflow_input) == expected


def test_a_child_gives_what_its_workflow_promises() -> None:
    """Its output schema is that of the step."""
    look = step("look", "any", input={"x": "${steps.run.n + steps.run.m}"})
    first = does("run", Child(name="w"), "look", input={"text": "x"})
    assert child_flow((first, look)) == [("steps[1].input.x", "INPUT_UNKNOWN?")]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([{"text": "x"}], []),
        ([{"text": 5}], [("steps[0].map.items", "TYPE_MISMATCH")]),
        ([{"txt": "x"}], [("steps[0].map.items", "INPUT_MISSING")]),
        (["x"], [("steps[0].map.items", "TYPE_MISMATCH")]),
        ("${input.anything}", []),
    ],
)
def test_each_item_is_what_the_workflow_of_a_map_takes(items: Any, expected: list[tuple[str, str]]) -> None:
    """Unless the step has an input."""
    each = Map(items=items, workflow=Child(name="w"))
    assert child_flow((does("each", each),)) == expected
    assert child_flow((does("each", each, input={"text": "${string(index)}"}),)) == []


def test_an_alias_with_several_versions_gives_what_they_have_in_common() -> None:
    """What only some of them have may be missing."""
    two = known(
        "w",
        definition(output_schema=schema("a", a="string", closed=True)),
        definition(output_schema=schema("a", "b", a="integer", b="string", closed=True)),
        aliases={"ramp": (Share(version=1, percent=50), Share(version=2, percent=50))},
    )
    steps = (
        does("run", Child(name="w", alias="ramp"), "look"),
        step("look", "any", input={"x": "${steps.run.a}", "y": "${steps.run.b}", "z": "${steps.run.c}"}),
    )
    assert brief(problems(*steps, workflows={"w": two})) == [
        ("steps[1].input.z", "INPUT_UNKNOWN"),
        ("steps[1].input.y", "INPUT_MISSING?"),
    ]


ME = Child(name="me")
CASE = Switch(cases=(Case(when="input.more", next="run"),), default="end")
END = step("end", "any")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((does("run", ME),), ""),
        ((step("first", "any", "run"), does("run", ME)), ""),
        ((does("sw", CASE), does("run", ME), END), "?"),
        ((does("k", Loop(until="true", steps=(does("run", ME),))),), ""),
        ((does("k", Loop(while_="input.more", steps=(does("run", ME),))),), "?"),
        ((does("k", Map(items="${input.list}", steps=(does("run", ME),))),), "?"),
        ((does("k", Map(items="${input.list}", workflow=ME)),), "?"),
        ((does("k", Parallel(branches=(Branch(name="a", steps=(does("run", ME),)),))),), ""),
        (
            (
                does(
                    "k",
                    Parallel(
                        branches=(
                            Branch(name="a", steps=(does("run", ME),)),
                            Branch(name="b", steps=(ANY,)),
                        ),
                        join=1,
                    ),
                ),
            ),
            "?",
        ),
        ((does("run", Child(name="me", alias="latest")),), ""),
        ((does("run", Child(name="me", version=1)),), None),
        ((does("sw", CASE, on_error=()), does("run", ME, "end"), END), "?"),
        (
            (
                does("sw", Switch(cases=(Case(when="input.a", next="p"),), default="q")),
                step("p", "any", "run"),
                step("q", "any", "run"),
                does("run", ME),
            ),
            "",
        ),
    ],
)
def test_a_workflow_that_runs_itself(steps: tuple[Step, ...], expected: str | None) -> None:
    """In every execution it never ends: an error. Where something decides, it is a warning."""
    old = {"me": known("me", definition())}
    found = brief(problems(*steps, workflows=old, name="me"))
    codes = [code for _, code in found if code.startswith("WORKFLOW_ENDLESS")]
    assert codes == ([] if expected is None else [f"WORKFLOW_ENDLESS{expected}"])


def test_workflows_that_run_each_other() -> None:
    """Over any number of others; the way is told."""
    workflows = {
        "b": known("b", definition(), definition(run("c"))),
        "c": known("c", definition(does("sw", CASE), run("me"), END)),
        "d": known("d", definition(run("me"))),
    }
    (problem,) = problems(run("b"), workflows=workflows, name="me")
    assert (problem.path, problem.severity) == ("steps[0].workflow.name", "WARNING")
    assert problem.message == "the workflow may run itself: me → b → c → me"
    assert problems(run("b", version=1), workflows=workflows, name="me") == []
    (problem,) = problems(run("d"), workflows=workflows, name="me")
    assert problem.message == "the workflow runs itself in every execution, without end: me → d → me"
    assert problem.severity == "ERROR"
    (problem,) = problems(ANY, finally_steps=(run("d"),), workflows=workflows, name="me")
    assert (problem.path, problem.severity) == ("finally[0].workflow.name", "ERROR")


def test_workflows_that_go_round_without_this_one() -> None:
    """Are not this one's problem."""
    workflows = {"b": known("b", definition(run("c"))), "c": known("c", definition(run("b")))}
    assert problems(run("b"), workflows=workflows, name="me") == []
