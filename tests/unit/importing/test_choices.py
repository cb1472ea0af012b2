"""Rules of Choice states and intrinsic functions, by what they give."""

from __future__ import annotations

from typing import Any

import pytest

from weft.cli.importing.asl.choices import condition
from weft.cli.importing.asl.intrinsics import evaluate
from weft.cli.importing.asl.jsonata_parser import translate
from weft.cli.importing.asl.paths import Context
from weft.cli.importing.nodes import CannotTranslateError, Expr
from weft.server.workflow.expressions.conditions import compile_value

INPUT: dict[str, Any] = {
    "s": "img-1.p*g",
    "n": 3,
    "f": 2.5,
    "yes": True,
    "none": None,
    "at": "2026-01-01T00:00:00Z",
    "later": "2026-01-01T01:00:00+00:30",
    "list": [{"p": 1}, {"p": 2}],
    "deep": {"z z": [1, 2, 3]},
    "one": {"a": 1, "b": 1},
    "two": {"b": 2},
}
CONTEXT = Context(data=Expr("input", object=True), name="State")


def rendered(template: Any) -> Any:
    compiled = compile_value(template, "p")
    assert compiled.problems == ()
    return compiled.render({"input": INPUT, "execution": {"id": "exe_1"}})


@pytest.mark.parametrize(
    ("variable", "operator", "operand", "expected"),
    [
        ("$.s", "StringMatches", "img-*.p\\*g", True),
        ("$.s", "StringMatches", "img-*.png", False),
        ("$.s", "StringMatches", "img", False),
        ("$.s", "StringEquals", "img-1.p*g", True),
        ("$.n", "StringEquals", "3", False),
        ("$.s", "StringLessThan", "j", True),
        ("$.n", "NumericEquals", 3.0, True),
        ("$.f", "NumericGreaterThanPath", "$.n", False),
        ("$.n", "NumericLessThanEquals", -1, False),
        ("$.yes", "BooleanEquals", True, True),
        ("$.at", "TimestampLessThanPath", "$.later", True),
        ("$.at", "TimestampEquals", "2026-01-01T01:00:00+01:00", True),
        ("$.none", "IsNull", True, True),
        ("$.none", "IsNull", False, False),
        ("$.none", "IsPresent", True, True),
        ("$.missing", "IsPresent", True, False),
        ("$.missing.deeper", "IsPresent", False, True),
        ("$.deep['z z'][2]", "IsPresent", True, True),
        ("$.deep['z z'][3]", "IsPresent", True, False),
        ("$.f", "IsNumeric", True, True),
        ("$.s", "IsNumeric", False, True),
        ("$.s", "IsString", True, True),
        ("$.yes", "IsBoolean", True, True),
        ("$.at", "IsTimestamp", True, True),
        ("$.s", "IsTimestamp", True, False),
    ],
)
def test_comparisons(variable: str, operator: str, operand: Any, expected: bool) -> None:  # noqa: FBT001 - a case
    """Each as the language has it."""
    found = condition({"Variable": variable, operator: operand, "Next": "X"}, CONTEXT)
    assert rendered(found.template()) is expected


def test_rules_of_rules() -> None:
    """And, Or and Not bind as they stand; what follows a failed test is not looked at."""
    missing = {"Variable": "$.missing", "NumericGreaterThan": 1}
    present = {"Variable": "$.missing", "IsPresent": True}
    three = {"Variable": "$.n", "NumericEquals": 3}
    rule = {"Or": [{"And": [present, missing]}, {"Not": {"And": [three, {"Not": three}]}}]}
    assert rendered(condition(rule, CONTEXT).template()) is True
    assert rendered(condition({"And": [{"Or": [present, three]}, present]}, CONTEXT).template()) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("States.Format('{} of {}', $.n, States.ArrayLength($.list))", "3 of 2"),
        ("States.Format('it\\'s {}', $.f)", "it's 2.5"),
        ("States.Format('{}', $.n)", "3"),
        ("States.Array(1, 'a', $.n, null, true)", [1, "a", 3, None, True]),
        ("States.ArrayContains($.deep['z z'], 2)", True),
        ("States.ArrayGetItem($.deep['z z'], 1)", 2),
        ("States.JsonMerge($.one, $.two, false)", {"a": 1, "b": 2}),
        ("States.MathAdd($.n, -1)", 2),
        ("States.Base64Encode($.s)", "aW1nLTEucCpn"),
        ("$.list[*].p", [1, 2]),
        ("$$.Execution.Id", "exe_1"),
        ("$$.State.Name", "State"),
        ("$['deep'][\"z z\"]", [1, 2, 3]),
    ],
)
def test_paths_and_functions(text: str, expected: Any) -> None:
    """Each as the language has it."""
    assert rendered(evaluate(text, CONTEXT).template()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$states.input.n + 1", 4),
        ("$states.input.n / 2", 1.5),
        ("$states.input.n > 2 and $not($states.input.yes = false)", True),
        ("$states.input.s & '!'", "img-1.p*g!"),
        ("'n is ' & $states.input.n", "n is 3"),
        ("$count($states.input.list)", 2),
        ("$states.input.list[1].p", 2),
        ("$exists($states.input.missing)", False),
        ("$states.input.n in [1, 3]", True),
        ("{'a': $states.input.n, 'b': [1, -2]}", {"a": 3, "b": [1, -2]}),
        ("$merge([$states.input.one, {'b': 3}])", {"a": 1, "b": 3}),
        ("$states.input.n > 5 ? 'big' : $states.input.n > 2 ? 'middle' : 'small'", "middle"),
        ("$states.context.Execution.Id", "exe_1"),
        ('$states.input.`deep`."z z"', [1, 2, 3]),
    ],
)
def test_expressions_of_jsonata(text: str, expected: Any) -> None:
    """As far as they can be said."""
    assert rendered(translate(text, {"input": CONTEXT.data}, CONTEXT).template()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "$..a",
        "$.a[?(@.b)]",
        "$.a[1:2]",
        "States.UUID()",
        "States.Format('{}')",
        "x",
        "$v",
        "States.Array(1",
        5,
    ],
)
def test_what_cannot_be_said_is_said_so(text: Any) -> None:
    """And never translated to something else."""
    with pytest.raises(CannotTranslateError):
        evaluate(text, CONTEXT)


@pytest.mark.parametrize(
    "text",
    [
        "$sum(1)",
        "$states.other",
        "a.b",
        "$states.input[x=1]",
        "$map([1], function($x){1})",
        "(",
        "",
        "1 ~> $f",
        "$$.x",
    ],
)
def test_what_of_jsonata_cannot_be_said_is_said_so(text: str) -> None:
    """And never translated to something else."""
    with pytest.raises(CannotTranslateError):
        translate(text, {"input": CONTEXT.data}, CONTEXT)
