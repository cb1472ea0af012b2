"""Schemas and values made to keep the server busy are refused or answered at once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from weft.core.errors import ValidationError, Violation
from weft.core.payload import JsonObject
from weft.core.reasons import Rule
from weft.core.schema import compile_schema

SOON = 0.5
"""Seconds: what anything here may take, and far more than it does."""

TWICE = {"properties": {"a": {"$ref": "#"}}}
EITHER = {"anyOf": [{**TWICE, "required": ["z"]}, {**TWICE, "required": ["y"]}]}


def nest(depth: int, end: Any) -> JsonObject:
    value: JsonObject = {"a": end}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def chain(links: int, end: JsonObject) -> JsonObject:
    """Return a schema of which every definition leads to the next one twice, one level below."""
    defs: JsonObject = {
        f"d{n}": {"allOf": [{"properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}}} for _ in range(2)]}
        for n in range(links)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{links}": end}}


def refused(definition: JsonObject) -> Violation:
    started = time.process_time()
    with pytest.raises(ValidationError) as caught:
        compile_schema(definition, "schema")
    assert time.process_time() - started < SOON
    (violation,) = caught.value.violations
    return violation


def answered(definition: JsonObject, value: JsonObject) -> list[Violation]:
    started = time.process_time()
    found = compile_schema(definition, "schema").violations(value, "input")
    assert time.process_time() - started < SOON
    return found


@pytest.mark.parametrize("depth", [17, 25, 31])
@pytest.mark.parametrize("end", [0, {}, {"z": 1}], ids=str)
def test_recursion_through_members_does_not_multiply(depth: int, end: Any) -> None:
    """A value of 100 bytes, held against two branches that both lead back to the whole."""
    (violation,) = answered(EITHER, nest(depth, end))
    assert (violation.field, violation.reason) == ("input", Rule.SCHEMA_MISMATCH)
    both = {"type": "object", "allOf": [TWICE, TWICE]}
    assert bool(answered(both, nest(depth, end))) == (end == 0)


@pytest.mark.parametrize("links", [10, 14, 20, 30])
def test_definitions_that_multiply_with_every_level_are_not_evaluated(links: int) -> None:
    """Whether they end or lead back to the first."""
    for end in ({}, {"$ref": "#/$defs/d0"}):
        found = answered(chain(links, end), nest(31, {}))
        assert [each.reason for each in found] in ([], [Rule.SCHEMA_TOO_COMPLEX])
    assert not answered(chain(links, {}), nest(3, {}))


def test_a_union_of_itself_still_tells_what_is_wrong() -> None:
    """Expression trees are honest recursion: they are checked to any depth."""
    kinds = [
        {
            "properties": {
                "kind": {"const": f"k{n}"},
                "l": {"$ref": "#/$defs/E"},
                "r": {"$ref": "#/$defs/E"},
            },
            "required": ["kind", "l"],
        }
        for n in range(10)
    ]
    leaf = {"properties": {"v": {"type": "integer"}}, "required": ["v"], "additionalProperties": False}
    tree = {"$ref": "#/$defs/E", "$defs": {"E": {"oneOf": [*kinds, leaf]}}}

    def value(depth: int) -> JsonObject:
        return {"v": 1} if not depth else {"kind": "k3", "l": value(depth - 1), "r": value(depth - 1)}

    assert not answered(tree, value(8))
    assert answered(tree, {**value(8), "r": {"v": "x"}})


@pytest.mark.parametrize(
    "definition",
    [
        {
            "$ref": "#a0",
            "$defs": {
                **{f"a{n}": {"$anchor": f"a{n}", "allOf": [{"$ref": f"#a{n + 1}"}] * 2} for n in range(30)},
                "a30": {"$anchor": "a30"},
            },
        },
        {"$ref": "#here"},
        {"$dynamicRef": "#here", "$dynamicAnchor": "here"},
        {"$defs": {"a": {"$anchor": "here"}}},
        {"$defs": {"a": {"$dynamicAnchor": "here"}}},
        {"$defs": {"a": {"$id": "other"}}},
        {"$schema": "http://json-schema.org/draft-04/schema#", "definitions": {"a": {"id": "#here"}}},
        {"$ref": "#/$defs/a%2Fb", "$defs": {"a": {"b": {}}}},
        {"$ref": "#/allOf/+1", "allOf": [{}, {}]},
    ],
    ids=str,
)
def test_only_plain_pointers_refer_to_parts(definition: JsonObject) -> None:
    """What is followed in another way could hide work."""
    assert refused(definition).reason == Rule.SCHEMA_INVALID


def test_pointers_may_be_percent_encoded() -> None:
    """They are followed, and their work is counted."""
    defs: JsonObject = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/%61{n + 1}"}] * 2} for n in range(30)}
    assert refused({"$ref": "#/$defs/a0", "$defs": {**defs, "a30": {}}}).reason == Rule.SCHEMA_TOO_COMPLEX
    schema = {"$ref": "#/$defs/a%20b", "$defs": {"a b": {"required": ["x"]}}}
    assert compile_schema(schema).required == ("x",)
    assert answered(schema, {})


def test_a_schema_may_have_an_id_of_its_own() -> None:
    """At the top it changes nothing; and members may be called anything."""
    schema = {"$id": "https://example.org/s.json", "properties": {"id": {"type": "string"}, "$id": {}}}
    assert answered({**schema, "allOf": [{"$ref": "#/properties/id"}]}, {"id": 1})


def test_a_chain_of_references_does_not_exhaust_the_stack() -> None:
    """Two thousand in a row are too complex."""
    defs: JsonObject = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(1_900)}
    violation = refused({"$ref": "#/$defs/d0", "$defs": {**defs, "d1900": {}}})
    assert violation.reason == Rule.SCHEMA_TOO_COMPLEX


@pytest.mark.parametrize(
    ("items", "value"),
    [
        ({"type": "string"}, [1] * 400_000),
        ({"enum": list(range(2_000))}, [99_999] * 170_000),
        ({"enum": [None, *range(2_000)]}, [1_999] * 50_000),
        ({"anyOf": [{"const": n} for n in range(100)]}, [9_999] * 50_000),
        ({"anyOf": [{"const": n} for n in range(100)]}, [99] * 50_000 + [100]),
        ({"allOf": [{"not": {"pattern": f"x{n}$"}} for n in range(200)]}, ["abc"] * 100_000),
        ({"enum": [{"a": n} for n in range(1_900)]}, [{"a": 1_899}] * 10_000),
        ({"required": [f"k{n}" for n in range(3_000)]}, [{"a": 1}] * 50_000),
    ],
    ids=["type", "enum", "mixed", "anyOf", "late", "patterns", "objects", "required"],
)
def test_a_large_value_has_one_fault(items: JsonObject, value: list[Any]) -> None:
    """Half a million errors are not made to show a hundred."""
    (violation,) = answered({"properties": {"l": {"items": items}}}, {"l": value})
    assert len(violation.description) <= 300
    assert violation.field.startswith("input")


def test_the_fault_of_a_large_value_has_its_path() -> None:
    """The first one, also where members may be of several types."""
    name = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    schema = {"properties": {"l": {"items": {"properties": {"name": name, "n": {"type": "integer"}}}}}}
    good = {"name": None, "n": 1}
    for bad, path in (({"name": 2, "n": 1}, "name"), ({"name": "a", "n": "x"}, "n")):
        (violation,) = answered(schema, {"l": [good] * 9_000 + [bad]})
        assert violation.field == f"input.l[9000].{path}"
    assert not answered(schema, {"l": [good] * 20_000})


def test_long_lists_of_names_are_fine_for_long_lists() -> None:
    """Such as the codes of countries: a value is looked up."""
    schema = {"properties": {"l": {"items": {"enum": [f"code-{n}" for n in range(1_000)]}}}}
    assert not answered(schema, {"l": ["code-999"] * 80_000})


def test_faults_do_not_copy_a_large_value_many_times() -> None:
    """A thousand demands of one value that is a megabyte."""
    demands = {"allOf": [{"required": [f"x{n}"]} for n in range(900)]}
    (violation,) = answered(demands, {"s": "x" * 1_000_000})
    assert "x0" in violation.description or len(violation.description) == 300


@pytest.mark.parametrize(
    "definition",
    [
        {"properties": {f"p{n}": {"pattern": f"\\pL{{200}}{n}"} for n in range(600)}},
        {"properties": {f"p{n}": {"pattern": f"\\pL{{200}}{n}"} for n in range(400)}},
        {"patternProperties": {f"\\pL{{200}}{n}": {} for n in range(400)}},
        {"pattern": "(((a{1,99}){1,99}){1,99}){1,99}"},
        {"properties": {f"p{n}": {"pattern": "a" * 200} for n in range(100)}},
    ],
    ids=["many", "large", "names", "one", "long"],
)
def test_patterns_take_no_gigabytes(definition: JsonObject) -> None:
    """They are counted first, and what each may take depends on how many there are."""
    assert refused(definition).reason in {Rule.SCHEMA_TOO_COMPLEX, Rule.SCHEMA_INVALID}


def test_ordinary_patterns_are_compiled() -> None:
    """Also two hundred of them, with classes of all letters."""
    pattern = r"^[\w.-]{1,64}@[\w-]{1,63}(\.[\w-]{1,63})+$"
    schema = {"properties": {f"p{n}": {"pattern": pattern} for n in range(200)}}
    assert answered(schema, {"p7": "no"})[0].field == "input.p7"
    assert not answered(schema, {"p7": "ada@example.org"})


def test_small_values_are_checked_in_a_microsecond() -> None:
    """The guards cost an honest call nothing that could be measured."""
    schema = compile_schema({"properties": {"a": {"type": "string"}}, "required": ["a"]})
    started = time.process_time()
    for _ in range(2_000):
        schema.violations({"a": "b"})
    assert time.process_time() - started < 0.2
