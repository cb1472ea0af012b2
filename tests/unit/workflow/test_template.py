"""The template language of a step's input."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from weft.core.errors import Code, PreconditionError
from weft.core.reasons import Reason
from weft.server.workflow.expressions.expression import FUNCTIONS, TYPE_NAMES
from weft.server.workflow.expressions.template import (
    MAX_EXPRESSION_LENGTH,
    MAX_EXPRESSIONS,
    Template,
    compile_template,
)

SCOPE: dict[str, Any] = {
    "input": {
        "name": "Ada",
        "age": 36,
        "score": 1.5,
        "ok": True,
        "none": None,
        "tags": ["a", "b"],
        "items": [{"id": 1, "price": 2.5}, {"id": 2, "price": 4.0}],
        "in-side": {"x y": 1},
        "big": 2**53 + 1,
    },
    "steps": {"extract": {"text": "Hello", "pages": 3}, "a-b": {"n": 7}},
    "context": {"project_id": "p1"},
    "execution": {"id": "exe_1", "start_time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)},
}


def render(value: Any, scope: dict[str, Any] | None = None) -> Any:
    template = compile_template({"x": value}, "steps[1].input")
    assert template.problems == ()
    return template.render(SCOPE if scope is None else scope)["x"]


def failure(value: Any) -> PreconditionError:
    with pytest.raises(PreconditionError) as caught:
        render(value)
    return caught.value


def problem(value: Any) -> tuple[str, str, str]:
    (only,) = compile_template({"x": value}, "steps[1].input").problems
    return only.path, only.code, only.message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${input.age}", 36),
        ("${ input.age }", 36),
        ("${\n input . age // how old\n}", 36),
        ("${input.score}", 1.5),
        ("${input.ok}", True),
        ("${input.none}", None),
        ("${input.tags}", ["a", "b"]),
        ("${input.tags[1]}", "b"),
        ("${input.items[0].price}", 2.5),
        ('${input["in-side"]["x y"]}', 1),
        ("${steps.extract.text}", "Hello"),
        ("${steps['a-b'].n}", 7),
        ('${steps["a-b"]}', {"n": 7}),
        ("${input.big}", 2**53 + 1),
        ("${input.age + 1}", 37),
        ("${-input.age}", -36),
        ("${!input.ok}", False),
        ("${input.age > 30 ? 'old' : 'young'}", "old"),
        ("${has(input.nick) ? input.nick : input.name}", "Ada"),
        ("${has(input.nick.first) ? 1 : 2}", None),
        ("${input.items.map(i, i.price)}", [2.5, 4.0]),
        ("${input.items.filter(input, input.id > 1).size()}", 1),
        ("${{'a': {'b': [input.age]}}}", {"a": {"b": [36]}}),
        ("${'}'}", "}"),
        ('${"}" + \'"}\' + """a"}b"""}', '}"}a"}b'),
        (r"${'\'}' + r'\}'}", r"'}\}"),
        ("${'${'}", "${"),
        ("${size(steps.extract.text) + steps['a-b'].n}", 12),
        ("${context.project_id == 'p1'}", True),
        ("${1u}", 1),
    ],
)
def test_one_expression_takes_its_own_type(value: str, expected: Any) -> None:
    """A string that is exactly one expression becomes the value, of whatever type."""
    if expected is None and "nick.first" in value:
        assert failure(value).metadata["error"] == "no such key 'nick'"
        return
    assert render(value) == expected
    assert type(render(value)) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Hi ${input.name}!", "Hi Ada!"),
        ("${input.name}${input.age}", "Ada36"),
        (" ${input.age}", " 36"),
        ("${input.score}|${input.ok}|${input.none}", "1.5|true|null"),
        ("t=${input.tags}", 't=["a","b"]'),
        ("o=${steps.extract}", 'o={"text":"Hello","pages":3}'),
        ("at ${execution.start_time}", "at 2026-01-02T03:04:05Z"),
        ("for ${duration('90s')}", "for 90s"),
        ("ü ${'ß'} €", "ü ß €"),
    ],
)
def test_text_around_expressions_is_interpolated(value: str, expected: str) -> None:
    """Strings go in as they are, everything else as compact JSON."""
    assert render(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$${input.name}", "${input.name}"),
        ("a $${ b", "a ${ b"),
        ("$${${input.age}}", "${36}"),
        ("${input.age}$${x}", "36${x}"),
        ("$$${x}", "$${x}"),
        ("$ { $ 5", "$ { $ 5"),
        ("costs $5}", "costs $5}"),
        ("${'$'}${input.age}", "$36"),
    ],
)
def test_a_second_dollar_makes_it_literal(value: str, expected: str) -> None:
    """``$${`` is a literal ``${``, wherever it stands."""
    assert render(value) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("timestamp('2026-01-02T03:04:05Z')", "2026-01-02T03:04:05Z"),
        ("timestamp('2026-01-02T03:04:05.25+02:00')", "2026-01-02T03:04:05.250000+02:00"),
        ("duration('1.5s')", "1.5s"),
        ("duration('-1500ms')", "-1.5s"),
        ("duration('2h')", "7200s"),
        ("b'abc'", "YWJj"),
        ("{2: 'a', true: 'b'}", {"2": "a", "true": "b"}),
        ("[b'a', [duration('1s')]]", ["YQ==", ["1s"]]),
        ("execution.start_time", "2026-01-02T03:04:05Z"),
    ],
)
def test_results_are_json(source: str, expected: Any) -> None:
    """Times are RFC 3339, durations seconds, bytes base64, and keys texts."""
    assert render(f"${{{source}}}") == expected


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("steps.extract.txt", "no such key 'txt'"),
        ("steps.extract.txt + ''", "no such key 'txt'"),
        ("input.name.first", "a string has no member 'first'"),
        ("input.none.first", "a null has no member 'first'"),
        ("input.tags[7]", "index out of bounds: 7"),
        ("input.tags[3 + 4]", "index out of bounds: 7"),
        ("nobody", "no value 'nobody'"),
        ("nobody.x + 1", "Undefined variable or function: 'nobody'"),
        ("1 / 0", "division by zero in CEL expression"),
        ("9223372036854775807 + 1", "Arithmetic overflow in 'add' on 9223372036854775807 and 1"),
        ("input.name + 1", "string + int: CEL does not know this operation; write string(…)"),
        ("input.none + 1", "null + int: CEL does not know this operation"),
        ("input.score % 2.0", "double % double: CEL does not know this operation"),
        ("input.age * input.score", "int * double: CEL does not mix number types; write double(input.age)"),
        ("input.score - input.age", "double - int: CEL does not mix number types; write double(input.age)"),
        ("input.age * 0.5", "int * double: CEL does not mix number types; write double(input.age)"),
        ("input.score * 2", "double * int: CEL does not mix number types; write 2.0"),
        ("2 + (1 + input.score)", "int + double: CEL does not mix number types; write 1.0"),
        ("steps['a-b'].n * 0.5", 'int * double: CEL does not mix number types; write double(steps["a-b"].n)'),
        ("size(input.tags) * 0.5", "int * double: CEL does not mix number types; write double(size(…))"),
        (
            "input.items.map(i, i.id * i.price)",
            "int * double: CEL does not mix number types; write double(i.id)",
        ),
        ("[{'a': 1.5}].map(i, i.a * 2)", "double * int: CEL does not mix number types; write double(…)"),
        ("input.age && true", "No such overload: the operation is not defined for the given operand types"),
        ("int('x')", "Function 'int' error: string parse error: invalid digit found in string"),
        ("1.0 / 0.0", "the result inf has no JSON form"),
        ("[0.0 / 0.0]", "the result nan has no JSON form"),
        ("optional.of(1)", "the result is a OptionalValue, which has no JSON form"),
        ("{1: 1, '1': 2}", "two keys of the result are the same text in JSON"),
        ("[1]" + ".map(x, [[[[[[[[x]]]]]]]])" * 4, "the result is deeper than 32 levels"),
    ],
)
def test_a_failed_evaluation_says_where_and_why(source: str, error: str) -> None:
    """It is a failed precondition with the path, the expression and the error, one line each."""
    caught = failure({"list": ["a", f"${{ {source} }}"]})
    assert caught.code is Code.FAILED_PRECONDITION
    assert caught.reason == Reason.EXPRESSION_FAILED
    assert caught.message == f"steps[1].input.x.list[1]: {error}"
    assert caught.metadata["path"] == "steps[1].input.x.list[1]"
    assert caught.metadata["error"] == error
    assert caught.metadata["expression"][:100] == source[:100]


