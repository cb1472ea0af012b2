"""Random messages of any type, and random JSON values close to what a schema takes."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from weft.core.schema import resolve_local

__all__ = ["JSON", "messages", "near"]

F = FieldDescriptor
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    F.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    F.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    F.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    F.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    F.CPPTYPE_DOUBLE: st.floats(allow_nan=False) | st.just(math.nan),
    F.CPPTYPE_FLOAT: st.floats(-(2.0**127), 2.0**127, width=32)
    | st.sampled_from([math.inf, -math.inf, math.nan]),
    F.CPPTYPE_BOOL: st.booleans(),
    F.CPPTYPE_STRING: st.text(max_size=8),
}
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-(2.0**200), 2.0**200)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
"""Any JSON value."""

_MASK = st.lists(st.sampled_from(["a", "ab_cd", "x.y_z"]), max_size=3)


def scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        numbers = st.sampled_from(sorted(field.enum_type.values_by_number))
        open_enum = not field.enum_type.is_closed and field.enum_type.name != "NullValue"
        return numbers | st.integers(3, 99) if open_enum else numbers
    if field.type == F.TYPE_BYTES:
        return st.binary(max_size=9)
    return _SCALARS[field.cpp_type]


@st.composite
def messages(draw: st.DrawFn, kind: Descriptor, depth: int = 3) -> Message:
    """Draw a message of a type, by its fields rather than from JSON."""
    message: Any = GetMessageClass(kind)()
    name = kind.full_name
    if name == "google.protobuf.Timestamp":
        message.seconds = draw(st.integers(-62135596800, 253402300799))
        message.nanos = draw(st.integers(0, 999_999_999))
    elif name == "google.protobuf.Duration":
        message.seconds = draw(st.integers(0, 315_576_000_000))
        message.nanos = draw(st.integers(0, 999_999_999))
    elif name == "google.protobuf.FieldMask":
        message.paths.extend(draw(_MASK))
    elif name == "google.protobuf.Struct":
        message.update(draw(st.dictionaries(st.text(max_size=5), JSON, max_size=3)))
    elif name == "google.protobuf.ListValue":
        message.extend(draw(st.lists(JSON, max_size=3)))
    elif name == "google.protobuf.Value":
        message.string_value = draw(st.text(max_size=5))
    elif name == "google.protobuf.Any":
        leaf = kind.file.pool.FindMessageTypeByName("kinds.v1.Leaf")
        message.Pack(draw(messages(leaf)))
    else:
        for field in kind.fields:
            if draw(st.integers(0, 3)) == 0:
                _set(draw, message, field, depth)
    return message  # type: ignore[no-any-return]  # made at run time


def _set(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    kind = field.message_type
    if kind is not None and depth == 0:
        return
    if kind is not None and kind.GetOptions().map_entry:
        key = draw(scalar(kind.fields_by_name["key"]))
        value = kind.fields_by_name["value"]
        target = getattr(message, field.name)
        if value.message_type is not None:
            target[key].CopyFrom(draw(messages(value.message_type, depth - 1)))
        else:
            target[key] = draw(scalar(value))
    elif field.is_repeated:
        items = messages(kind, depth - 1) if kind is not None else scalar(field)
        getattr(message, field.name).extend(draw(st.lists(items, max_size=2)))
    elif kind is not None:
        getattr(message, field.name).CopyFrom(draw(messages(kind, depth - 1)))
    else:
        setattr(message, field.name, draw(scalar(field)))


_EXAMPLES = {
    "date-time": st.sampled_from(["2026-01-31T08:00:00Z", "1999-12-31T23:59:59.5+01:00"]),
    "base64": st.sampled_from(["", "QQ==", "QQ", "-_-_"]),
}


@st.composite
def near(draw: st.DrawFn, root: dict[str, Any], node: Any = None, depth: int = 4) -> Any:
    """Draw a value that a schema takes, or now and then one that is off at one place."""
    node = root if node is None else node
    if draw(st.integers(0, 60)) == 0:
        return draw(JSON)
    while "$ref" in node or ("anyOf" in node and "properties" not in node):
        node = resolve_local(root, node["$ref"]) if "$ref" in node else draw(st.sampled_from(node["anyOf"]))
    kinds = node.get("type", [])
    kind = draw(st.sampled_from(kinds)) if isinstance(kinds, list) and kinds else kinds
    if kind == "object":
        return draw(_near_object(root, node, depth))
    if kind == "array":
        items = node.get("items", {})
        return [draw(near(root, items, depth - 1)) for _ in range(draw(st.integers(0, 2)) if depth else 0)]
    return draw(_near_scalar(node, kind))


@st.composite
def _near_object(draw: st.DrawFn, root: dict[str, Any], node: dict[str, Any], depth: int) -> Any:
    made: dict[str, Any] = {}
    for name, inner in node.get("properties", {}).items():
        if name in node.get("required", ()) or (depth and draw(st.integers(0, 7)) == 0):
            made[name] = draw(near(root, inner, depth - 1))
    others = node.get("additionalProperties")
    if isinstance(others, dict) and depth and draw(st.booleans()):
        names = node.get("propertyNames", {})
        key = st.sampled_from(names["enum"]) if "enum" in names else st.sampled_from(["0", "7", "-1"])
        made[draw(key)] = draw(near(root, others, depth - 1))
    return made


def _near_scalar(node: dict[str, Any], kind: Any) -> st.SearchStrategy[Any]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if kind == "string":
        known = _EXAMPLES.get(node.get("format", node.get("contentEncoding", "")))
        if known is None and "pattern" in node:
            pattern = node["pattern"].replace("$", r"\Z")
            return st.from_regex(pattern, alphabet=st.characters(codec="ascii"))
        return st.text(max_size=5) if known is None else known
    plain = {
        "integer": st.integers(node.get("minimum", -(2**63)), node.get("maximum", 2**63 - 1)),
        "number": st.floats(-(2.0**100), 2.0**100),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return plain[kind] if kind else JSON
