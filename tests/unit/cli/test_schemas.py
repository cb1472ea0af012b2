"""JSON Schemas in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from weft.cli._services.schemas import summary


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (None, "any"),
        ({}, "any"),
        ({"type": "object"}, "any"),
        ({"properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, "a*: string, b: any"),
        ({"additionalProperties": {"type": "string"}}, "…: string"),
        ({"properties": {}, "additionalProperties": False}, "nothing"),
        ({"properties": {"a": {"type": "array", "items": {"type": "integer"}}}}, "a: integer[]"),
        ({"properties": {"a": {"type": ["string", "null"]}}}, "a: string?"),
        ({"properties": {"a": {"anyOf": [{"type": "number"}, {"type": "null"}]}}}, "a: number?"),
        ({"properties": {"a": {"$ref": "#/$defs/shop.v1.Money"}}}, "a: Money"),
        ({"properties": {"a_b": {}, "aB": {"$ref": "#/properties/a_b"}}}, "a_b: any"),
        ({"properties": {"a": True}}, "a: any"),
        ({"properties": "odd", "required": "odd"}, "any"),
    ],
)
def test_a_schema_in_a_few_words(schema: dict[str, Any] | None, text: str) -> None:
    """Each member has its type, and a star when it is needed; what a schema does not say is any."""
    assert summary(schema) == text
