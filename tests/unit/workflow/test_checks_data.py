"""What is found in the data flow: schemas, templates, names and types."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workflow.builders import brief, chain, found, one_service, schema, step
from weft.core.payload import JsonObject
from weft.server.workflow.checks.checks import MAX_EXPRESSION_TEXT, find_problems
from weft.server.workflow.model import Definition, Problem

ANYTHING: JsonObject = {"type": "object"}
MISSING = ("steps[1]", "INPUT_MISSING")
PERHAPS = ("steps[1]", "INPUT_MISSING?")
MISMATCH = ("steps[1]", "TYPE_MISMATCH")


def implicit(
    workflow_input: JsonObject | None, gives: JsonObject | None, takes: JsonObject | None
) -> list[Problem]:
    """Check two steps without templates: the first gives, the second takes."""
    known = one_service(give=(None, gives), take=(takes, None))
    steps = chain(step("extract", "give"), step("analyze", "take"))
    return find_problems(Definition(steps=steps, input_schema=workflow_input), known)


@pytest.mark.parametrize(
    ("workflow_input", "gives", "takes", "expected"),
    [
        # Where a required member may come from.
        (schema(), schema("text", text="string"), schema("text", text="string"), []),
        (schema("text", text="string"), schema("n", n="integer"), schema("text", text="string"), []),
        (schema(x="string"), schema("n", n="integer"), schema("text", text="string"), [MISSING]),
        (schema(x="string"), schema("n", n="integer"), schema("a", "b", a="string"), [MISSING, MISSING]),
        (None, schema("n", n="integer"), schema("text", text="string"), []),
        ({"type": "object"}, schema("n", n="integer"), schema("text", text="string"), []),
        (schema(x="string"), None, schema("text", text="string"), []),
        (schema(x="string"), schema("n", n="integer"), schema(text="string"), []),
        (schema(x="string"), schema("n", n="integer"), None, []),
        (schema(x="string"), {"additionalProperties": False}, schema("text", text="string"), [MISSING]),
        # What may be missing.
        (schema(x="string"), schema(text="string"), schema("text", text="string"), [PERHAPS]),
        (schema(text="string"), schema("n", n="integer"), schema("text", text="string"), [PERHAPS]),
        (schema("text", text="string"), schema(text="string"), schema("text", text="string"), []),
        (None, schema(text="string"), schema("text", text="string"), []),
        # Types that exclude each other.
        (schema(x="string"), schema("text", text="integer"), schema("text", text="string"), [MISMATCH]),
        (schema(x="string"), schema("text", text="integer"), schema("text", text="number"), []),
        (schema(x="string"), schema("text", text="integer"), schema(text="string"), [MISMATCH]),
        (None, schema("text", text="integer"), schema("text", text="string"), [MISMATCH]),
        (schema("text", text="integer"), schema("n", n="null"), schema("text", text="string"), [MISMATCH]),
        # The last one wins, if it is there.
        (schema("t", t="integer"), schema("t", t="string"), schema("t", t="string"), []),
        (schema("t", t="string"), schema("t", t="integer"), schema("t", t="string"), [MISMATCH]),
        (schema("t", t="string"), schema(t="integer"), schema("t", t="string"), []),
        (schema("t", t="integer"), schema(t="integer"), schema("t", t="string"), [MISMATCH]),
        # Not certain: another value may come, or none.
        (schema("t", t="integer"), None, schema("t", t="string"), []),
        (None, schema(t="integer"), schema("t", t="string"), []),
        (schema(x="null"), schema(t="integer"), schema(t="string"), [("steps[1]", "TYPE_MISMATCH?")]),
        (schema(x="null"), schema(t="integer"), schema("t", t="string"), [MISMATCH, PERHAPS]),
        # Schemas that say more than can be followed.
        (schema(x="null"), {"allOf": [schema("t", t="integer")]}, schema("t", t="string"), []),
        (schema(x="null"), schema("t", t={"anyOf": [{}, {"type": "integer"}]}), schema("t", t="string"), []),
        (schema(x="null"), schema("t", t=["string", "null"]), schema("t", t="string"), []),
    ],
)
def test_a_step_without_a_template_is_given_what_it_needs(
    workflow_input: JsonObject | None,
    gives: JsonObject | None,
    takes: JsonObject | None,
    expected: list[tuple[str, str]],
) -> None:
    """Errors are certain; what may go well is at most a warning."""
    assert brief(implicit(workflow_input, gives, takes)) == expected


def test_messages_of_the_implicit_flow_name_everything() -> None:
    """A person sees the member, where it comes from, who takes it, and a close name."""
    (mismatch,) = implicit(schema(x="string"), schema("text", text="integer"), schema("text", text="string"))
    assert mismatch.message == (
        "'text' is integer in the output of step 'extract' but the action 'take' of 's' takes string"
    )
    (missing,) = implicit(schema(x="string"), schema("txt", txt="string"), schema("text", text="string"))
    assert missing.message == (
        "the action 'take' of 's' requires 'text', which neither the workflow input nor an earlier step gives"
    )
    assert missing.hint.startswith("did you mean 'txt'? Otherwise declare it")
    (perhaps,) = implicit(schema(x="string"), schema(text="string"), schema("text", text="string"))
    assert perhaps.message == (
        "'text' may be missing: it is optional in the output of step 'extract', "
        "but the action 'take' of 's' requires it"
    )


OUT = schema("text", "pages", text="string", pages="integer", score="number")
CLOSED_OUT = schema("text", "pages", text="string", pages="integer", closed=True)
WORKFLOW_INPUT = schema("name", "items", name="string", items={"type": "array"})
WORKFLOW_INPUT["properties"]["la-ng"] = {"type": "string"}


def mapped(
    template: JsonObject,
    *,
    takes: JsonObject | None = None,
    gives: JsonObject | None = OUT,
    workflow_input: JsonObject | None = WORKFLOW_INPUT,
) -> list[Problem]:
    """Check three steps of which the second has a template."""
    known = one_service(give=(ANYTHING, gives), take=(takes, None), end=(None, None))
    steps = chain(step("extract", "give"), step("mid-1", "take", input=template), step("last", "end"))
    return find_problems(Definition(steps=steps, input_schema=workflow_input), known)


UNKNOWN = ("steps[1].input.x", "EXPRESSION_NAME_UNKNOWN")
NO_MEMBER = ("steps[1].input.x", "INPUT_UNKNOWN?")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("steps.extract.text", []),
        ("steps['extract']['text']", []),
        ("input.name + context.whatever + execution.id", []),
        ("steps", []),
        ("steps[input.name].text", []),
        ("nobody", [UNKNOWN]),
        ("inputs.name", [UNKNOWN]),
        ("text", [UNKNOWN]),
        ("a + b", [UNKNOWN, UNKNOWN]),
        ("steps.nobody.text", [UNKNOWN]),
        ("steps.last.text", [UNKNOWN]),
        ("steps['mid-1'].text", [UNKNOWN]),
        ("steps.mid - 1", [UNKNOWN]),
        ("upper(input.name)", [UNKNOWN]),
        ("input.name.lowerAscii()", [UNKNOWN]),
        ("type(input.name) == string", []),
        ("optional.of(input.name).orValue('')", []),
        ("steps.extract.txt", [NO_MEMBER]),
        ("input.nam", [NO_MEMBER]),
        ("has(steps.extract.txt) ? steps.extract.txt.a : 1", []),
        ("has(steps.extract.txt) ? steps.extract.tex : 1", [NO_MEMBER]),
        ("input.items.map(nobody, nobody.x)", []),
        ("input.items.map(i, nobody)", [UNKNOWN]),
        ("'${nobody}'", []),
    ],
)
def test_names_in_expressions(source: str, expected: list[tuple[str, str]]) -> None:
    """Unknown values, functions and steps are errors, and so are steps that run later."""
    assert brief(mapped({"x": f"${{{source}}}"})) == expected


PERHAPS_MISSING = ("steps[1].input.x", "INPUT_MISSING?")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("steps.extract.score", [PERHAPS_MISSING]),
        ("input['la-ng']", [PERHAPS_MISSING]),
        ("input['la-ng'].size() > 2 && steps.extract.score > 1.0", [PERHAPS_MISSING] * 2),
        ("input.name + input['la-ng'] + input['la-ng']", [PERHAPS_MISSING]),
        ("has(steps.extract.score)", []),
        ("has(steps.extract.score) ? steps.extract.score : 1.0", []),
        ("has(steps.extract.score) && steps.extract.score > 1.0", []),
        ("'la-ng' in input ? input['la-ng'] : 'en'", []),
        ("'other' in input ? input['la-ng'] : 'en'", [PERHAPS_MISSING]),
        ("has(steps.extract.score) ? input['la-ng'] : 'en'", [PERHAPS_MISSING]),
        ("input", []),
        ("steps.extract", []),
    ],
)
def test_an_optional_member_is_asked_for_before_it_is_taken(
    source: str, expected: list[tuple[str, str]]
) -> None:
    """What may be missing fails the step only for some inputs, so it is a warning, once a member."""
    assert brief(mapped({"x": f"${{{source}}}"})) == expected


def test_what_combinations_say_of_a_member_is_not_guessed() -> None:
    """A schema may require a member in another place than ``required``."""
    open_schema = {**schema(name="string"), "allOf": [{"required": ["name"]}]}
    closed_schema = {**schema(closed=True, name="string"), "allOf": [{"required": ["name"]}]}
    for workflow_input in (open_schema, closed_schema):
        assert mapped({"x": "${input.name}"}, workflow_input=workflow_input) == []


LINES: JsonObject = {
    "type": "array",
    "items": {"$ref": "#/$defs/Line"},
}
ORDER = {
    **schema("q", "p", "t", "u", "lines", "line", q="integer", p="number", t="string", u={}, lines=LINES),
    "$defs": {"Line": schema("n", "price", "label", n="integer", price="number", label="string")},
}
ORDER["properties"]["line"] = {"$ref": "#/$defs/Line"}
ORDER["properties"]["maybe"] = {"type": ["integer", "null"]}
ORDER["required"].append("maybe")
MIXED = [("steps[1].input.x", "TYPE_MISMATCH?")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("input.q * input.p", MIXED),
        ("input.p - input.q", MIXED),
        ("input.p * input.p", MIXED),
        ("input.q * 1.5", MIXED),
        ("input.p / 2", MIXED),
        ("-input.p + -2", MIXED),
        ("1 + 2 * input.p", MIXED),
        ("1.0 + input.q % 2", MIXED),
        ("(input.q + 1) * double(input.p)", MIXED),
        ("size(input.lines) * 0.5", MIXED),
        ("input.lines.size() / 2.0", MIXED),
        ("input.maybe * 2.5", MIXED),
        ("input.line.n * input.line.price", MIXED),
        ("input.lines[0].n * 1.5", MIXED),
        ("input.lines.map(l, l.n * l.price)", MIXED),
        ("input.lines.filter(l, l.n > 0 && l.price + 1 > 5.0)", MIXED),
        ("[input.q * 0.5]", MIXED),
        ("input.t + string(input.q * 0.5)", MIXED),
        ("(input.q > 1 ? 1 : 2) * 0.5", MIXED),
        ("input.q > 1 ? input.q * 0.5 : 0.0", MIXED),
        ("steps.extract.pages * 0.1", MIXED),
        ("input.q + input.q", []),
        ("double(input.q) * double(input.p)", []),
        ("int(input.p) * input.q", []),
        ("double(input.q) * 0.5 + 1e3", []),
        ("input.q * 2 - 1", []),
        ("input.p > input.q", []),
        ("input.q >= -1.5 || input.p == 2 && input.q != 0.5", []),
        ("input.q > 1 ? 1 : 0.5", []),
        ("input.u * input.q", []),
        ("input.t + 'x'", []),
        ("input.lines.map(l, l.label + 'x')", []),
        ("input.lines.map(l, l.n).map(n, n * 1.5)", []),
        ("{'a': input.q, 'b': 1.5}", []),
        ("[input.q, -1.5]", []),
        ("input.q in [1.5]", []),
    ],
)
def test_numbers_of_different_types_are_not_mixed(source: str, expected: list[tuple[str, str]]) -> None:
    """CEL refuses int beside double, which depends on the data; comparing is fine."""
    assert brief(mapped({"x": f"${{{source}}}"}, workflow_input=ORDER)) == expected


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        (
            "input.q * input.p",
            "`input.q * input.p` may be int * int or double: CEL does not mix number types",
            "write double(input.q) * double(input.p)",
        ),
        (
            "2 * double(input.p)",
            "`2 * double(…)` may be int * double: CEL does not mix number types",
            "write 2.0 * double(…)",
        ),
    ],
)
def test_the_warning_about_numbers_says_what_to_write(source: str, message: str, hint: str) -> None:
    """Both sides become doubles."""
    (problem,) = mapped({"x": f"${{{source}}}"}, workflow_input=ORDER)
    assert (problem.message, problem.hint) == (message, hint)


@pytest.mark.parametrize(
    ("template", "rest", "expected"),
    [
        ({"x": "${steps.extract.txt}"}, {"gives": CLOSED_OUT}, [("steps[1].input.x", "INPUT_UNKNOWN")]),
        ({"x": "${steps.extract.txt}"}, {"gives": None}, []),
        ({"x": "${steps.extract.txt}"}, {"gives": {**OUT, "patternProperties": {"t": {}}}}, []),
        ({"x": "${input.nam}"}, {"workflow_input": None}, []),
        (
            {"x": "${input.nam}"},
            {"workflow_input": schema(name="string", closed=True)},
            [("steps[1].input.x", "INPUT_UNKNOWN")],
        ),
    ],
)
def test_members_are_checked_as_far_as_schemas_go(
    template: JsonObject, rest: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """A closed schema makes it an error, an open one that declares members a warning, others nothing."""
    assert brief(mapped(template, **rest)) == expected


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("inputs.name", "there is no value 'inputs'", "did you mean 'input'?"),
        ("steps.extrac.text", "there is no step 'extrac'", "did you mean 'extract'?"),
        ("steps.last.x", "the step 'last' does not run before 'mid-1', so it has no output yet", ""),
        (
            "steps.extract.txt",
            "the output of step 'extract' declares no member 'txt'",
            "did you mean 'text'?",
        ),
        ("input.nam", "the workflow input declares no member 'nam'", "did you mean 'name'?"),
        (
            "steps.extract.score",
            "'score' is optional in the output of step 'extract'; without it the step fails",
            "use has(steps.extract.score) ? steps.extract.score : …",
        ),
        (
            "input['la-ng']",
            "'la-ng' is optional in the workflow input; without it the step fails",
            'use "la-ng" in input ? input["la-ng"] : …',
        ),
        ("siz(input)", "there is no function 'siz'", "did you mean 'size'?"),
    ],
)
def test_messages_about_names_help(source: str, message: str, hint: str) -> None:
    """The message says what is wrong, the hint what may be meant."""
    (problem,) = mapped({"x": f"${{{source}}}"})
    assert (problem.message, problem.hint) == (message, hint)


TAKES = schema(
    "text", text="string", limit={"type": "integer", "minimum": 1}, options=schema("deep", deep="boolean")
)
CLOSED = {**TAKES, "additionalProperties": False}


@pytest.mark.parametrize(
    ("takes", "template", "expected"),
    [
        (TAKES, {"text": "hello"}, []),
        (TAKES, {"text": "${input.name}", "limit": 3, "options": {"deep": True}}, []),
        (TAKES, {}, [("", "INPUT_MISSING")]),
        (TAKES, {"txt": "a"}, [("", "INPUT_MISSING")]),
        (CLOSED, {"text": "a", "txt": "b"}, [(".txt", "INPUT_UNKNOWN")]),
        (CLOSED, {"text": "a", "txt": "${input.name}"}, [(".txt", "INPUT_UNKNOWN")]),
        (TAKES, {"text": 5}, [(".text", "TYPE_MISMATCH")]),
        (TAKES, {"text": "a", "limit": 0}, [(".limit", "TYPE_MISMATCH")]),
        (TAKES, {"text": "a", "options": {"deep": "x"}}, [(".options.deep", "TYPE_MISMATCH")]),
        (TAKES, {"text": "a", "options": {}}, [(".options", "TYPE_MISMATCH")]),
        (TAKES, {"text": "a", "options": {"deep": "${input.name}"}}, []),
        (TAKES, {"text": {"a": "${input.name}"}}, [(".text", "TYPE_MISMATCH")]),
        (TAKES, {"text": ["${input.name}"]}, [(".text", "TYPE_MISMATCH")]),
        (TAKES, {"text": "a", "limit": "n=${input.name}"}, [(".limit", "TYPE_MISMATCH")]),
        (TAKES, {"text": "a", "limit": "${input.name}"}, [(".limit", "TYPE_MISMATCH")]),
        (TAKES, {"text": "${steps.extract.pages}"}, [(".text", "TYPE_MISMATCH")]),
        (TAKES, {"text": "${steps.extract.pages + 1}"}, [(".text", "TYPE_MISMATCH")]),
        (TAKES, {"text": "${input.items[0]}"}, []),
        (TAKES, {"text": "$${literal}"}, []),
        (TAKES, {"text": "a", "limit": "$${1}"}, [(".limit", "TYPE_MISMATCH")]),
        (TAKES, {"text": "${1 +}"}, [(".text", "EXPRESSION_INVALID")]),
        (TAKES, {"text": "a", "limit": "${1 +}"}, [(".limit", "EXPRESSION_INVALID")]),
        (
            {"properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"maximum": 1}}},
            {"n": 5},
            [(".n", "TYPE_MISMATCH")],
        ),
        (
            {
                "$ref": "#/$defs/In",
                "$defs": {"In": schema("n", n={"$ref": "#/$defs/N"}), "N": {"maximum": 1}},
            },
            {"n": 5},
            [(".n", "TYPE_MISMATCH")],
        ),
        ({"properties": {"n": {"$ref": "#/x/y"}}, "x": {"y": {"maximum": 1}}}, {"n": 5}, []),
        (None, {"whatever": 1}, []),
    ],
)
def test_a_template_fits_the_action(
    takes: JsonObject | None, template: JsonObject, expected: list[tuple[str, str]]
) -> None:
    """Members that must be there are, no others are given, and what is literal has the right type."""
    found_here = brief(mapped(template, takes=takes))
    assert found_here == [(f"steps[1].input{path}", code) for path, code in expected]


@pytest.mark.parametrize(
    ("gives", "promises", "expected"),
    [
        (schema("t", t="string"), schema("t", t="string"), []),
        (schema("t", t="integer"), schema("t", t="string"), ["TYPE_MISMATCH"]),
        (schema(t="integer"), schema("t", t="string"), ["TYPE_MISMATCH"]),
        (schema("t", t="integer"), schema(t="string"), ["TYPE_MISMATCH"]),
        (schema(t="integer"), schema(t="string"), []),
        (schema("x", x="string"), schema("t", t="string"), ["INPUT_MISSING?"]),
        (schema("x", x="string", closed=True), schema("t", t="string"), ["INPUT_MISSING"]),
        (schema("x", x="string"), schema(closed=True, t="string"), ["INPUT_UNKNOWN"]),
        (schema(x="string"), schema(closed=True, t="string"), []),
        (None, schema("t", t="string"), []),
        (schema("t", t="integer"), None, []),
        # What is said of members that are not named counts for each of them.
        ({"additionalProperties": {"type": "string"}}, schema("t", "u", t="integer"), ["TYPE_MISMATCH"]),
        ({"additionalProperties": {"type": "string"}}, schema("t", "u", t="string"), []),
        ({"additionalProperties": {"type": "string"}}, schema(t="integer"), []),
        ({"additionalProperties": {"type": "integer"}}, schema("t", t="number"), []),
        ({"additionalProperties": True}, schema("t", t="integer"), []),
        (
            {"additionalProperties": {"type": "string"}, "patternProperties": {"t": {}}},
            schema("t", t="integer"),
            [],
        ),
        (
            schema("t", t="integer"),
            {"required": ["t"], "additionalProperties": {"type": "string"}},
            ["TYPE_MISMATCH"],
        ),
    ],
)
def test_the_last_step_gives_the_result(
    gives: JsonObject | None, promises: JsonObject | None, expected: list[str]
) -> None:
    """The workflow's output schema is held against the output of the last step."""
    known = one_service(a=(None, gives))
    problems = found(known, step("a"), output_schema=promises)
    assert problems == [("output_schema", code) for code in expected]


