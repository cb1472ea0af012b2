"""What holds for any definition and any template, however odd."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.definitions import definitions as whole_definitions
from tests.unit.workflow.builders import action, schema, service, services
from weft.core.errors import PreconditionError
from weft.core.payload import JsonObject, dumps
from weft.core.reasons import Reason, Rule
from weft.server.workflow.checks.checks import KnownWorkflow, find_problems
from weft.server.workflow.dataflow import walk
from weft.server.workflow.expressions.template import compile_template
from weft.server.workflow.model import Definition, Severity, Step

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
NAMES_OF_MEMBERS = TEXT.filter(lambda text: text != "...")
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES_OF_MEMBERS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES_OF_MEMBERS, JSON, max_size=5)

PIECES = st.sampled_from(
    [
        *(
            "${",
            "$${",
            "$",
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            "'",
            '"',
            "'''",
            "\\",
            "//",
            "\n",
            ".",
            ",",
            " ",
            "?",
            ":",
        ),
        *(
            "input",
            "steps",
            "a",
            "b",
            "x",
            "size",
            "has",
            "map",
            "filter",
            ".all(x, x)",
            "matches",
            "in",
            "r'",
            "b'",
        ),
        *(
            "1",
            "2.5",
            "-",
            "!",
            "+",
            "==",
            "<",
            "&&",
            "||",
            "null",
            "true",
            "1u",
            "timestamp",
            "duration('1s')",
            "é",
        ),
    ]
)
SOURCES = st.lists(PIECES, max_size=14).map("".join)
TEMPLATE_TEXTS = st.one_of(
    TEXT,
    SOURCES,
    SOURCES.map(lambda source: f"${{{source}}}"),
    st.tuples(SOURCES, SOURCES).map(lambda pair: f"a ${{{pair[0]}}} b ${{{pair[1]}}} c"),
)
TEMPLATES = st.dictionaries(
    st.sampled_from(["text", "n", "${x}", ""]),
    st.recursive(
        SCALARS | TEMPLATE_TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)

TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array", "nonsense", 5])
SCHEMA_KEYS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "$ref",
        "anyOf",
        "allOf",
        "enum",
        "const",
        "$defs",
        "not",
    ]
)
SCHEMAS = st.recursive(
    st.one_of(
        TYPES, SCALARS, st.sampled_from(["#", "#/$defs/a", "#/properties/text", "http://x"]), st.just([])
    ),
    lambda inner: st.one_of(
        st.dictionaries(SCHEMA_KEYS, inner, max_size=4),
        st.dictionaries(st.sampled_from(["text", "n", "a"]), inner, max_size=2),
        st.lists(inner, max_size=3),
    ),
    max_leaves=10,
)
SCHEMA_OBJECTS = st.dictionaries(SCHEMA_KEYS, SCHEMAS, max_size=4)

IDS = st.sampled_from(["a", "b", "c", "d", "e", "", "1x"])
NAMES = st.sampled_from(["s", "t", "gone", ""])

SCOPE = {
    "input": {"a": 1, "b": ["x"], "x": {"a": "y"}},
    "steps": {"a": {"b": 2.5}},
    "context": {},
    "execution": {},
}


@given(st.lists(st.tuples(IDS, IDS), max_size=7))
@FEW
def test_a_graph_is_walked_whole_or_reported(edges: list[tuple[str, str]]) -> None:
    """Without errors the walk meets every step exactly once and leads to the end."""
    known = services(service("s", action("a")))
    steps = tuple(Step(id=name, service="s", action="a", next=following) for name, following in edges)
    definition = Definition(steps=steps)
    order = walk(definition)
    assert max(Counter(each.id for each in order).values(), default=1) == 1
    if not find_problems(definition, known):
        assert sorted(each.id for each in order) == sorted(each.id for each in steps)
        assert order[-1].next == ""
    else:
        ids = [each.id for each in steps]
        broken = (
            not steps
            or len(set(ids)) < len(ids)
            or not set(ids) <= set("abcde")
            or len(order) < len(steps)
            or order[-1].next != ""
        )
        assert broken


def actions() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda takes, gives: action("a", takes, gives), st.none() | SCHEMA_OBJECTS, st.none() | SCHEMA_OBJECTS
    )


STEPS = st.builds(
    Step,
    id=IDS | TEXT,
    service=NAMES | TEXT,
    action=st.sampled_from(["a", "b", ""]) | TEXT,
    next=IDS | TEXT,
    input=st.none() | TEMPLATES,
    timeout=st.none() | st.timedeltas(),
    description=TEXT,
)
DEFINITIONS = st.builds(
    Definition,
    steps=st.lists(STEPS, max_size=5).map(tuple),
    input_schema=st.none() | SCHEMA_OBJECTS,
    output_schema=st.none() | SCHEMA_OBJECTS,
    timeout=st.none() | st.timedeltas(),
)


@given(DEFINITIONS, st.lists(actions(), min_size=2, max_size=2))
@FEW
def test_no_definition_breaks_the_checks(definition: Definition, registered: list[Any]) -> None:
    """Whatever the definition and the schemas, the answer is a list of problems, errors first."""
    known = services(service("s", registered[0]), service("t", registered[1]))
    problems = find_problems(definition, known)
    severities = [problem.severity for problem in problems]
    assert severities == sorted(severities, key=[Severity.ERROR, Severity.WARNING].index)
    assert all(problem.message and problem.code for problem in problems)


@given(whole_definitions)
@settings(FEW, max_examples=150)
def test_no_definition_of_the_whole_language_breaks_the_checks(definition: Definition) -> None:
    """Steps of all kinds, well formed or not, in each other: each problem has a path that is there."""
    known = services(service("a", action("a"), action("b")), service("order", action("order")))
    workflows = {"a": KnownWorkflow(name="a", latest=1, definitions={1: definition})}
    problems = find_problems(definition, known, workflows=workflows, other_workflows=(), name="b")
    starts = ("steps", "finally", "input_schema", "output_schema", "concurrency", "search_attributes")
    assert all(problem.path.startswith(starts) for problem in problems)
    assert all(problem.message and problem.code in set(Rule) for problem in problems)


@given(TEMPLATES)
@settings(FEW, max_examples=400)
def test_no_template_breaks_the_renderer(value: JsonObject) -> None:
    """Any text compiles to a template and problems; rendering gives JSON or fails as documented."""
    template = compile_template(value, "p")
    assert all(problem.path.startswith("p") for problem in template.problems)
    failure: PreconditionError | None = None
    rendered: JsonObject = {}
    try:
        rendered = template.render(SCOPE)
    except PreconditionError as error:
        failure = error
    if failure is None:
        assert not template.problems
        assert list(rendered) == list(value)
        dumps(rendered)
    else:
        assert failure.reason == Reason.EXPRESSION_FAILED
        assert set(failure.metadata) == {"path", "expression", "error"}


@given(OBJECTS)
@FEW
def test_literal_json_renders_to_itself(value: JsonObject) -> None:
    """Without ``${`` nothing changes."""
    template = compile_template(value, "p")
    assert "${" in str(value) or template.render({}) == value


def escape(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [escape(item) for item in value]
    return {name: escape(item) for name, item in value.items()} if isinstance(value, dict) else value


@given(
    st.dictionaries(
        TEXT,
        st.recursive(SOURCES | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
        max_size=3,
    )
)
@FEW
def test_escaped_text_renders_to_itself(value: JsonObject) -> None:
    """Any text can be said literally: double the dollar before each brace."""
    template = compile_template(escape(value), "p")
    assert template.problems == ()
    assert template.render({}) == value


MEMBERS = st.dictionaries(
    st.sampled_from(["text", "n", "more"]),
    st.sampled_from(["string", "integer", "number", "null"]),
    max_size=3,
)


@st.composite
def object_schemas(draw: st.DrawFn) -> JsonObject:
    members = draw(MEMBERS)
    required = draw(st.lists(st.sampled_from(sorted(members)), unique=True)) if members else []
    return schema(*required, closed=draw(st.booleans()), **members)


VALUES: dict[str, list[Any]] = {"string": ["", "x"], "integer": [0, 7], "number": [0.5, 3], "null": [None]}


@given(object_schemas(), object_schemas(), object_schemas(), st.data())
@settings(FEW, max_examples=300)
def test_errors_of_the_data_flow_are_certain(
    workflow_input: JsonObject, gives: JsonObject, takes: JsonObject, data: st.DataObject
) -> None:
    """When some input and output that fit their schemas make the next step work, no error is reported."""
    from weft.core.schema import compile_schema  # noqa: PLC0415 - beside the only test that compares
    from weft.server.workflow.dataflow import implicit_input  # noqa: PLC0415 - same

    known = services(service("s", action("a", None, gives), action("b", takes)))
    steps = (Step(id="a", service="s", action="a", next="b"), Step(id="b", service="s", action="b"))
    problems = find_problems(Definition(steps=steps, input_schema=workflow_input), known)

    def value(of: JsonObject) -> JsonObject:
        return {
            name: data.draw(st.sampled_from(VALUES[member["type"]]))
            for name, member in of["properties"].items()
            if name in of["required"] or data.draw(st.booleans())
        }

    wanted = compile_schema(takes)
    made = implicit_input(wanted, {**value(workflow_input), **value(gives)})
    if not wanted.violations(made):
        assert [problem for problem in problems if problem.severity is Severity.ERROR] == []
