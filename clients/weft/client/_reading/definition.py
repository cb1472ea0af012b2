"""Messages of definitions as the records that have the same members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from weft.client import records
from weft.client._reading.fields import object_of, span_of
from weft.client._writing.enums import EnumNames
from weft.core.payload import from_value

__all__ = ["optional", "record"]

R = TypeVar("R", bound=records.Record)
Reader: TypeAlias = Callable[[Message, str], Any]
"""Takes a message, and the name of one of its fields."""

_RECORDS: Final[Mapping[str, type[records.Record]]] = {
    "ApprovalStep": records.ApprovalStep,
    "Branch": records.Branch,
    "Cache": records.StepCache,
    "ChildStep": records.ChildStep,
    "Compensation": records.Compensation,
    "Concurrency": records.Concurrency,
    "EmitStep": records.EmitStep,
    "ErrorHandler": records.ErrorHandler,
    "FailStep": records.FailStep,
    "LoopStep": records.LoopStep,
    "MapStep": records.MapStep,
    "ParallelStep": records.ParallelStep,
    "RetryPolicy": records.StepRetry,
    "SignalStep": records.SignalStep,
    "Step": records.Step,
    "StepDefaults": records.StepDefaults,
    "StepLimit": records.StepLimit,
    "SucceedStep": records.SucceedStep,
    "SwitchCase": records.SwitchCase,
    "SwitchStep": records.SwitchStep,
    "WaitStep": records.WaitStep,
}
"""The record of each message, by its name."""


def record(kind: type[R], message: Message) -> R:
    """Read a message as a record."""
    values = {name: read(message, field) for name, field, read in _members(message.DESCRIPTOR)}
    return kind(**values)


def optional(kind: type[R], message: Message, name: str) -> R | None:
    """Read a field as a record, if it is set."""
    return record(kind, getattr(message, name)) if message.HasField(name) else None


@cache
def _members(message: Descriptor) -> tuple[tuple[str, str, Reader], ...]:
    """Return the members of a message's record, their fields, and how these are read."""
    kind: Any = _RECORDS[message.name]
    names = [(member.name, member.name.rstrip("_")) for member in fields(kind)]
    return tuple((name, field, _reader(message.fields_by_name[field])) for name, field in names)


def _reader(field: FieldDescriptor) -> Reader:
    message, enum = field.message_type, field.enum_type
    if field.is_repeated:
        return _several(message)
    if message is not None:
        return _MESSAGES.get(message.full_name) or _one(_RECORDS[message.name])
    return _name_of(enum) if enum is not None else getattr


def _several(message: Descriptor | None) -> Reader:
    if message is None:
        return lambda holder, name: tuple(getattr(holder, name))
    kind = _RECORDS[message.name]
    return lambda holder, name: tuple(record(kind, item) for item in getattr(holder, name))


def _one(kind: type[records.Record]) -> Reader:
    return lambda holder, name: optional(kind, holder, name)


def _name_of(enum: EnumDescriptor) -> Reader:
    names = EnumNames((value.name, value.number) for value in enum.values)
    return lambda holder, name: names.name(getattr(holder, name))


def _value_of(holder: Message, name: str) -> Any:
    return from_value(getattr(holder, name), name) if holder.HasField(name) else None


_MESSAGES: Final[Mapping[str, Reader]] = {
    "weft.api.common.v1.Payload": object_of,
    "google.protobuf.Duration": span_of,
    "google.protobuf.Value": _value_of,
}
"""Messages that are plain values."""
