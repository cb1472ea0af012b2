"""Conditions, texts, values and spans: what they are in a scope, and what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from weft.core.errors import PreconditionError
from weft.core.reasons import Reason
from weft.server.workflow.expressions.conditions import (
    compile_condition,
    compile_text,
    compile_value,
    parse_instant,
    parse_span,
)

SCOPE: dict[str, Any] = {
    "input": {"amount": 150, "name": "Ada", "tags": ["a", "b"]},
    "steps": {"a": {"ok": True}, "check-in": {"n": 1.5}},
    "vars": {"seen": 3},
    "item": {"sku": "x"},
    "index": 4,
    "context": {},
    "execution": {"id": "exe_1"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("input.amount > 100", True),
        ("${input.amount > 100}", True),
        ("  ${ input.amount < 100 }\n", False),
        ("${steps.a.ok}", True),
        ("steps.a.ok && vars.seen == 3", True),
        ("has(steps.b)", False),
        ("has(steps.a) && has(vars.seen)", True),
        ("index == 4 && item.sku == 'x'", True),
        ("input.name == '${x}'", False),
        ("steps['check-in'].n > 1.0", True),
        ("'b' in input.tags", True),
    ],
)
def test_a_condition_holds_or_not(text: str, expected: bool) -> None:  # noqa: FBT001 - a case
    """A condition is a CEL expression, bare or in braces."""
    condition = compile_condition(text, "p")
    assert condition.problems == ()
    assert condition.holds(SCOPE) is expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("input.amount", "it is a number, not true or false"),
        ("${input.name}", "it is a string, not true or false"),
        ("steps.b.ok", "no such key 'b'"),
        ("null", "it is a null, not true or false"),
    ],
)
def test_a_condition_that_is_no_answer_fails(text: str, error: str) -> None:
    """What is neither true nor false is no condition: the failure says where and why."""
    with pytest.raises(PreconditionError) as caught:
        compile_condition(text, "steps[0].switch.cases[0].when").holds(SCOPE)
    assert caught.value.reason == Reason.EXPRESSION_FAILED
    assert caught.value.metadata["path"] == "steps[0].switch.cases[0].when"
    assert error in caught.value.metadata["error"]


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("", "EXPRESSION_INVALID", "it is empty"),
        ("input.a >", "EXPRESSION_INVALID", "character 10"),
        ("${input.a >}", "EXPRESSION_INVALID", "character 12"),
        ("${true} && ${true}", "EXPRESSION_INVALID", "character 1"),
        ("${true", "EXPRESSION_INVALID", "character 1"),
        ("1 == " * 1_000 + "1", "TOO_LONG", "over the limit of 4,096"),
    ],
)
def test_a_condition_that_cannot_be_read(text: str, rule: str, words: str) -> None:
    """Syntax is told with its place, and the condition fails when it is used."""
    condition = compile_condition(text, "p")
    (problem,) = condition.problems
    assert (problem.path, problem.code) == ("p", rule)
    assert words in problem.message
    with pytest.raises(PreconditionError):
        condition.holds(SCOPE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${input.amount}", "150"),
        ("${input.tags}", '["a","b"]'),
        ("${input.name}", "Ada"),
        ("order ${input.amount} of ${input.name}", "order 150 of Ada"),
        ("$${x}", "${x}"),
    ],
)
def test_a_text_is_always_a_text(text: str, expected: str) -> None:
    """Also one that is a single expression of another type."""
    assert compile_text(text, "p").render(SCOPE) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        (None, None),
        ("${input.tags}", ["a", "b"]),
        (["${vars.seen}", 1], [3, 1]),
        ({"from": 0, "to": "${input.amount}"}, {"from": 0, "to": 150}),
        ("${input.tags.map(t, t + t)}", ["aa", "bb"]),
    ],
)
def test_a_value_of_any_kind(value: Any, expected: Any) -> None:
    """Lists, numbers and single expressions are templates as well as objects are."""
    assert compile_value(value, "p").render(SCOPE) == expected


def test_names_and_problems_of_a_value() -> None:
    """Each fault has its own path, and each expression its names."""
    value = compile_value({"a": ["${item.sku}", "${1 +}"]}, "p")
    assert [problem.path for problem in value.problems] == ["p.a[1]"]
    assert [names.variables for names in value.names] == [{"item"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("250ms", timedelta(milliseconds=250)),
        ("1.5h", timedelta(minutes=90)),
        ("1w", timedelta(days=7)),
        (" 0s ", timedelta(0)),
        ("365d", timedelta(days=365)),
    ],
)
def test_spans_of_time(text: str, expected: timedelta) -> None:
    """Numbers with units, one after the other."""
    assert parse_span(text) == expected


@pytest.mark.parametrize(
    "text", ["", "90", "-5s", "1h 30m", "s", "1y", "366d", "9" * 500 + "s", "\u0661s", "1e3s"]
)
def test_what_is_no_span(text: str) -> None:
    """Everything else is refused, also what is longer than a year."""
    with pytest.raises(PreconditionError) as caught:
        parse_span(text, "steps[0].wait.duration")
    assert caught.value.reason == Reason.EXPRESSION_FAILED


@pytest.mark.parametrize("text", ["2026-01-31T09:30:00Z", "2026-01-31t10:30:00.000000000+01:00"])
def test_times(text: str) -> None:
    """RFC 3339, with any offset."""
    assert parse_instant(text) == datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-31", "2026-02-30T00:00:00Z", "2026-01-31T09:30:00", "soon", "0001-01-01T00:00:00+23:00"],
)
def test_what_is_no_time(text: str) -> None:
    """A date, a day that there is not, and a time without a zone are none."""
    with pytest.raises(PreconditionError):
        parse_instant(text)
