"""What callers write, as messages: checked by one table per message, all faults at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from weft.api.common.v1 import context_pb2, payload_pb2
from weft.api.registry.v1 import registry_pb2
from weft.client._writing import enums
from weft.core.context import CallContext
from weft.core.definitions import is_list
from weft.core.errors import ValidationError, Violation
from weft.core.names import closest
from weft.core.payload import dumps, loads, to_payload, to_struct, to_value
from weft.core.reasons import Rule

M = TypeVar("M", bound=Message)
R = TypeVar("R")

Reader = Callable[[Any, str], Any]
"""Takes a value and its path; raises ``ValidationError``."""

ContextLike: TypeAlias = CallContext | Mapping[str, str | None]
"""A context, or a mapping: ``project_id``, ``request_id``, and everything else as its values."""

DurationLike: TypeAlias = timedelta | float
"""A duration, or its seconds."""

JSON: Final = payload_pb2.PAYLOAD_KIND_JSON
"""The kind in which payloads are sent and asked for: it is exact."""


def build(kind: Callable[..., M], table: Mapping[str, Reader], values: object, path: str = "") -> M:
    """Build a message from a mapping or a record; members that are None stay unset.

    Raises:
        ValidationError: A member is unknown or of another type; all are listed.
    """
    faults: list[Violation] = []
    known: dict[str, Any] = {}
    for key, value in _members(values, path).items():
        where = f"{path}.{key}" if path else str(key)
        if key not in table:
            hint = closest(str(key), list(table))
            faults.append(Violation(where, f"is no known field; {hint}", Rule.INVALID))
        elif value is not None:
            try:
                known[key] = table[key](value, where)
            except ValidationError as error:
                faults.extend(error.violations)
    if faults:
        raise ValidationError(faults)
    return kind(**known)


def _members(values: object, path: str) -> Mapping[Any, Any]:
    if isinstance(values, Mapping):
        return values
    if is_dataclass(values):
        return {f.name.rstrip("_"): getattr(values, f.name) for f in fields(values)}
    raise _mismatch(values, path, "an object")


def many(kind: Callable[..., M], table: Mapping[str, Reader]) -> Reader:
    """Return the reader of a sequence of such messages."""
    return each(lambda value, path: build(kind, table, value, path))


def one(kind: Callable[..., M], table: Mapping[str, Reader]) -> Reader:
    """Return the reader of one such message."""
    return lambda value, path: build(kind, table, value, path)


def each(read: Callable[[Any, str], R]) -> Callable[[Any, str], list[R]]:
    """Return the reader of a sequence."""

    def read_all(value: Any, path: str) -> list[R]:
        if not is_list(value):
            raise _mismatch(value, path, "a list")
        faults: list[Violation] = []
        found: list[R] = []
        for index, item in enumerate(value):
            try:
                found.append(read(item, f"{path}[{index}]"))
            except ValidationError as error:
                faults.extend(error.violations)
        if faults:
            raise ValidationError(faults)
        return found

    return read_all


def text(value: Any, path: str) -> str:
    """Take text."""
    if not isinstance(value, str):
        raise _mismatch(value, path, "text")
    return value


def binary(value: Any, path: str) -> bytes:
    """Take bytes."""
    if not isinstance(value, bytes):
        raise _mismatch(value, path, "bytes")
    return value


def flag(value: Any, path: str) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise _mismatch(value, path, "true or false")
    return value


def whole(value: Any, path: str) -> int:
    """Take an integer that fits the wire."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mismatch(value, path, "an integer")
    if not -(2**31) <= value < 2**31:
        raise ValidationError([Violation(path, f"{value} is out of range", Rule.OUT_OF_RANGE)])
    return value


