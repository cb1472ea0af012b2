"""The gate for schemas of strangers: what is dangerous is refused before it is compiled."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.core.errors import ValidationError
from weft.core.payload import JsonObject
from weft.core.reasons import Rule
from weft.core.schema import ANY_OBJECT, MAX_SCHEMA_BYTES, compile_schema, join_path

calmly = settings(deadline=None)
"""A machine that is busy is no fault."""


def fault(definition: JsonObject, field: str = "schema") -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        compile_schema(definition, field)
    (violation,) = caught.value.violations
    assert len(violation.description) <= 300
    return violation.field, violation.reason


def nest(depth: int) -> JsonObject:
    value: JsonObject = {}
    for _ in range(depth - 1):
        value = {"not": value}
    return value


def doubling(levels: int, keyword: str = "allOf") -> JsonObject:
    """Return a schema of which the references unfold to 2 ** levels checks of one value."""
    defs: JsonObject = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {"type": "object"}}}


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        ({"type": 12}, ".type"),
        ({"type": "text"}, ".type"),
        ({"properties": {"a": {"minimum": "1"}}}, ".properties.a.minimum"),
        ({"required": "a"}, ".required"),
        ({"pattern": "("}, ".pattern"),
        ({"$ref": "#/$defs/nowhere"}, ""),
        ({"$schema": "https://example.org/unknown"}, ""),
        ({"$defs": {"a": {"$ref": "#/nowhere"}}, "$ref": "#/$defs/a"}, ""),
    ],
    ids=str,
)
def test_what_is_no_schema_is_refused_where_it_is_wrong(definition: JsonObject, path: str) -> None:
    """With the path into the schema, when that is known."""
    assert fault(definition) == (f"schema{path}", Rule.SCHEMA_INVALID)


def test_what_is_not_json_is_no_schema() -> None:
    """A definition made in Python may hold anything."""
    assert fault({"enum": [object()]}) == ("schema", Rule.SCHEMA_INVALID)


def test_the_size_limit_is_that_of_the_json_text() -> None:
    """64 KB pass, one more byte does not."""
    compile_schema({"title": "x" * (MAX_SCHEMA_BYTES - 12)})
    assert fault({"title": "x" * (MAX_SCHEMA_BYTES - 11)}) == ("schema", Rule.SCHEMA_TOO_LARGE)


def test_32_levels_pass_and_33_do_not() -> None:
    """Also where nothing is a schema, such as in examples."""
    compile_schema(nest(32))
    assert fault(nest(33)) == ("schema", Rule.SCHEMA_TOO_DEEP)
    deep: Any = 1
    for _ in range(32):
        deep = [deep]
    assert fault({"examples": deep}) == ("schema", Rule.SCHEMA_TOO_DEEP)


def test_2000_nodes_pass_and_2001_do_not() -> None:
    """Every object and list counts."""
    compile_schema({"anyOf": [{}] * 1_998})
    assert fault({"anyOf": [{}] * 1_999}) == ("schema", Rule.SCHEMA_TOO_COMPLEX)


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$recursiveRef"])
@pytest.mark.parametrize(
    "target",
    [
        "https://example.org/s.json",
        "http://127.0.0.1:1/",
        "file:///etc/passwd",
        "other.json",
        "//host/x",
        "urn:x",
    ],
)
def test_a_reference_to_elsewhere_is_refused_and_never_fetched(keyword: str, target: str) -> None:
    """At once, wherever it stands; nothing is opened for it."""
    definition = {"properties": {"a": {"items": {keyword: target}}}}
    assert fault(definition) == (f"schema.properties.a.items.{keyword}", Rule.SCHEMA_REMOTE_REF)


def test_a_member_that_is_called_ref_is_no_reference() -> None:
    """Only a text is one: a property may be called ``$ref``."""
    schema = compile_schema({"properties": {"$ref": {"type": "string"}}})
    assert schema.violations({"$ref": 1})


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_multiply_are_refused_quickly(keyword: str) -> None:
    """2 KB of text must not become 2^30 checks, whatever combines them."""
    started = time.process_time()
    assert fault(doubling(30, keyword)) == ("schema", Rule.SCHEMA_TOO_COMPLEX)
    assert time.process_time() - started < 1.0
    compile_schema(doubling(8, keyword))


def test_a_schema_of_itself_is_fine() -> None:
    """Trees are described by recursion, which consumes a level each time."""
    tree = compile_schema(
        {"properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "name": {"type": "string"}}}
    )
    assert not tree.violations({"name": "a", "children": [{"name": "b", "children": []}]})
    (violation,) = tree.violations({"children": [{"name": "b"}, {"name": 2}]}, "input")
    assert (violation.field, violation.reason) == ("input.children[1].name", Rule.SCHEMA_MISMATCH)


@pytest.mark.parametrize("again", [{"$ref": "#/$defs/a"}, {"anyOf": [{"$ref": "#/$defs/a"}] * 2}])
def test_a_schema_that_only_refers_to_itself_is_none(again: JsonObject) -> None:
    """A cycle that consumes nothing describes nothing."""
    assert fault({"$ref": "#/$defs/a", "$defs": {"a": again}}) == ("schema", Rule.SCHEMA_INVALID)


def test_all_violations_are_told_up_to_a_hundred() -> None:
    """Each with its path below the field; texts are short, however long the value is."""
    schema = compile_schema({"additionalProperties": {"type": "integer", "maximum": 5}})
    found = schema.violations({"a": "x" * 10_000, "b": 6, "c": 1}, "input")
    assert sorted(violation.field for violation in found) == ["input.a", "input.b"]
    assert all(len(violation.description) <= 300 for violation in found)
    assert len(schema.violations({str(n): "x" for n in range(500)})) == 100


def test_formats_are_checked() -> None:
    """``format`` is a promise to whoever reads the schema."""
    schema = compile_schema({"properties": {"when": {"format": "date-time"}, "id": {"format": "uuid"}}})
    assert len(schema.violations({"when": "tomorrow", "id": "7"})) == 2


def test_a_pattern_cannot_take_for_ever() -> None:
    """Patterns run in linear time: the classic trap costs nothing."""
    schema = compile_schema({"properties": {"a": {"pattern": "^(a+)+$"}}})
    started = time.process_time()
    assert schema.violations({"a": "a" * 50_000 + "b"})
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    "dialect",
    [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    ],
)
def test_the_dialect_is_what_the_schema_says(dialect: str) -> None:
    """From draft 4 to 2020-12; naming it is no remote reference."""
    schema = compile_schema({"$schema": dialect, "type": "object", "required": ["a"]})
    assert schema.violations({})
    assert not schema.violations({"a": 1})


def test_what_a_schema_names_is_found_behind_a_reference() -> None:
    """Generated schemas keep their members in ``$defs``."""
    schema = compile_schema(
        {
            "$ref": "#/$defs/In",
            "$defs": {
                "In": {
                    "properties": {"a": {"type": "string"}},
                    "required": ["a"],
                    "additionalProperties": False,
                }
            },
        }
    )
    assert (list(schema.properties), schema.required, schema.closed) == (["a"], ("a",), True)


def test_the_branch_that_was_meant_is_told() -> None:
    """Where a member is an object or null, each fault of the object is named, however deep."""
    inner: JsonObject = {
        "type": "object",
        "properties": {
            "size": {"type": "integer"},
            "inner": {"anyOf": [{"$ref": "#/$defs/inner"}, {"type": "null"}]},
            "kind": {"anyOf": [{"enum": ["A", "B"]}, {"type": "integer", "maximum": 9}]},
        },
        "additionalProperties": False,
    }
    schema = compile_schema({**inner, "$defs": {"inner": inner}})
    value = {"inner": {"inner": {"size": "x", "sice": 1}, "size": 1.5, "kind": "C"}, "kind": 10}
    assert {(v.field, v.description.partition(" (")[0]) for v in schema.violations(value)} == {
        ("inner.inner.size", '"x" is not of type "integer"'),
        ("inner.inner", "Additional properties are not allowed"),
        ("inner.size", '1.5 is not of type "integer"'),
        ("inner.kind", '"C" is not one of "A" or "B"'),
        ("kind", "10 is not valid under any of the schemas listed in the 'anyOf' keyword"),
    }
    assert not schema.violations({"inner": None, "kind": 3})


def test_a_value_of_none_of_the_types_is_told_which_there_are() -> None:
    """As of an optional number, which is a number or null."""
    schema = compile_schema(
        {
            "properties": {
                "a": {"anyOf": [{"type": "integer"}, {"type": "null"}, {"type": ["array", "string"]}]}
            }
        }
    )
    assert [v.description for v in schema.violations({"a": True})] == [
        'true is not of type "integer", "null", "array" or "string"'
    ]


CAT: JsonObject = {
    "type": "object",
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
    "required": ["kind", "lives"],
}
DOG: JsonObject = {
    "type": "object",
    "properties": {"kind": {"const": "dog"}, "name": {"type": "string"}},
    "required": ["kind", "name"],
}


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_a_member_that_names_the_branch_is_believed(keyword: str) -> None:
    """So it is with classes that a literal tells apart: each fault of the one that is meant is named."""
    schema = compile_schema({"properties": {"pets": {"items": {keyword: [CAT, DOG, {"type": "null"}]}}}})
    none = f"is not valid under any of the schemas listed in the '{keyword}' keyword"
    value = {"pets": [{"kind": "cat", "lives": "x"}, {"kind": "dog"}, {"kind": "cow"}, {"lives": 1}, 7, None]}
    assert [(v.field, v.description) for v in schema.violations(value)] == [
        ("pets[0].lives", '"x" is not of type "integer"'),
        ("pets[1]", '"name" is a required property'),
        ("pets[2].kind", '"cow" is not one of "cat" or "dog"'),
        ("pets[3]", f'{{"lives":1}} {none}'),
        ("pets[4]", '7 is not of type "object" or "null"'),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "hint"),
    [
        ("date-time", "2026-01-01T00:00:00", "; it has no time zone, such as Z or +01:00"),
        ("date-time", "2026-01-01 00:00", ""),
        ("date-time", "tomorrow", ""),
        ("time", "10:00:00", "; it has no time zone, such as Z or +01:00"),
        ("time", "ten", ""),
    ],
)
def test_a_time_without_a_zone_is_told_so(kind: str, value: str, hint: str) -> None:
    """It is what a datetime of Python without a tzinfo is written as; in JSON Schema it is no time."""
    schema = compile_schema({"properties": {"at": {"type": "string", "format": kind}}})
    assert [v.description for v in schema.violations({"at": value})] == [f'"{value}" is not a "{kind}"{hint}']


def test_what_is_wrong_is_told_also_of_a_long_value() -> None:
    """The value stands first: of a long one the middle is left out, not the end of the sentence."""
    (fault,) = compile_schema({"properties": {"a": {"type": "integer"}}}).violations({"a": "x" * 5_000})
    assert fault.description.startswith('"xxx')
    assert fault.description.endswith('xxx" is not of type "integer"')
    assert len(fault.description) == 300


def test_any_object_takes_objects_only() -> None:
    """It is the schema of an action or workflow without one."""
    assert not ANY_OBJECT.violations({"anything": [1]})
    assert ANY_OBJECT.violations([])


def test_paths_are_written_as_in_code() -> None:
    """Members with dots, indexes in brackets."""
    assert join_path("a", ["b", 0, "c"]) == "a.b[0].c"
    assert join_path("", ["b", 1]) == "b[1]"
    assert join_path("a", []) == "a"


words = st.sampled_from(
    ["type", "properties", "items", "$ref", "allOf", "not", "required", "enum", "pattern", "#", "object", "a"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.just("https://x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@calmly
@given(st.dictionaries(words, anything, max_size=5), st.dictionaries(words, anything, max_size=3))
def test_any_definition_is_a_schema_or_a_fault(definition: JsonObject, value: JsonObject) -> None:
    """Nothing but ValidationError is raised, neither on compiling nor on checking a value."""
    try:
        schema = compile_schema(definition)
    except ValidationError:
        return
    for violation in schema.violations(value):
        assert violation.description
