"""What all records share: their plain form, and pages of them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from weft.core.context import CallContext
from weft.core.errors import Code
from weft.core.payload import JsonObject

T = TypeVar("T")

OMIT_EMPTY: Final = "omit_empty"
"""In the metadata of a field: its plain form leaves it out when it is empty."""

OMIT_NONE: Final = "omit_none"
"""In the metadata of a field: its plain form leaves it out when it is None."""

_AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})


class Record:
    """Base of every record."""

    __slots__ = ()

    def to_dict(self) -> JsonObject:
        """Return a JSON object: times in ISO 8601, durations as seconds, bytes in base64, unset null."""
        return as_dict(self)


@dataclass(frozen=True, slots=True)
class Page(Record, Generic[T]):
    """One page of a list."""

    items: tuple[T, ...]
    """What is on it."""
    next_page_token: str = ""
    """Ask for the page after with it; empty at the end."""
    total_size: int = 0
    """How many match on all pages."""
    total_size_is_minimum: bool = field(default=False, metadata={OMIT_EMPTY: True})
    """Whether there may be more: counting ends early. Not in ``to_dict()`` otherwise."""
    unreachable: tuple[str, ...] = field(default=(), metadata={OMIT_EMPTY: True})
    """Names of what belongs to this page and could not be read, where that was asked for."""


def as_dict(record: object, names: Mapping[str, str] = _AS_THEY_ARE) -> JsonObject:
    """Return a record as a JSON object.

    Args:
        record: A dataclass.
        names: Other names for some of its fields, and of the records within;
            the members of payloads keep theirs.
    """
    members: JsonObject = _plain(record, names)
    return members


def _plain(value: Any, names: Mapping[str, str]) -> Any:
    for kind, write in _LEAVES:
        if isinstance(value, kind):
            return write(value)
    if isinstance(value, list | tuple):
        return [_plain(item, names) for item in value]
    if is_dataclass(value):
        members = ((f, getattr(value, f.name)) for f in fields(value))
        return {
            names.get(f.name, f.name.rstrip("_")): _plain(member, names)
            for f, member in members
            if _is_shown(member, f.metadata)
        }
    return value


def _is_shown(member: object, metadata: Mapping[str, Any]) -> bool:
    if metadata.get(OMIT_NONE):
        return member is not None
    return bool(member) or not metadata.get(OMIT_EMPTY)


_LEAVES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (Code, lambda code: code.name),
    (datetime, datetime.isoformat),
    (timedelta, timedelta.total_seconds),
    (CallContext, CallContext.flat),
    (Mapping, dict),
    (bytes, lambda content: base64.b64encode(content).decode()),
)
"""Values that are no record, with their JSON form."""
