"""Conversions that every servicer shares: times, durations, enums and optional payloads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Protocol, TypeVar

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.message import Message

from weft.api.common.v1 import payload_pb2
from weft.core.payload import JsonObject, PayloadKind, from_payload, to_payload

__all__ = [
    "duration",
    "enum_from_proto",
    "enum_to_proto",
    "optional_object",
    "set_object",
    "timestamp",
]

E = TypeVar("E", bound=StrEnum)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _EnumWrapper(Protocol):
    """What the generated class of an enum can do."""

    def Name(self, number: Any) -> str: ...  # noqa: N802 - protobuf's own name

    def Value(self, name: str) -> Any: ...  # noqa: N802 - protobuf's own name

    def values(self) -> Any: ...

    def __hash__(self) -> int: ...


def timestamp(moment: datetime | None) -> timestamp_pb2.Timestamp | None:
    """Carry a moment; nothing stays nothing."""
    if moment is None:
        return None
    seconds, micros = divmod((moment - _EPOCH) // _MICROSECOND, 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=micros * 1_000)


def duration(span: timedelta | None) -> duration_pb2.Duration | None:
    """Carry a duration; nothing stays nothing."""
    if span is None:
        return None
    message = duration_pb2.Duration()
    message.FromTimedelta(span)
    return message


def enum_to_proto(wrapper: _EnumWrapper, prefix: str, value: StrEnum) -> Any:
    """Return the number of ``PREFIX_VALUE``."""
    return wrapper.Value(f"{prefix}_{value}")


def enum_from_proto(wrapper: _EnumWrapper, prefix: str, kind: type[E], number: int) -> E | None:
    """Return the member of that number; None for UNSPECIFIED; ``Faults`` has refused unknown numbers."""
    return _members(wrapper, prefix, kind).get(number)


@cache
def _members(wrapper: _EnumWrapper, prefix: str, kind: type[E]) -> Mapping[int, E]:
    names = {number: wrapper.Name(number).removeprefix(f"{prefix}_") for number in wrapper.values()}
    return {number: kind(name) for number, name in names.items() if name in kind.__members__}


def optional_object(message: Message, field: str, path: str) -> JsonObject | None:
    """Read an optional payload; None when it is not set."""
    if not message.HasField(field):
        return None
    payload: payload_pb2.Payload = getattr(message, field)
    return from_payload(payload, path)


def set_object(value: Mapping[str, Any] | None, kind: PayloadKind) -> payload_pb2.Payload | None:
    """Carry an optional payload."""
    return None if value is None else to_payload(value, kind)
