"""Definitions made to keep the server busy: each is checked, or refused, at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.unit.workflow.builders import action, service, services, step
from weft.core.errors import PreconditionError
from weft.server.workflow.checks.checks import KnownWorkflow, find_problems
from weft.server.workflow.expressions.conditions import compile_condition, compile_text, compile_value
from weft.server.workflow.kinds import Case, Child, Loop, Map, SetVariables, Succeed, Switch
from weft.server.workflow.model import Definition, ErrorHandler, Problem, Step
from weft.server.workflow.surroundings import children_named, services_named

KNOWN = services(service("s", action("a")))
LONG = "a" * 50_000 + "!"
SCOPE: dict[str, Any] = {"input": {"s": LONG, "big": "a" * 900_000, "list": list(range(100_000))}}


@contextmanager
def soon(seconds: float = 2) -> Iterator[None]:
    """Hold what is done to a limit of CPU time, with room for a busy machine."""
    started = time.process_time()
    yield
    assert time.process_time() - started < seconds


def check(*steps: Step, **rest: Any) -> list[Problem]:
    with soon(4):
        return find_problems(Definition(steps=steps, **rest), KNOWN)


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$",
        "^(a|a)*b$",
        "^(a|aa)+$",
        "(.*a){12}b",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(a*)*b",
        "^(?:a?){30}a{30}b",
    ],
)
def test_patterns_do_not_backtrack(pattern: str) -> None:
    """Those that take others years are answered in time that grows with the text only."""
    with soon():
        assert compile_condition(f"input.s.matches('{pattern}')", "p").holds(SCOPE) is False


@pytest.mark.parametrize(
    "source",
    [
        " + ".join(["input.big"] * 400) + " == ''",
        "input.list.map(x, input.list.map(y, x * y)).size() > 0",
        "input.list.all(x, input.list.exists(y, y == x))",
        "[input.big].map(x, x + x)" + ".map(x, x + x)" * 12 + ".size() > 0",
    ],
)
def test_conditions_that_are_too_much_work_are_refused(source: str) -> None:
    """Before they are begun: their work is bounded as that of templates is."""
    condition = compile_condition(source, "p")
    with soon(), pytest.raises(PreconditionError) as caught:
        condition.holds(SCOPE)
    assert caught.value.reason == "EXPRESSION_FAILED"


def test_texts_and_values_end_at_the_size_of_a_payload() -> None:
    """They are not built first and measured then."""
    for compiled in (compile_text("${input.big}" * 200, "p"), compile_value(["${input.big}"] * 200, "p")):
        with soon(), pytest.raises(PreconditionError, match="over 1,048,576 bytes"):
            compiled.render(SCOPE)


@pytest.mark.parametrize(
    "source",
    ["(" * 2_000 + "true" + ")" * 2_000, "[" * 2_000 + "]" * 2_000, "-" * 4_000 + "1", "a." * 2_000 + "b"],
)
def test_expressions_that_nest_too_deep_are_told(source: str) -> None:
    """Whatever the library makes of them, there is an answer."""
    (problem, *_) = check(Step(id="w", does=Switch(cases=(Case(when=source),))))
    assert problem.path == "steps[0].switch.cases[0].when"


def deep(depth: int) -> Step:
    inner = step("x0", "a")
    for level in range(1, depth):
        inner = Step(id=f"x{level}", does=Loop(until="true", steps=(inner,)))
    return inner


def test_lists_that_nest_without_end() -> None:
    """They are counted, and looked into no further than they may be deep."""
    definition = Definition(steps=(deep(5_000),))
    with soon():
        problems = find_problems(definition, KNOWN)
        assert services_named(definition) == {"s"}
        assert list(children_named(definition)) == []
    assert {problem.code for problem in problems} == {"TOO_MANY", "TOO_DEEP"}


@pytest.mark.parametrize(
    "definition",
    [
        Definition(steps=(step("a"),) * 1_000_000),
        Definition(steps=(Step(id="k", does=Map(items=[1], steps=(step("a"),) * 1_000_000)),)),
        Definition(steps=(step("b", "a"),), finally_steps=(step("a"),) * 1_000_000),
    ],
    ids=["at the top", "in a body", "in finally"],
)
def test_a_million_steps(definition: Definition) -> None:
    """Only their number is told."""
    with soon():
        (problem,) = find_problems(definition, KNOWN)
    assert problem.message == "more than 10,000 steps are over the limit of 1,000"


def test_many_ways_through_many_steps() -> None:
    """A hundred cases each, and a handler of each step that leads to the end."""
    dense = [
        Step(
            id=f"s{n}",
            does=Switch(cases=tuple(Case(when="input.x", next=f"s{min(n + k, 299)}") for k in range(1, 101))),
            on_error=(ErrorHandler(next="s299"),),
        )
        for n in range(299)
    ]
    assert check(*dense, step("s299", "a"))[0].code == "TOO_LONG"


def test_every_step_closes_a_cycle() -> None:
    """As many cycles as steps."""
    steps = [step(f"s{n}", "a", f"s{n + 1}", on_error=(ErrorHandler(next="s0"),)) for n in range(999)]
    problems = check(*steps, step("s999", "a"))
    assert problems[0].code == "STEP_CYCLE"
    assert problems[-1].message.startswith("799 more problems are not shown")


def test_variables_that_are_made_of_each_other() -> None:
    """What is known of them does not grow with every step."""
    steps = [
        Step(
            id=f"s{n}",
            next=f"s{n + 1}" if n < 999 else "",
            does=SetVariables(values={"x": {"a": "${has(vars.x) ? vars.x : 1}", "b": "${vars}"}}),
        )
        for n in range(1_000)
    ]
    assert check(*steps) == []
    chained = [
        Step(
            id=f"s{n}",
            next=f"s{n + 1}" if n < 999 else "",
            does=SetVariables(values={"x": {"a": f"${{vars.{'x' if n else 'y'}}}"}} if n else {"x": 1}),
        )
        for n in range(1_000)
    ]
    assert check(*chained) == []


def test_large_literals() -> None:
    """A list of a hundred thousand items, and a result of as many members."""
    items: list[Any] = [{"n": n} for n in range(50_000)]
    wide = {f"m{n}": n for n in range(50_000)}
    steps = (
        Step(id="k", next="e", does=Map(items=items, steps=(step("a"),))),
        Step(id="e", does=Succeed(result=wide)),
    )
    assert check(*steps) == []


def test_workflows_that_run_each_other_in_many_ways() -> None:
    """Each of three hundred runs ten others: the ways are without number, and each workflow is seen once."""
    known = {
        f"w{n}": KnownWorkflow(
            name=f"w{n}",
            latest=1,
            definitions={
                1: Definition(
                    steps=tuple(
                        Step(
                            id=f"r{k}",
                            next=f"r{k + 1}" if k < 9 else "",
                            does=Child(name=f"w{(n * 10 + k) % 300}"),
                        )
                        for k in range(10)
                    )
                )
            },
        )
        for n in range(300)
    }
    steps = tuple(
        Step(id=f"c{n}", next=f"c{n + 1}" if n < 299 else "", does=Child(name=f"w{n}")) for n in range(300)
    )
    with soon():
        assert find_problems(Definition(steps=steps), KNOWN, workflows=known, name="me") == []
