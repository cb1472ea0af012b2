"""Fields of messages as plain Python values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from weft.api.common.v1 import payload_pb2
from weft.core.payload import JsonObject, from_payload

__all__ = ["object_of", "span_of", "time_of"]


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(message: Message, field: str) -> datetime | None:
    """Return a moment, if it is set; an answer has many, and ``ToDatetime`` takes long."""
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)


def span_of(message: Message, field: str) -> timedelta | None:
    """Return a duration, if it is set."""
    if not message.HasField(field):
        return None
    value: Duration = getattr(message, field)
    return value.ToTimedelta()


def object_of(message: Message, field: str) -> JsonObject | None:
    """Return a payload's object, if it is set."""
    if not message.HasField(field):
        return None
    value: payload_pb2.Payload = getattr(message, field)
    return from_payload(value, field)