@pytest.mark.parametrize(
    "value", [{}, {"a": 1, "b": [None, {"c": "$5 {x}"}]}, [], ["a", 1.5], "", "plain", 0, False, None]
)
def test_values_without_expressions_stay_the_same(value: Any) -> None:
    """Literal parts are handed out as they are, without a copy."""
    assert render(value) is value


def test_only_what_changes_is_made_anew() -> None:
    """A rendering leaves the template alone, keeps the order of members and shares literal parts."""
    value = {"a": {"deep": [1, 2]}, "b": {"n": ["${input.age}", {"k": 1}]}, "c": "${input.name}"}
    template = compile_template(value, "p")
    first, second = template.render(SCOPE), template.render({"input": {"age": 1, "name": "B"}})
    assert first == {"a": {"deep": [1, 2]}, "b": {"n": [36, {"k": 1}]}, "c": "Ada"}
    assert second["b"]["n"] == [1, {"k": 1}]
    assert list(first) == ["a", "b", "c"]
    assert first["a"] is value["a"]
    assert value["b"] == {"n": ["${input.age}", {"k": 1}]}


@pytest.mark.parametrize(
    ("value", "character", "text"),
    [
        ("${1 +}", 6, "it ends too early"),
        ("${input.a ? 1}", 14, "the ?: expression ends too early"),
        ("${input.a ? }", 13, "the ?: expression ends too early"),
        ("${input.a ? 1 : }", 17, "it ends too early"),
        ("${input.a ?: 1}", 12, "':' is not expected here"),
        ("${input.a[}", 11, "it ends too early"),
        ("${(1}", 5, "missing ')' at the end"),
        ("${1 2}", 5, "'2' is not expected here"),
        ("${1 = 2}", 5, "'= ' cannot be read here"),
        ("ab ${ input. }", 14, "'. ' cannot be read here"),
        ("${\n1 +\n+}", 8, "'+' is not expected here"),
        ("${}", 3, "it is empty"),
        ("${   }", 3, "it is empty"),
        ("x ${ input.a", 3, "it is never closed by a '}'"),
        ("${ {'a': 1 }", 1, "it is never closed by a '}'"),
        ("${ 'a }", 1, "a quote is never closed"),
        ("${" + " " * (MAX_EXPRESSION_LENGTH + 1) + "}", 1, "it does not end within 4,096 characters"),
        ("${input.in}", 0, "'.in' cannot be read here"),
        ("${has(input)}", 0, "invalid argument to has() macro"),
        ("${" + "(" * 200 + "1" + ")" * 200 + "}", 0, "it nests too deep"),
        ("${[1].map(x, [1].map(y, [1].map(z, z)))}", 0, "comprehensions nest deeper than 2 levels"),
        ("${[1].exists(x, [[1].all(y, {'a': [1].filter(z, true)}.size() > 0)][0])}", 0, "nest deeper"),
    ],
)
def test_faults_of_the_text_are_problems(value: str, character: int, text: str) -> None:
    """Each has the path of its string and, when it is known, the character."""
    path, code, message = problem(value)
    assert (path, code) == ("steps[1].input.x", "EXPRESSION_INVALID")
    assert text in message
    assert "\n" not in message
    assert not character or f"at character {character}:" in message


