"""Which fields a filter may name, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

__all__ = ["Field", "Kind", "Schema"]


@unique
class Kind(StrEnum):
    """The type of a field."""

    TEXT = "text"
    WORD = "word"
    """One of a few words; capitals or not is the same."""
    ID = "id"
    """Text that is only compared as a whole."""
    NUMBER = "number"
    """A whole number."""
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field."""

    kind: Kind
    """Its type."""
    words: tuple[str, ...] = ()
    """The values of a WORD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a filter is checked against."""

    fields: Mapping[str, Field]
    """By name."""
    maps: tuple[str, ...] = ()
    """Names of fields that hold free values by key: text, numbers and booleans."""
