"""Pieces of JSON Schemas that messages are written with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weft.core.payload import JsonObject
from weft.mesh.dynamic._wellknown import DURATION_TEXT, TIMESTAMP_TEXT, WRAPPERS

__all__ = ["PATTERNS", "SPECIAL", "object_of", "or_null", "redirected"]


def object_of(properties: JsonObject, required: list[str]) -> JsonObject:
    """Return the schema of an object with these members and no others."""
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def or_null(schema: JsonObject) -> JsonObject:
    """Return a schema that takes null as well: that a field is not set."""
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return {**schema, "type": [kinds, "null"]}
    if isinstance(kinds, list):
        return {**schema, "type": [*kinds, "null"]}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def redirected(top: JsonObject, defs: JsonObject, name: str) -> JsonObject:
    """Let what refers to the message at the top refer to the top."""
    pending: list[Any] = [top, defs]
    while pending:
        node = pending.pop()
        if isinstance(node, dict) and node.get("$ref") == f"#/$defs/{name}":
            node["$ref"] = "#"
        pending.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
    return top


SPECIAL: Final[Mapping[str, JsonObject]] = {
    **{name: {} for name in WRAPPERS},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "anyOf": [{"required": ["@type"]}, {"maxProperties": 0}],
    },
    "google.protobuf.Duration": {"type": "string"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Value": {},
}
"""Messages with a JSON form of their own."""

PATTERNS: Final[Mapping[str, str]] = {
    "google.protobuf.Duration": DURATION_TEXT,
    "google.protobuf.Timestamp": TIMESTAMP_TEXT,
}
