"""What a filter asks for, understood. Every part is true or false of a record, never unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, unique
from typing import TypeAlias

__all__ = [
    "All",
    "Any",
    "Compare",
    "Negation",
    "Predicate",
    "Ref",
    "Test",
    "Value",
    "conjuncts",
    "rewrite",
    "tests_of",
]

Value: TypeAlias = str | int | float | bool | datetime | None


@unique
class Compare(StrEnum):
    """What is asked of a value. What is not there fails every test."""

    EQUAL = "EQUAL"
    LESS = "LESS"
    AT_MOST = "AT_MOST"
    GREATER = "GREATER"
    AT_LEAST = "AT_LEAST"
    PREFIX = "PREFIX"
    CONTAINS = "CONTAINS"
    PRESENT = "PRESENT"


@dataclass(frozen=True, slots=True)
class Ref:
    """Which value is meant."""

    field: str
    """Name of a field, or of a map of values."""
    key: str = ""
    """Which value of the map."""

    def __str__(self) -> str:
        return f"{self.field}.{self.key}" if self.key else self.field


@dataclass(frozen=True, slots=True)
class Test:
    """One test of one value."""

    __test__ = False  # no suite of tests, whatever pytest thinks

    ref: Ref
    """Of which."""
    compare: Compare
    """What is asked."""
    value: Value = None
    """With what it is compared; of the type of the field."""


@dataclass(frozen=True, slots=True)
class Negation:
    """What must not hold."""

    part: Predicate
    """That."""


@dataclass(frozen=True, slots=True)
class All:
    """Parts that must all hold; none: always true."""

    parts: tuple[Predicate, ...]
    """In their order."""


@dataclass(frozen=True, slots=True)
class Any:
    """Parts of which one must hold; none: never true."""

    parts: tuple[Predicate, ...]
    """In their order."""


Predicate: TypeAlias = Test | Negation | All | Any


def conjuncts(predicate: Predicate) -> Iterator[Predicate]:
    """Yield parts that must all hold, and that say the same together."""
    if isinstance(predicate, All):
        for part in predicate.parts:
            yield from conjuncts(part)
    else:
        yield predicate


def tests_of(predicate: Predicate) -> Iterator[Test]:
    """Yield every test."""
    match predicate:
        case Test():
            yield predicate
        case Negation():
            yield from tests_of(predicate.part)
        case All() | Any():
            for part in predicate.parts:
                yield from tests_of(part)


def rewrite(predicate: Predicate, change: Callable[[Test], Predicate]) -> Predicate:
    """Return the same with every test changed."""
    match predicate:
        case Test():
            return change(predicate)
        case Negation():
            return Negation(rewrite(predicate.part, change))
        case All() | Any():
            return replace(predicate, parts=tuple(rewrite(part, change) for part in predicate.parts))