def test_steps_that_nothing_leads_to_are_checked_as_far_as_they_go() -> None:
    """Their templates are read, but what runs before them is not known."""
    known = one_service(a=(schema("t", t="string"), OUT))
    steps = (
        step("a", following="nowhere", input={"t": "x"}),
        step("b", "a", "c", input={"t": "${steps.a.text}"}),
        step("c", "a", "d"),
        step("d", "a", input={"t": "${steps.zz.text + nobody}"}),
    )
    assert found(known, *steps, input_schema=schema(x="null")) == [
        ("steps[0].next", "STEP_UNKNOWN"),
        ("steps[1]", "STEP_UNREACHABLE"),
        ("steps[2]", "STEP_UNREACHABLE"),
        ("steps[3]", "STEP_UNREACHABLE"),
        ("steps[3].input.t", "EXPRESSION_NAME_UNKNOWN"),
        ("steps[3].input.t", "EXPRESSION_NAME_UNKNOWN"),
    ]


def test_a_step_may_use_every_earlier_output_in_the_order_of_next() -> None:
    """The order of the definition does not matter."""
    known = one_service(a=(None, OUT))
    steps = (
        step("one", "a", "three"),
        step("two", "a", input={"x": "${steps.three.text + steps.one.text}"}),
        step("three", "a", "two", input={"x": "${steps.one.text}"}),
    )
    assert found(known, *steps) == []


def test_expressions_of_a_definition_have_a_limit_in_all() -> None:
    """Compiling is the most expensive part of a check, so it is bounded."""
    known = one_service(a=(None, None))
    long = "${'" + "x" * 4_000 + "'}"
    count = MAX_EXPRESSION_TEXT // 4_000 // 4 + 2
    steps = chain(*(step(f"s{n}", "a", input={"x": [long] * 4}) for n in range(count)))
    problems = found(known, *steps)
    assert [code for _, code in problems] == ["TOO_LONG"]


def test_members_that_are_taken_over_may_be_what_the_action_needs() -> None:
    """What stands behind `...` is not known; what is written beside it is checked as ever."""
    known = one_service(take=(schema("a", "b", closed=True, a="string", b="string"), None))
    assert found(known, step("take", input={"...": "${input}"})) == []
    assert found(known, step("take", input={"...": "${inputs}", "a": 1})) == [
        ("steps[0].input....", "EXPRESSION_NAME_UNKNOWN"),
        ("steps[0].input.a", "TYPE_MISMATCH"),
    ]
