"""What schemas say for certain about members."""

from __future__ import annotations

from typing import Any

import pytest

from weft.core.schema import compile_schema
from weft.server.workflow.checks.basis.compat import Types, allows_objects, disjoint
from weft.server.workflow.checks.basis.shapes import Shape

DEFS = {
    "$defs": {
        "Text": {"type": "string"},
        "Loop": {"$ref": "#/$defs/Loop"},
        "a/b~c": {"type": "null"},
        "Both": {"anyOf": [{"$ref": "#/$defs/Text"}, {"type": "null"}]},
    }
}


@pytest.mark.parametrize(
    ("some", "other", "excluded"),
    [
        ({"type": "string"}, {"type": "integer"}, True),
        ({"type": "string"}, {"type": "string"}, False),
        ({"type": "integer"}, {"type": "number"}, False),
        ({"type": "number"}, {"type": "integer"}, False),
        ({"const": 1.5}, {"type": "integer"}, True),
        ({"const": 2.0}, {"type": "integer"}, False),
        ({"type": ["string", "null"]}, {"type": "null"}, False),
        ({"type": ["string", "null"]}, {"type": ["object", "array"]}, True),
        ({}, {"type": "string"}, False),
        (True, {"type": "string"}, False),
        (False, {"type": "string"}, False),
        ({"enum": ["a", "b"]}, {"type": "integer"}, True),
        ({"enum": ["a", 1]}, {"type": "integer"}, False),
        ({"enum": [True]}, {"type": "integer"}, True),
        ({"$ref": "#/$defs/Text"}, {"type": "boolean"}, True),
        ({"$ref": "#/$defs/Text"}, {"type": "string"}, False),
        ({"$ref": "#/$defs/a~1b~0c"}, {"type": "string"}, True),
        ({"$ref": "#/$defs/Both"}, {"type": "null"}, False),
        ({"$ref": "#/$defs/Both"}, {"type": "array"}, True),
        ({"$ref": "#/$defs/Loop"}, {"type": "array"}, False),
        ({"$ref": "#/$defs/Nobody"}, {"type": "array"}, False),
        ({"$ref": "#anchor"}, {"type": "array"}, False),
        ({"$ref": "#/$defs/Text", "type": "integer"}, {"type": "string"}, False),
        ({"oneOf": [{"type": "string"}, {"minimum": 1}]}, {"type": "array"}, False),
        ({"allOf": [{"type": ["string", "null"]}, {"type": "string"}]}, {"type": "null"}, True),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, {"type": "array"}, False),
        ({"not": {"type": "string"}}, {"type": "string"}, False),
        ({"if": {"type": "string"}, "then": {"type": "null"}}, {"type": "string"}, False),
        ({"$id": "https://x/y", "$ref": "#/$defs/Text"}, {"type": "null"}, False),
    ],
)
def test_types_exclude_each_other_only_when_that_is_certain(some: Any, other: Any, excluded: bool) -> None:  # noqa: FBT001 - a column of the table
    """An integer is a number; what cannot be told for sure counts as fitting. It works both ways."""
    types = Types(DEFS)
    assert disjoint(types.of(some), types.of(other)) is excluded
    assert disjoint(types.of(other), types.of(some)) is excluded


@pytest.mark.parametrize(
    ("definition", "strict", "vague", "lacks"),
    [
        ({}, False, True, False),
        ({"properties": {"a": {}}}, False, False, True),
        ({"properties": {"a": {}}, "additionalProperties": False}, True, False, True),
        ({"additionalProperties": False}, True, False, True),
        ({"properties": {"a": {}}, "required": ["x"]}, False, False, False),
        ({"properties": {"a": {}}, "allOf": [{"properties": {"x": {}}}]}, False, True, False),
        ({"properties": {"a": {}}, "allOf": [{}], "additionalProperties": False}, True, False, True),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, False, True, False),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {}}}}}, False, False, True),
        ({"$ref": "#/$defs/A", "allOf": [{}], "$defs": {"A": {"properties": {"a": {}}}}}, False, True, False),
    ],
)
def test_a_shape_knows_how_much_it_knows(definition: Any, strict: bool, vague: bool, lacks: bool) -> None:  # noqa: FBT001 - columns of the table
    """Members that are not named are impossible, or unlikely, or to be expected."""
    shape = Shape.of_schema(compile_schema(definition))
    assert (shape.strict, shape.vague, shape.lacks("x")) == (strict, vague, lacks)


@pytest.mark.parametrize(
    ("definition", "allowed"),
    [({}, True), ({"type": "array"}, False), ({"enum": [1]}, False), ({"type": ["null", "object"]}, True)],
)
def test_a_schema_may_exclude_objects(definition: Any, allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    """A workflow's schemas are about objects."""
    assert allows_objects(compile_schema(definition)) is allowed


def test_references_that_multiply_are_looked_at_once() -> None:
    """A chain of definitions that each name the next twice takes no time."""
    defs: dict[str, Any] = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)
    }
    root = {"$defs": {**defs, "d40": {"type": "string"}}}
    assert "string" in Types(root).of({"$ref": "#/$defs/d0"})