def number(value: Any, path: str) -> float:
    """Take a number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _mismatch(value, path, "a number")
    return float(value)


def span(value: Any, path: str) -> Duration:
    """Take a duration, or its seconds."""
    found = Duration()
    found.FromTimedelta(duration(value, path))
    return found


def duration(value: Any, path: str) -> timedelta:
    """Take a duration, or its seconds."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _mismatch(value, path, "a duration or its seconds")
    if not math.isfinite(value) or abs(value) > _LONGEST:
        raise ValidationError([Violation(path, f"{value} s is out of range", Rule.OUT_OF_RANGE)])
    return timedelta(seconds=value)


_LONGEST: Final = timedelta(days=100 * 365).total_seconds()


def payload(value: Any, path: str) -> payload_pb2.Payload:
    """Take a JSON object."""
    if not isinstance(value, Mapping):
        raise _mismatch(value, path, "an object")
    return to_payload(dumps(value, path), JSON)


def struct(value: Any, path: str) -> Struct:
    """Take a JSON object, for a field that is free metadata."""
    if not isinstance(value, Mapping):
        raise _mismatch(value, path, "an object")
    return to_struct(loads(dumps(value, path), path))


def value(found: Any, path: str) -> Value:
    """Take any JSON value."""
    dumps({"": found}, path)
    return to_value(found)


def texts(value: Any, path: str) -> dict[str, str]:
    """Take an object of texts."""
    if not isinstance(value, Mapping):
        raise _mismatch(value, path, "an object")
    faults = [
        Violation(f"{path}.{key}", "is not text", Rule.INVALID)
        for key, item in value.items()
        if not isinstance(key, str) or not isinstance(item, str)
    ]
    if faults:
        raise ValidationError(faults)
    return dict(value)


def call_context(value: ContextLike | None, request_id: str = "") -> CallContext:
    """Take a context, or a mapping whose further keys are its values; a None among them is left out.

    Args:
        value: The context.
        request_id: The caller's own key of the request: the context's request
            id, where that has none.
    """
    found = _read_context(value)
    return replace(found, request_id=request_id) if request_id and not found.request_id else found


def _read_context(value: ContextLike | None) -> CallContext:
    if isinstance(value, CallContext):
        return value
    given = _members(value or {}, "context")
    known = texts({key: item for key, item in given.items() if item is not None}, "context")
    return CallContext(
        project_id=known.pop("project_id", ""), request_id=known.pop("request_id", ""), values=known
    )


def context_message(context: CallContext) -> context_pb2.CallContext:
    """Write a context."""
    return context_pb2.CallContext(
        project_id=context.project_id, request_id=context.request_id, values=context.values
    )


def paging(page_size: int, page_token: str, skip: int) -> dict[str, Any]:
    """Return the arguments that every list request has."""
    return {
        "page_size": whole(page_size, "page_size"),
        "page_token": text(page_token, "page_token"),
        "skip": whole(skip, "skip"),
    }


def mask(values: Mapping[str, object]) -> FieldMask:
    """Name the fields that a change sets."""
    return FieldMask(paths=[name.rstrip("_") for name, value in values.items() if value is not None])


def _mismatch(value: object, path: str, wanted: str) -> ValidationError:
    return ValidationError(
        [Violation(path, f"is of type {type(value).__name__}, not {wanted}", Rule.INVALID)]
    )


ACTION: Final[Mapping[str, Reader]] = {
    "name": text,
    "description": text,
    "input_schema": payload,
    "output_schema": payload,
    "idempotent": flag,
    "timeout": span,
    "grpc_method": text,
    "compensation": text,
}

SERVICE: Final[Mapping[str, Reader]] = {
    "name": text,
    "description": text,
    "endpoint": text,
    "actions": many(registry_pb2.Action, ACTION),
    "metadata": struct,
    "version": text,
    "descriptor_set": binary,
}

INSTANCE: Final[Mapping[str, Reader]] = {
    "id": text,
    "host": text,
    "port": whole,
    "protocol": enums.PROTOCOL.number,
    "weight": whole,
    "tags": each(text),
    "metadata": texts,
    "version": text,
    "zone": text,
    "ttl": span,
}
