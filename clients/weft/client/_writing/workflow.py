"""Definitions of workflows as messages: what a field takes follows from the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from weft.api.workflow.v1 import workflow_pb2
from weft.client._writing import fields as write
from weft.client._writing.enums import EnumNames
from weft.core.definitions import STEP_KINDS, member, too_large
from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["DEFINITION", "workflow"]

DEFINITION: Final = (
    "name",
    "description",
    "steps",
    "metadata",
    "input_schema",
    "output_schema",
    "timeout",
    "concurrency",
    "finally",
    "defaults",
    "retention",
    "search_attributes",
    "labels",
)
"""What of a workflow its author says."""


def workflow(values: Mapping[str, object]) -> workflow_pb2.Workflow:
    """Make the message of a definition; a name that Python has for itself may end in ``_``.

    Raises:
        ValidationError: Every member that is unknown or of another type.
    """
    said = {name.rstrip("_"): value for name, value in values.items()}
    fault = too_large(said)
    if fault is not None:
        raise ValidationError([fault])
    table = {
        name: reader
        for name, reader in _table(workflow_pb2.Workflow.DESCRIPTOR).items()
        if name in DEFINITION
    }
    return write.build(workflow_pb2.Workflow, table, said)


@cache
def _table(kind: Descriptor) -> Mapping[str, write.Reader]:
    return {field.name: _reader(field) for field in kind.fields}


def _reader(field: FieldDescriptor) -> write.Reader:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return write.texts
    read = _single(field)
    return write.each(read) if field.is_repeated else read


def _single(field: FieldDescriptor) -> write.Reader:
    if field.message_type is not None:
        return _MESSAGES.get(field.message_type.full_name) or _message(field.message_type)
    if field.enum_type is not None:
        return _choice(field.enum_type)
    return _SCALARS[field.type]


def _message(kind: Descriptor) -> write.Reader:
    """Return the reader of a message; its table is looked up when it is used, as steps hold steps."""
    make = cast("Callable[..., Message]", GetMessageClass(kind))

    def read(value: Any, path: str) -> Message:
        if kind is workflow_pb2.Step.DESCRIPTOR:
            _check_kinds(value, path)
        return write.build(make, _table(kind), value, path)

    return read


def _check_kinds(step: object, path: str) -> None:
    said = [kind for kind in STEP_KINDS if member(step, kind) is not None]
    if len(said) > 1:
        raise ValidationError(
            [Violation(path, f"is {' and '.join(said)}; a step is one of them", Rule.INVALID)]
        )


def _choice(kind: EnumDescriptor) -> write.Reader:
    names = EnumNames((value.name, value.number) for value in kind.values)

    def read(value: Any, path: str) -> int:
        return names.optional(write.text(value, path), path)

    return read


_MESSAGES: Final[Mapping[str, write.Reader]] = {
    "weft.api.common.v1.Payload": write.payload,
    "google.protobuf.Duration": write.span,
    "google.protobuf.Struct": write.struct,
    "google.protobuf.Value": write.value,
}

_SCALARS: Final[Mapping[int, write.Reader]] = {
    FieldDescriptor.TYPE_STRING: write.text,
    FieldDescriptor.TYPE_BOOL: write.flag,
    FieldDescriptor.TYPE_INT32: write.whole,
    FieldDescriptor.TYPE_INT64: write.whole,
    FieldDescriptor.TYPE_DOUBLE: write.number,
}
