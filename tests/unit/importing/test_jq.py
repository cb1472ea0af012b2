"""Runtime expressions of Serverless Workflow, as CEL has them: what they mean, and not only how they look."""

from __future__ import annotations

from typing import Any

import pytest

from weft.cli.importing.cncf.jq import translate
from weft.cli.importing.nodes import CannotTranslateError, Expr
from weft.server.workflow.expressions.conditions import compile_value

INPUT: dict[str, Any] = {
    "a": {"b": 2, "c d": [1, 2, 3], "none": None},
    "list": [{"n": 1, "s": "x"}, {"n": 5, "s": "y"}],
    "text": "Ahoy",
    "yes": True,
    "no": False,
}


def value(text: str) -> Any:
    names = {".": Expr("input", object=True), "$context": Expr("vars.context")}
    template = compile_value(translate(text, names).template(), "p")
    assert template.problems == ()
    return template.render({"input": INPUT, "vars": {"context": {"k": 7}}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".", INPUT),
        (".a.b", 2),
        ('.a["c d"][1]', 2),
        ('."text"', "Ahoy"),
        ('."a"."b"', 2),
        ("$context.k + .a.b * 2", 11),
        (".a.b + 1 == 3 and .yes", True),
        ("(.a.b > 3) or (.no | not)", True),
        (".a.b / 4", 0.5),
        (".list | length", 2),
        (".list | map(.n)", [1, 5]),
        ("[.list[] | .n + 1]", [2, 6]),
        ("[.list[] | select(.n > 2) | .s]", ["y"]),
        ("[.list[] | select(.n > 2)] | length", 1),
        (".list | any(.n == 5)", True),
        (".list | all(.n == 5)", False),
        (".list | first | .s", "x"),
        (".list | last", {"n": 5, "s": "y"}),
        ('.text | test("^A.*y$")', True),
        ('.text | startswith("Ah")', True),
        ('"\\(.text), \\(.a.b) times"', "Ahoy, 2 times"),
        ('{x: .a.b, "y z": [.text], text}', {"x": 2, "y z": ["Ahoy"], "text": "Ahoy"}),
        (". + {yes: 1}", {**INPUT, "yes": 1}),
        (".a + {b: 3}", {**INPUT["a"], "b": 3}),
        ('if .a.b > 1 then "big" else "small" end', "big"),
        ("if .no then 1 elif .yes then 2 else 3 end", 2),
        (".missing // 3", 3),
        (".a.none // 3", 3),
        (".no // 3", 3),
        (".a.b // 3", 2),
        (".missing == null", True),
        (".a.none == null", True),
        (".a.b != null", True),
        (".missing.deeper != null", False),
        ('has("text")', True),
        ('.a | has("x")', False),
        ("[1, -2, 2.5, true, null]", [1, -2, 2.5, True, None]),
        ("-(.a.b)", -2),
        (".a.b | tostring", "2"),
        ('"7" | tonumber', 7.0),
    ],
)  # fmt: skip
def test_expressions_give_what_jq_gives(text: str, expected: Any) -> None:
    """Evaluated by Weft, over the same data."""
    assert value(f"${{ {text} }}") == expected
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "now", ".a | keys", '.text | split(",")', "reduce .list[] as $x (0; . + $x)", ".a?", "..", ".list[]",
        "$secrets.x", ".a |= 3", "", "(", ".a.", "{(.a): 1}", "[", '"', ".[1:2]", "if .a then 1",
        "." + "a" * 5_000, "(" * 100 + ".a" + ")" * 100,
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_said_so(text: str) -> None:
    """And never translated to something else."""
    with pytest.raises(CannotTranslateError):
        translate(text, {".": Expr("input")})
