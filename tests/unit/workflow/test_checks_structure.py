"""What is found in the form of a definition."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.workflow.builders import action, brief, found, one_service, service, services, step
from weft.server.registry.model import ServiceState
from weft.server.workflow.checks.checks import MAX_PROBLEMS, find_problems
from weft.server.workflow.model import Definition, Severity, Step

KNOWN = services(
    service("s", *(action(name) for name in ("a", "b", "c", "extract"))),
    service("text-extraction", action("extract")),
    service("paused", action("a"), state=ServiceState.INACTIVE),
    service("old", action("a"), state=ServiceState.DEPRECATED),
)


def one(**changes: Any) -> Step:
    return Step(**{"id": "a", "service": "s", "action": "a", **changes})


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((step("a"),), []),
        ((step("a", following="b"), step("b")), []),
        ((step("b", following="a"), step("a")), []),
        ((), [("steps", "REQUIRED")]),
        ((one(id=""),), [("steps[0].id", "REQUIRED")]),
        ((one(id="1a"),), [("steps[0].id", "INVALID")]),
        ((one(id="a" * 64),), [("steps[0].id", "INVALID")]),
        ((one(id="a" * 63),), []),
        ((step("a"), step("a")), [("steps[1].id", "STEP_ID_DUPLICATE")]),
        ((one(service=""),), [("steps[0].service", "REQUIRED")]),
        ((one(action=""),), [("steps[0].action", "REQUIRED")]),
        ((one(service="x"),), [("steps[0].service", "SERVICE_UNKNOWN")]),
        ((one(action="x"),), [("steps[0].action", "ACTION_UNKNOWN")]),
        ((one(service="paused"),), [("steps[0].service", "SERVICE_NOT_USABLE?")]),
        ((one(service="old"),), [("steps[0].service", "SERVICE_NOT_USABLE")]),
        ((one(next="x"),), [("steps[0].next", "STEP_UNKNOWN")]),
        ((one(next="a"),), [("steps[0].next", "STEP_CYCLE")]),
        (
            (step("a", following="b"), step("b", following="c"), step("c", following="b")),
            [("steps[2].next", "STEP_CYCLE")],
        ),
        ((step("a"), step("b")), [("steps[1]", "STEP_UNREACHABLE")]),
        (
            (step("a"), step("b", following="c"), step("c", following="b")),
            [
                ("steps[1]", "STEP_UNREACHABLE"),
                ("steps[2].next", "STEP_CYCLE"),
                ("steps[2]", "STEP_UNREACHABLE"),
            ],
        ),
        ((one(timeout=timedelta(0)),), [("steps[0].timeout", "OUT_OF_RANGE")]),
        ((one(timeout=timedelta(hours=24, microseconds=1)),), [("steps[0].timeout", "OUT_OF_RANGE")]),
        ((one(timeout=timedelta(hours=24)),), []),
        ((one(timeout=timedelta(microseconds=1)),), []),
        ((one(description="x" * 8_193),), [("steps[0].description", "TOO_LONG")]),
        ((one(description="x" * 8_192),), []),
    ],
)
def test_the_form_of_steps(steps: tuple[Step, ...], expected: list[tuple[str, str]]) -> None:
    """Each rule has its code and the path of what breaks it; the limits themselves are fine."""
    assert found(KNOWN, *steps) == expected


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ({"timeout": timedelta(0)}, []),
        ({"timeout": timedelta(days=365)}, []),
        ({"timeout": timedelta(microseconds=-1)}, [("timeout", "OUT_OF_RANGE")]),
        ({"timeout": timedelta(days=365, microseconds=1)}, [("timeout", "OUT_OF_RANGE")]),
        ({"input_schema": {"type": "array"}}, [("input_schema", "SCHEMA_INVALID")]),
        ({"input_schema": {"type": 5}}, [("input_schema.type", "SCHEMA_INVALID")]),
        ({"output_schema": {"type": "null"}}, [("output_schema", "SCHEMA_INVALID")]),
        ({"output_schema": {"$ref": "https://x/y"}}, [("output_schema.$ref", "SCHEMA_REMOTE_REF")]),
        ({"input_schema": {"enum": ["x" * 70_000]}}, [("input_schema", "SCHEMA_TOO_LARGE")]),
    ],
)
def test_the_form_of_the_whole(rest: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Timeout and schemas of the workflow are checked as well."""
    assert found(KNOWN, step("a"), **rest) == expected


