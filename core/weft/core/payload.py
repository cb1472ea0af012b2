"""JSON objects on the wire, at rest and in memory, with one set of limits.

In memory a payload is a ``dict`` as ``orjson`` reads it; at rest it is UTF-8
JSON text; on the wire it is ``weft.api.common.v1.Payload`` in the kind that the
caller chose.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson
from google.protobuf import struct_pb2

from weft.api.common.v1 import payload_pb2
from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = [
    "MAX_DEPTH",
    "MAX_PAYLOAD_BYTES",
    "MAX_STRUCT_BYTES",
    "UNSAID",
    "JsonObject",
    "PayloadKind",
    "dumps",
    "from_payload",
    "from_struct",
    "from_value",
    "kind_of",
    "loads",
    "plain_number",
    "prefer",
    "tight",
    "to_payload",
    "to_struct",
    "to_value",
]

JsonObject: TypeAlias = dict[str, Any]
PayloadKind: TypeAlias = payload_pb2.PayloadKind.ValueType

UNSAID: PayloadKind = payload_pb2.PAYLOAD_KIND_UNSPECIFIED
"""No kind asked for."""

MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_STRUCT_BYTES = 3 * 512 * 1024
"""Two Structs of this size fit into a message of 4 MiB: an execution has an input and a result."""

_EXACT = 2**53
"""Below it a double has every integer."""
_DEEP_OBJECT = "the value is deeper than {} levels"

_NO_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[^][{}"]+', re.DOTALL)
"""Strings, and everything else that is no bracket."""


def loads(data: bytes, field: str = "", *, limit: int = MAX_PAYLOAD_BYTES) -> JsonObject:
    """Parse JSON text of one object.

    Raises:
        ValidationError: It is no JSON object, not UTF-8, too large or too deep.
    """
    if len(data) > limit:
        raise _fault(field, f"{len(data):,} bytes are over the limit of {limit:,}", Rule.PAYLOAD_TOO_LARGE)
    if not data:
        return {}
    _check_depth(data, field)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _fault(field, f"is not JSON: {_why(data, error)}", Rule.PAYLOAD_INVALID) from None
    if not isinstance(value, dict):
        raise _fault(field, f"is a JSON {_json_type(value)}, not an object", Rule.PAYLOAD_INVALID)
    return value


def _why(data: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return f"it is no UTF-8 from byte {fault.start} on"
    return str(error)


def dumps(value: Mapping[str, Any], field: str = "", *, limit: int = MAX_PAYLOAD_BYTES) -> bytes:
    """Write an object as JSON text.

    Raises:
        ValidationError: It holds what JSON cannot say, or is too large or too deep.
    """
    try:
        data = orjson.dumps(value, default=_no_json_form)
    except (TypeError, RecursionError) as error:
        raise _fault(field, f"is not JSON: {error}", Rule.PAYLOAD_INVALID) from None
    if len(data) > limit:
        raise _fault(field, f"{len(data):,} bytes are over the limit of {limit:,}", Rule.PAYLOAD_TOO_LARGE)
    _check_depth(data, field)
    if b"null" in data:
        _check_finite(value, field)
    return tight(data)


def tight(text: bytes) -> bytes:
    """Return a text that was just written in no more memory than it takes.

    orjson leaves it in the buffer that it was written to, of 4 KiB or more: too much for what is kept.
    """
    return bytes(memoryview(text))


def _no_json_form(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _check_finite(value: object, field: str) -> None:
    """Refuse NaN and infinities, which the writer would turn into null."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, float):
            _number(item, field)
        elif isinstance(item, Mapping):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)


def _check_depth(data: bytes, field: str) -> None:
    """Refuse text that nests too deep, without parsing it: a parser's own limit is not ours."""
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _NO_BRACKETS.sub(b"", data):
        depth += 1 if bracket in b"{[" else -1
        if depth > MAX_DEPTH:
            raise _fault(field, _DEEP_OBJECT.format(MAX_DEPTH), Rule.PAYLOAD_TOO_DEEP)


def from_payload(payload: payload_pb2.Payload, field: str = "") -> JsonObject:
    """Read the object that a message carries; an unset payload is the empty object.

    Raises:
        ValidationError: As ``loads``; also for NaN and infinities in a Struct.
    """
    if payload.HasField("json"):
        return loads(payload.json, field)
    if not payload.HasField("struct"):
        return {}
    value = from_struct(payload.struct, field)
    dumps(value, field)
    return value


