"""The messages of Google that have a JSON form of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from weft.core.reasons import Rule
from weft.mesh.dynamic._scalars import NULL_ENUM, Fault, shown

__all__ = [
    "DURATION_TEXT",
    "TEXTS",
    "TIMESTAMP_TEXT",
    "WRAPPERS",
    "entry_of",
    "has_null_elements",
    "is_map",
    "is_nullable",
    "is_special",
    "text_form_fault",
]

TIMESTAMP_TEXT: Final = (
    "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?"
    "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
DURATION_TEXT: Final = "-?[0-9]{1,12}(\\.[0-9]{1,9})?s"
WRAPPERS: Final = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
)

TEXTS: Final[Mapping[str, tuple[Any, str, str]]] = {
    "google.protobuf.Timestamp": (Timestamp, TIMESTAMP_TEXT, "a time such as 2026-01-31T08:00:00Z"),
    "google.protobuf.Duration": (Duration, DURATION_TEXT, "a duration such as 1.5s"),
    "google.protobuf.FieldMask": (FieldMask, ".*", "a field mask such as userName,address.city"),
}
"""Messages that are written as a text."""
_OTHERS: Final = frozenset(
    {"google.protobuf.Any", "google.protobuf.ListValue", "google.protobuf.Struct", "google.protobuf.Value"}
)


def is_special(descriptor: Descriptor) -> bool:
    """Tell whether a message has a JSON form of its own."""
    name = descriptor.full_name
    return name in TEXTS or name in WRAPPERS or name in _OTHERS


def is_map(field: FieldDescriptor) -> bool:
    """Tell whether a field is a map."""
    kind = field.message_type
    return kind is not None and kind.has_options and bool(kind.GetOptions().map_entry)


def is_nullable(field: FieldDescriptor) -> bool:
    """Tell whether null is one of the values of a field's type."""
    if field.message_type is not None:
        return bool(field.message_type.full_name == "google.protobuf.Value")
    return field.enum_type is not None and field.enum_type.full_name == NULL_ENUM


def has_null_elements(field: FieldDescriptor) -> bool:
    """Tell whether null may be an element, so that it cannot be the absence of the list."""
    return field.is_repeated and is_nullable(field)


def entry_of(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor]:
    """Return the fields of a map's keys and values."""
    entry = field.message_type
    assert entry is not None
    return entry.fields_by_name["key"], entry.fields_by_name["value"]


def text_form_fault(kind: str, value: Any) -> Fault | None:
    """Return what is wrong with the text of such a message."""
    message, pattern, example = TEXTS[kind]
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        return f"is {shown(value)}, not {example}", Rule.SCHEMA_MISMATCH
    try:
        message().FromJsonString(value)
    except (ValueError, OverflowError):
        return f"{shown(value)} is no valid {kind}", Rule.SCHEMA_MISMATCH
    return None
