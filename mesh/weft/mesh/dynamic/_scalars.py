"""Single values by the rules of ProtoJSON: what is wrong with one, and the patterns of their texts."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from weft.core.names import closest
from weft.core.reasons import Rule

__all__ = [
    "BASE64_TEXT",
    "FLOAT_TEXT",
    "INTEGERS",
    "INTEGER_TEXT",
    "NULL_ENUM",
    "Fault",
    "kind_of",
    "scalar_fault",
    "shown",
    "text_fault",
]

Fault = tuple[str, Rule]
"""What is wrong, for a person, and the rule that is broken."""

INTEGER_TEXT: Final = "-?[0-9]{1,20}"
FLOAT_TEXT: Final = "-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?|NaN|-?Infinity"
BASE64_TEXT: Final = "[A-Za-z0-9+/_-]*={0,2}"
NULL_ENUM: Final = "google.protobuf.NullValue"

INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
"""The smallest and the largest of each type."""

_FLOATS: Final = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
_LARGEST_FLOAT: Final = 3.4028234663852886e38
_INT32: Final = INTEGERS[FieldDescriptor.CPPTYPE_INT32]
_NAMES_OF_NUMBERS: Final = frozenset({"NaN", "Infinity", "-Infinity"})

_is_integer_text: Final = re.compile(INTEGER_TEXT).fullmatch
_is_float_text: Final = re.compile(FLOAT_TEXT).fullmatch
_is_base64_text: Final = re.compile(BASE64_TEXT).fullmatch


def scalar_fault(field: FieldDescriptor, value: Any) -> Fault | None:
    """Return what is wrong with one value of a field that is no message."""
    kind = field.cpp_type
    if kind in INTEGERS:
        return _integer_fault(value, *INTEGERS[kind])
    if kind in _FLOATS:
        return _float_fault(value, single=kind == FieldDescriptor.CPPTYPE_FLOAT)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return None if isinstance(value, bool) else _mismatch(value, "true or false")
    if field.enum_type is not None:
        return _enum_fault(field.enum_type, value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes_fault(value)
    return text_fault(value)


def text_fault(value: Any) -> Fault | None:
    """Return what is wrong with a text."""
    if not isinstance(value, str):
        return _mismatch(value, "a text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "has a lone surrogate, so it is no text", Rule.SCHEMA_MISMATCH
    return None


def _integer_fault(value: Any, smallest: int, largest: int) -> Fault | None:
    if isinstance(value, str):
        value = int(value) if _is_integer_text(value) else value
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else value
    if not isinstance(value, int) or isinstance(value, bool):
        return _mismatch(value, "an integer")
    if smallest <= value <= largest:
        return None
    return f"is not in the range of {smallest} to {largest}", Rule.OUT_OF_RANGE


def _float_fault(value: Any, *, single: bool) -> Fault | None:
    if isinstance(value, str):
        if value in _NAMES_OF_NUMBERS:
            return None
        if not _is_float_text(value):
            return _mismatch(value, "a number")
    elif not isinstance(value, int | float) or isinstance(value, bool):
        return _mismatch(value, "a number")
    elif isinstance(value, float) and not math.isfinite(value):
        return 'has no JSON form as a number; write "NaN", "Infinity" or "-Infinity"', Rule.SCHEMA_MISMATCH
    try:
        size = abs(float(value))
    except OverflowError:
        size = math.inf
    if size <= _LARGEST_FLOAT or (not single and math.isfinite(size)):
        return None
    return f"is too large for a {'float' if single else 'double'}", Rule.OUT_OF_RANGE


def _bytes_fault(value: Any) -> Fault | None:
    if not isinstance(value, str):
        return _mismatch(value, "bytes as base64 text")
    if not _is_base64_text(value) or len(value.rstrip("=")) % 4 == 1:
        return "is no base64 text", Rule.SCHEMA_MISMATCH
    return None


def _enum_fault(enum: EnumDescriptor, value: Any) -> Fault | None:
    if isinstance(value, str):
        if value in enum.values_by_name:
            return None
        hint = closest(value, list(enum.values_by_name))
        return f"{shown(value)} is no value of {enum.full_name}; {hint}", Rule.SCHEMA_MISMATCH
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return _mismatch(value, f"the name of a value of {enum.full_name}")
    if enum.is_closed and value not in enum.values_by_number:
        return f"{value} is no number of a value of {enum.full_name}", Rule.SCHEMA_MISMATCH
    if _INT32[0] <= value <= _INT32[1]:
        return None
    return f"is not in the range of {_INT32[0]} to {_INT32[1]}", Rule.OUT_OF_RANGE


def shown(value: Any) -> str:
    """Write a value into a message, without its end when it is long."""
    text = repr(value) if isinstance(value, str | int | float) else kind_of(value)
    return text if len(text) <= 80 else text[:79] + "…"


def kind_of(value: Any) -> str:
    """Name the JSON type of a value."""
    names: dict[type[Any], str] = {dict: "an object", list: "an array", tuple: "an array", bool: "a boolean"}
    names |= {str: "a text", int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


def _mismatch(value: Any, wanted: str) -> Fault:
    got = shown(value) if isinstance(value, str | int | float) else kind_of(value)
    return f"is {got}, not {wanted}", Rule.SCHEMA_MISMATCH