def test_all_faults_are_found_at_once() -> None:
    """Every broken expression is a problem, and the others still render."""
    template = compile_template({"a": "${1+}", "b": ["${", "${input.age}"], "c": "${)} ${(}"}, "p")
    assert [each.path for each in template.problems] == ["p.a", "p.b[0]", "p.c", "p.c"]
    assert [each.source for each in template.names] == ["input.age"]
    with pytest.raises(PreconditionError, match=r"^p\.a: the expression is not valid$"):
        template.render(SCOPE)


def test_the_longest_expression_is_taken() -> None:
    """The limit itself is within the limit."""
    source = "1" + "+1" * (MAX_EXPRESSION_LENGTH // 2 - 1) + " "
    assert len(source) == MAX_EXPRESSION_LENGTH
    assert render(f"${{{source}}}") == MAX_EXPRESSION_LENGTH // 2


def test_a_template_has_at_most_256_expressions() -> None:
    """One more is one problem, however many there are."""
    assert compile_template({"x": ["${1}"] * MAX_EXPRESSIONS}, "p").problems == ()
    (only,) = compile_template({"x": ["${1}"] * 1_000}, "p").problems
    assert (only.path, only.code) == ("p.x[256]", "TOO_MANY")


def test_a_template_is_no_deeper_than_a_payload() -> None:
    """Depth is a problem, not a crash."""
    value: Any = "${1}"
    for _ in range(5_000):
        value = [value]
    (only,) = compile_template({"x": value}, "p").problems
    assert only.code == "PAYLOAD_TOO_DEEP"


@pytest.mark.parametrize(
    ("source", "variables", "steps"),
    [
        ("input.a + context.b", {"input", "context"}, set()),
        ("steps.one.text", {"steps"}, {"one"}),
        ("steps . one . text + steps [ 'two-2' ] . n", {"steps"}, {"one", "two-2"}),
        ('steps["one"]', {"steps"}, {"one"}),
        ("steps[input.which].n", {"steps", "input"}, set()),
        ("'steps.one ' + \"input\"", set(), set()),
        ("size(steps) > 0 && 'a' in steps.one", {"steps"}, {"one"}),
        ("{'input': 1}.input", set(), set()),
        ("[1].map(steps, steps.one)", set(), set()),
        ("[1].map(x, steps.one.n + x)", {"steps"}, {"one"}),
        ("[steps].map(x, x.one)", {"steps"}, set()),
        ("input.steps.one", {"input"}, set()),
        ("wrong.steps.one", {"wrong"}, set()),
        ("true || false == null", set(), set()),
        ("input.text.startsWith(steps.one.text)", {"input", "steps"}, {"one"}),
        ("-steps.one.n", {"steps"}, {"one"}),
        ("1 // steps.one", set(), set()),
    ],
)
def test_names_are_found_in_the_text(source: str, variables: set[str], steps: set[str]) -> None:
    """Variables and steps are found outside of strings and comments, without those a comprehension brings."""
    (names,) = compile_template({"x": "${" + source + "\n}"}, "p").names
    assert names.variables == variables
    assert names.steps == steps


@pytest.mark.parametrize(
    "source",
    [
        "['a']" + ".map(x, x + x)" * 40,
        "[input.list]" + ".map(x, x + x + x + x + x + x)" * 12,
        "input.list.map(x, input.list.map(y, input.list))",
        "input.list.map(x, input.list.map(y, y + x))",
        "input.list.all(x, 'a'.matches('(\\\\w{9}){9}'))",
        "input.list.all(x, 'a'.matches(input.pattern))",
        " || ".join("'a'.matches(input.pattern)" for _ in range(40)),
        "+".join(["input.text"] * 60),
    ],
)
def test_too_much_work_is_refused_before_it_is_done(source: str) -> None:
    """An expression that could take seconds or gigabytes fails at once."""
    scope = {"input": {"list": [1] * 2_000, "pattern": "a", "text": "a" * 2_000_000}}
    template = compile_template({"x": f"${{{source}}}"}, "p")
    assert template.problems == ()
    with pytest.raises(PreconditionError, match="could take more than 20,000,000 steps"):
        template.render(scope)


def test_the_work_of_a_template_counts_in_all() -> None:
    """Many expressions that are each just within the limit are over it together."""
    scope = {"input": {"list": [1] * 1_000}}
    source = "${size(input.list.map(x, x)) > 0}"
    assert compile_template({"x": source}, "p").render(scope) == {"x": True}
    with pytest.raises(PreconditionError, match="could take more"):
        compile_template({"x": [source] * 50}, "p").render(scope)


@pytest.mark.parametrize(
    "source",
    [
        "input.items.filter(i, i.state == 'open' && i.price > 10.0).map(i, {'id': i.id, 'price': i.price})",
        "input.items.exists(i, i.id.matches('^[0-9]{1,6}$'))",
        "input.items.map(i, {'id': i.id, 'for': input.customer.name})",
    ],
)
def test_ordinary_work_on_long_lists_is_done(source: str) -> None:
    """The guard leaves room for lists of a thousand records."""
    items = [{"id": str(n), "state": "open", "price": float(n)} for n in range(1_000)]
    rendered = compile_template({"x": f"${{{source}}}"}, "p").render(
        {"input": {"items": items, "customer": {"name": "Ada"}}}
    )
    assert rendered["x"]


CALLS = [
    "bytes('a')",
    "'ab'.contains('a')",
    "double('1')",
    "duration('1s')",
    "dyn(1)",
    "'ab'.endsWith('b')",
    "has({'a': 1}.a)",
    "optional.of(1).hasValue()",
    "int('1')",
    "'ab'.matches('a')",
    "optional.none()",
    "optional.of(1)",
    "optional.ofNonZeroValue(1)",
    "optional.of(1).or(optional.none())",
    "optional.of(1).orValue(2)",
    "size('a')",
    "'ab'.startsWith('a')",
    "string(1)",
    "timestamp('2026-01-01T00:00:00Z')",
    "type(1)",
    "uint('1')",
    "optional.of(1).value()",
    *(f"timestamp('2026-01-01T00:00:00Z').{name}()" for name in sorted(FUNCTIONS) if name.startswith("get")),
]


def test_the_functions_that_are_known_are_those_there_are() -> None:
    """Every function that the checks accept can be called, and every type can be compared with."""
    import cel  # noqa: PLC0415 - only here: the library itself is asked

    called: set[str] = set()
    for call in CALLS:
        program = cel.compile(call)
        program.execute({})
        called |= {name for name in FUNCTIONS if f"{name}(" in call}
    assert called == FUNCTIONS
    for name in TYPE_NAMES:
        assert cel.compile(f"{name} == {name}").execute({}) is True


def test_functions_of_other_dialects_are_unknown_to_the_library() -> None:
    """What the checks refuse would fail; when a release adds one of these, it joins the known."""
    import cel  # noqa: PLC0415 - only here: the library itself is asked

    for call in [
        "max(1, 2)",
        "'A'.lowerAscii()",
        "'a,b'.split(',')",
        "'%s'.format([1])",
        "math.abs(1)",
        "now()",
    ]:
        with pytest.raises(RuntimeError, match="Undefined"):
            cel.compile(call).execute({})


def test_a_template_renders_in_many_threads() -> None:
    """A rendering leaves nothing behind in the template."""
    template = compile_template({"x": "${input.n + 1}", "y": "${input.n}", "z": "n=${input.n * 2}"}, "p")
    wrong: list[object] = []

    def work(base: int) -> None:
        for n in range(base, base + 200):
            rendered = template.render({"input": {"n": n}})
            if rendered != {"x": n + 1, "y": n, "z": f"n={n * 2}"}:
                wrong.append(rendered)

    threads = [threading.Thread(target=work, args=(base * 1_000,)) for base in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_missing_scope_name_is_a_failure_of_the_expression() -> None:
    """A scope that lacks a name fails the expressions that use it, nothing else."""
    template: Template = compile_template({"a": 1, "b": "${steps.x.y}"}, "p")
    with pytest.raises(PreconditionError, match=r"p\.b: no value 'steps'"):
        template.render({"input": {}})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"...": "${steps.extract}"}, {"text": "Hello", "pages": 3}),
        ({"a": 1, "...": "${steps.extract}", "pages": 4}, {"text": "Hello", "pages": 4, "a": 1}),
        ({"pages": 4, "...": "${steps.extract}"}, {"text": "Hello", "pages": 4}),
        (
            {"...": ["${steps.extract}", {"pages": 5}, '${steps["a-b"]}']},
            {"text": "Hello", "pages": 5, "n": 7},
        ),
        ({"...": []}, {}),
        ({"...": {"a": 1}, "b": 2}, {"a": 1, "b": 2}),
        ([{"...": "${input}"}], [SCOPE["input"]]),
    ],
)
def test_the_member_of_three_dots_takes_over_other_objects(value: Any, expected: Any) -> None:
    """Its own members win, then later objects; at the top and at any depth."""
    assert render(value) == expected
    if isinstance(value, dict):
        assert compile_template(value, "p").render(SCOPE) == expected


def test_a_template_with_taken_over_members_stays_as_it_is() -> None:
    """Rendering changes neither the template nor the scope."""
    value = {"...": "${steps.extract}", "pages": 4}
    template = compile_template(value, "p")
    assert template.render(SCOPE) == template.render(SCOPE)
    assert SCOPE["steps"]["extract"] == {"text": "Hello", "pages": 3}
    assert value == {"...": "${steps.extract}", "pages": 4}


@pytest.mark.parametrize(
    ("source", "kind"), [("${input.name}", "string"), ("${input.none}", "null"), (1, "number")]
)
def test_what_has_no_members_cannot_be_taken_over(source: Any, kind: str) -> None:
    """The failure says where, and what it is."""
    error = failure({"...": ["${input}", source]})
    assert error.metadata["path"] == "steps[1].input.x...."
    assert error.metadata["error"] == f"a {kind} has no members to take over"
