"""Search attributes: what a caller can find an execution by."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from google.protobuf import struct_pb2

from weft.core.errors import Violation
from weft.core.reasons import Rule
from weft.server.requests import Faults

__all__ = ["MAX_ATTRIBUTES", "MAX_VALUE_BYTES", "Attributes", "attribute_faults", "read_attributes"]

Attributes: TypeAlias = Mapping[str, str | float | bool]

MAX_ATTRIBUTES: Final = 64
MAX_VALUE_BYTES: Final = 2_048

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_SHOWN: Final = 80


def read_attributes(
    message: struct_pb2.Struct, faults: Faults, field: str = "search_attributes"
) -> dict[str, str | float | bool]:
    """Read search attributes, within their limits."""
    found: dict[str, str | float | bool] = {}
    for name, value in message.fields.items():
        kind = value.WhichOneof("kind")
        if kind in {"string_value", "number_value", "bool_value"}:
            found[name] = getattr(value, kind)
        else:
            faults.add(f"{field}.{name[:_SHOWN]}", "is neither text nor a number nor true or false")
    faults.extend(list(attribute_faults(found, field)))
    return found


def attribute_faults(attributes: Attributes, field: str) -> Iterator[Violation]:
    """Yield what is wrong with search attributes."""
    if len(attributes) > MAX_ATTRIBUTES:
        count = f"has {len(attributes):,} entries, at most {MAX_ATTRIBUTES} are allowed"
        yield Violation(field, count, Rule.TOO_MANY)
    for name, value in attributes.items():
        where = f"{field}.{name[:_SHOWN]}"
        if _NAME.fullmatch(name) is None:
            yield Violation(where, f"the name does not match {_NAME.pattern}", Rule.INVALID)
        if isinstance(value, str):
            yield from _text_faults(value, where)
        elif not math.isfinite(value):
            yield Violation(where, "is not a finite number", Rule.INVALID)


def _text_faults(text: str, where: str) -> Iterator[Violation]:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_VALUE_BYTES:
        yield Violation(where, f"has {size:,} bytes, at most {MAX_VALUE_BYTES:,} are allowed", Rule.TOO_LONG)
    if "\0" in text:
        yield Violation(where, "has the character U+0000", Rule.INVALID)
