"""Payloads inside of steps: readable for every reader, however deep the step stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weft.api.common.v1 import payload_pb2
from weft.core.payload import JsonObject, PayloadKind
from weft.server.protos import set_object

__all__ = ["nested_object"]

_DEEP: Final = 20
"""A Struct that is deeper is carried as JSON text: readers of protobuf take 100 messages in each
other, a level of a Struct is three, and a step in eight lists has two dozen around it."""


def nested_object(value: JsonObject | None, kind: PayloadKind) -> payload_pb2.Payload | None:
    """Carry an optional payload of a step in the kind asked for, unless it is too deep for that."""
    if value is not None and _deeper(value, _DEEP):
        return set_object(value, payload_pb2.PAYLOAD_KIND_JSON)
    return set_object(value, kind)


def _deeper(value: Mapping[str, Any], levels: int) -> bool:
    pending: list[Any] = [value]
    for _ in range(levels):
        pending = [inner for item in pending for inner in _inside(item)]
        if not pending:
            return False
    return True


def _inside(value: object) -> list[Any]:
    found = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [item for item in found if isinstance(item, Mapping | list | tuple)]