@pytest.mark.parametrize(
    ("broken", "message", "hint"),
    [
        (
            one(service="text-extractor"),
            "there is no service 'text-extractor'",
            "did you mean 'text-extraction'?",
        ),
        (one(action="extrakt"), "the service 's' has no action 'extrakt'", "did you mean 'extract'?"),
        (one(next="b1"), "there is no step 'b1'", "did you mean 'b'?"),
    ],
)
def test_unknown_names_come_with_a_suggestion(broken: Step, message: str, hint: str) -> None:
    """The message names what is unknown, the hint what is close to it."""
    problems = find_problems(Definition(steps=(broken, step("b"))), KNOWN)
    assert (message, hint) in [(problem.message, problem.hint) for problem in problems]


def test_a_cycle_is_shown() -> None:
    """The message walks the cycle; a long one is cut."""
    (problem,) = find_problems(
        Definition(steps=(step("a", following="b"), step("b", following="c"), step("c", following="a"))),
        KNOWN,
    )
    assert problem.message == "closes the cycle a → b → c → a"
    ring = tuple(step(f"x{n}", "a", f"x{(n + 1) % 1_000}") for n in range(1_000))
    (problem,) = find_problems(Definition(steps=ring), KNOWN)
    assert problem.path == "steps[999].next"
    assert problem.message == "closes the cycle x0 → x1 → x2 → x3 → x4 → x5 → x6 → x7 → x8 → … → x999 → x0"


def test_everything_is_reported_at_once() -> None:
    """Problems of all kinds come together: errors first, then warnings, in the order of the definition."""
    takes = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    known = {**KNOWN, **one_service(a=(takes, None), b=(None, None))}
    problems = find_problems(
        Definition(
            steps=(
                Step(id="a", service="paused", action="a", next="b"),
                Step(
                    id="b", service="s", action="a", next="nowhere", input={"m": "${steps.z.x", "n": "five"}
                ),
                Step(id="b", service="s", action="zzz", timeout=timedelta(days=2)),
                Step(id="lost", service="gone", action="b", input={"x": "${nobody}"}),
            ),
            input_schema={"type": "string"},
            output_schema={"properties": 5},
            timeout=timedelta(days=-1),
        ),
        known,
    )
    assert brief(problems) == [
        ("steps[1].next", "STEP_UNKNOWN"),
        ("steps[1].input.m", "EXPRESSION_INVALID"),
        ("steps[1].input.n", "TYPE_MISMATCH"),
        ("steps[2].id", "STEP_ID_DUPLICATE"),
        ("steps[2].timeout", "OUT_OF_RANGE"),
        ("steps[2].action", "ACTION_UNKNOWN"),
        ("steps[3].service", "SERVICE_UNKNOWN"),
        ("steps[3]", "STEP_UNREACHABLE"),
        ("steps[3].input.x", "EXPRESSION_NAME_UNKNOWN"),
        ("timeout", "OUT_OF_RANGE"),
        ("input_schema", "SCHEMA_INVALID"),
        ("output_schema.properties", "SCHEMA_INVALID"),
        ("steps[0].service", "SERVICE_NOT_USABLE?"),
    ]


def test_a_thousand_problems_are_found_quickly_and_told_briefly() -> None:
    """The work grows with the definition only; 200 problems are told and the rest is counted."""
    steps = tuple(
        Step(
            id=f"step-{n}",
            service="s",
            action="axtract",
            next=f"stepp-{n + 1}",
            input={"x": "${steps.nope.x}"},
        )
        for n in range(1_000)
    )
    started = time.process_time()
    problems = find_problems(Definition(steps=steps), KNOWN)
    assert time.process_time() - started < 3  # a second on an idle machine, with room for a busy one
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].message == "3,799 more problems are not shown, 3,799 of them errors"
    assert problems[-1].severity is Severity.ERROR
    assert all(problem.hint for problem in problems)


def test_one_step_too_many() -> None:
    """A thousand steps are fine."""
    steps = [step(f"s{n}", "a", f"s{n + 1}") for n in range(1_000)]
    last = step("s1000", "a")
    assert found(KNOWN, *steps[:-1], step("s999", "a")) == []
    assert found(KNOWN, *steps, last) == [("steps", "TOO_MANY")]