def to_payload(value: Mapping[str, Any] | bytes, kind: PayloadKind) -> payload_pb2.Payload:
    """Carry an object, or its JSON text, in the kind asked for.

    What would be over 1.5 MiB as a Struct is carried as JSON text.
    """
    if kind == payload_pb2.PAYLOAD_KIND_JSON:
        return payload_pb2.Payload(json=value if isinstance(value, bytes) else orjson.dumps(value))
    parsed = orjson.loads(value) if isinstance(value, bytes) else value
    payload = payload_pb2.Payload(struct=to_struct(parsed))
    if payload.ByteSize() <= MAX_STRUCT_BYTES:
        return payload
    return payload_pb2.Payload(json=value if isinstance(value, bytes) else orjson.dumps(value))


def kind_of(*payloads: payload_pb2.Payload, asked: PayloadKind = UNSAID) -> PayloadKind:
    """Tell which kind to answer in: that of the first payload that is set, else the one asked for."""
    for payload in payloads:
        if payload.HasField("json"):
            return payload_pb2.PAYLOAD_KIND_JSON
        if payload.HasField("struct"):
            return payload_pb2.PAYLOAD_KIND_STRUCT
    return prefer(asked)


def prefer(kind: PayloadKind) -> PayloadKind:
    """Return the kind a reader asked for, STRUCT when it did not say."""
    if kind == payload_pb2.PAYLOAD_KIND_JSON:
        return kind
    return payload_pb2.PAYLOAD_KIND_STRUCT


def from_struct(struct: struct_pb2.Struct, field: str = "") -> JsonObject:
    """Convert a Struct by hand: twice as fast as json_format, and with our limits.

    Numbers without a fraction become integers, as JSON has only one kind.
    """
    return _struct_object(struct, field, 1)


def from_value(value: struct_pb2.Value, field: str = "") -> Any:
    """Convert any JSON value, with the limits of an object; an unset one is None.

    Raises:
        ValidationError: As ``from_payload``.
    """
    item = _struct_value(value, field, 0)
    dumps({"": item}, field)
    return item


def to_value(item: Any) -> struct_pb2.Value:
    """Carry any JSON value; integers beyond 2^53 are rounded."""
    value = struct_pb2.Value()
    _fill(value, item)
    return value


def _struct_object(struct: struct_pb2.Struct, field: str, depth: int) -> JsonObject:
    if depth > MAX_DEPTH:
        raise _fault(field, _DEEP_OBJECT.format(MAX_DEPTH), Rule.PAYLOAD_TOO_DEEP)
    return {key: _struct_value(value, field, depth) for key, value in struct.fields.items()}


def _struct_value(value: struct_pb2.Value, field: str, depth: int) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        return _number(value.number_value, field)
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return _struct_object(value.struct_value, field, depth + 1)
    if kind == "list_value":
        if depth >= MAX_DEPTH:
            raise _fault(field, _DEEP_OBJECT.format(MAX_DEPTH), Rule.PAYLOAD_TOO_DEEP)
        return [_struct_value(item, field, depth + 1) for item in value.list_value.values]
    return None


def plain_number(number: float) -> int | float:
    """Return an integer where a double is one, as JSON says it; minus zero is none: it has a sign."""
    exact = number.is_integer() and abs(number) < _EXACT
    return int(number) if exact and (number or math.copysign(1, number) > 0) else number


def _number(number: float, field: str) -> int | float:
    if math.isfinite(number):
        return plain_number(number)
    raise _fault(field, f"{number} has no JSON form", Rule.PAYLOAD_INVALID)


def to_struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """Convert an object to a Struct; integers beyond 2^53 are rounded, as Struct has only doubles."""
    struct = struct_pb2.Struct()
    for key, item in value.items():
        _fill(struct.fields[key], item)
    return struct


def _fill(target: struct_pb2.Value, item: Any) -> None:
    if item is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(item, bool):
        target.bool_value = item
    elif isinstance(item, str):
        target.string_value = item
    elif isinstance(item, int | float):
        target.number_value = float(item)
    elif isinstance(item, Mapping):
        target.struct_value.SetInParent()
        for key, inner in item.items():
            _fill(target.struct_value.fields[key], inner)
    else:
        target.list_value.SetInParent()
        for inner in item:
            _fill(target.list_value.values.add(), inner)


def _json_type(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def _fault(field: str, description: str, rule: Rule) -> ValidationError:
    return ValidationError([Violation(field, description, rule)])
