"""Fields of messages as plain Python values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from weft.api.common.v1 import payload_pb2
from weft.core.payload import JsonObject, from_payload

__all__ = ["object_of", "span_of", "time_of"]


def time_of(message: Message, field: str) -> datetime | None:
    """Return a moment, if it is set."""
    value: Timestamp = getattr(message, field)
    return value.ToDatetime(UTC) if message.HasField(field) else None


def span_of(message: Message, field: str) -> timedelta | None:
    """Return a duration, if it is set."""
    value: Duration = getattr(message, field)
    return value.ToTimedelta() if message.HasField(field) else None


def object_of(message: Message, field: str) -> JsonObject | None:
    """Return a payload's object, if it is set."""
    value: payload_pb2.Payload = getattr(message, field)
    return from_payload(value, field) if message.HasField(field) else None
