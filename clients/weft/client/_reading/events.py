"""Entries of histories to records of plain JSON values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from weft.api.common.v1 import context_pb2, failure_pb2, payload_pb2
from weft.api.execution.v1 import execution_pb2
from weft.client._reading.execution import approval, context, failure, origin
from weft.client._reading.fields import time_of
from weft.client._writing import enums
from weft.client.records import Event
from weft.core.payload import JsonObject, from_payload

__all__ = ["event"]


def event(message: execution_pb2.Event, state: execution_pb2.ExecutionState.ValueType | None = None) -> Event:
    """Read an entry of a history, with where the execution stands after it."""
    kind = message.WhichOneof("kind")
    return Event(
        number=message.number,
        time=time_of(message, "time"),
        kind=kind or "",
        state=enums.EXECUTION_STATE.name(state) if state else "",
        data=_plain(getattr(message, kind)) if kind else {},
    )


def _plain(message: Message) -> JsonObject:
    """Read a message of plain fields and of the kinds in the tables below."""
    found: JsonObject = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            found[field.name] = list(value)
        elif field.enum_type is not None:
            found[field.name] = _ENUMS[field.enum_type.full_name].name(value)
        elif field.message_type is None:
            found[field.name] = value
        else:
            read = _MESSAGES[field.message_type.full_name]
            found[field.name] = read(value) if message.HasField(field.name) else None
    return found


_MESSAGES: dict[str, Callable[[Any], Any]] = {
    payload_pb2.Payload.DESCRIPTOR.full_name: from_payload,
    Duration.DESCRIPTOR.full_name: lambda span: span.ToTimedelta().total_seconds(),
    context_pb2.CallContext.DESCRIPTOR.full_name: lambda message: context(message).flat(),
    failure_pb2.Failure.DESCRIPTOR.full_name: lambda message: failure(message).to_dict(),
    execution_pb2.Origin.DESCRIPTOR.full_name: lambda message: origin(message).to_dict(),
    execution_pb2.Approval.DESCRIPTOR.full_name: lambda message: approval(message).to_dict(),
    Timestamp.DESCRIPTOR.full_name: lambda moment: moment.ToDatetime(UTC).isoformat(),
}


_ENUMS: dict[str, enums.EnumNames[Any]] = {
    execution_pb2.IncidentResolution.DESCRIPTOR.full_name: enums.INCIDENT_RESOLUTION,
    execution_pb2.WaitReason.DESCRIPTOR.full_name: enums.WAIT_REASON,
    execution_pb2.ExecutionState.DESCRIPTOR.full_name: enums.EXECUTION_STATE,
}
