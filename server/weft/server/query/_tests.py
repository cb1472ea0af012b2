"""One comparison of a filter, with its field and value understood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weft.core.names import closest
from weft.core.reasons import Rule
from weft.server.query._values import read_free, read_time, read_whole
from weft.server.query.fields import Field, Kind, Schema
from weft.server.query.predicate import Compare, Ref, Test, Value
from weft.server.query.tree import Comparison, Literal, Operator

__all__ = ["TestFault", "Tests"]

_COMPARES: Final = {
    Operator.EQUAL: Compare.EQUAL,
    Operator.NOT_EQUAL: Compare.EQUAL,
    Operator.LESS: Compare.LESS,
    Operator.AT_MOST: Compare.AT_MOST,
    Operator.GREATER: Compare.GREATER,
    Operator.AT_LEAST: Compare.AT_LEAST,
    Operator.HAS: Compare.CONTAINS,
}
_ORDER: Final = frozenset({Operator.LESS, Operator.AT_MOST, Operator.GREATER, Operator.AT_LEAST})
_NO_ORDER: Final = frozenset({Kind.WORD, Kind.ID})
_SHOWN: Final = 60


class TestFault(Exception):  # noqa: N818 - it never leaves this package
    """A comparison asks what cannot be asked.

    Args:
        at: How many characters stand before the fault.
        message: What is wrong there, for a person.
        rule: Which rule it breaks.
    """

    def __init__(self, at: int, message: str, rule: Rule = Rule.FILTER_VALUE_INVALID) -> None:
        super().__init__(message)
        self.at = at
        self.message = message
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Tests:
    """Makes tests of comparisons; ``!=`` is read as ``=``, to be negated by the caller."""

    schema: Schema
    """What can be named."""
    now: datetime
    """What ``now`` means."""

    def of(self, said: Comparison) -> Test:
        """Return what a comparison asks.

        Raises:
            TestFault: That cannot be asked.
        """
        name, dot, key = said.name.partition(".")
        if name in self.schema.maps:
            return self._of_map(said, name, key) if dot else _key_there(said)
        found = self.schema.fields.get(said.name)
        if found is None:
            known = [*self.schema.fields, *(f"{name}.…" for name in self.schema.maps)]
            message = f"there is no field {said.name[:_SHOWN]!r}; {closest(said.name, known)}"
            raise TestFault(said.at, message, Rule.FILTER_FIELD_UNKNOWN)
        return self._of_field(said, found)

    def _of_map(self, said: Comparison, name: str, key: str) -> Test:
        if "." in key:
            raise TestFault(said.at, f"{key[:_SHOWN]!r} names none of the {name}: it has a dot")
        value = _free(said.value)
        if isinstance(value, str):
            return _of_text(said, Ref(name, key))
        if said.operator is Operator.HAS:
            hint = f'{said.name}:"text" or {said.name}:*'
            raise TestFault(said.at, f"':' asks for a part of a text, or for anything: {hint}")
        if isinstance(value, bool) and said.operator in _ORDER:
            raise TestFault(said.at, f"true and false have no order; use {said.name} = {said.value.text}")
        return Test(Ref(name, key), _COMPARES[said.operator], value)

    def _of_field(self, said: Comparison, field: Field) -> Test:
        literal = said.value
        if said.operator is Operator.HAS and literal.prefix and not literal.text:
            return Test(Ref(said.name), Compare.PRESENT)
        if field.kind is Kind.TEXT:
            return _of_text(said, Ref(said.name))
        if literal.prefix:
            raise TestFault(literal.at, f"{said.name} is compared as a whole: leave the star out")
        if said.operator is Operator.HAS:
            raise TestFault(said.at, f"{said.name} has no parts; use {said.name} = …, or {said.name}:*")
        if said.operator in _ORDER and field.kind in _NO_ORDER:
            raise TestFault(said.at, f"{said.name} has no order; use = or !=")
        return Test(Ref(said.name), _COMPARES[said.operator], self._value(field, literal))

    def _value(self, field: Field, literal: Literal) -> Value:
        text = literal.text
        read: dict[Kind, Callable[[], Value]] = {
            Kind.ID: lambda: text,
            Kind.NUMBER: lambda: read_whole(text),
            Kind.TIME: lambda: read_time(text, self.now),
            Kind.WORD: lambda: _word(field, text),
        }
        try:
            return read[field.kind]()
        except ValueError as error:
            raise TestFault(literal.at, f"{text[:_SHOWN]!r} {error}") from None


def _key_there(said: Comparison) -> Test:
    """Read ``attributes:customer``."""
    literal = said.value
    if said.operator is not Operator.HAS or not literal.text or literal.prefix:
        message = f"name one of the {said.name}: {said.name}.customer = …, or {said.name}:customer"
        raise TestFault(said.at, message)
    return Test(Ref(said.name, literal.text), Compare.PRESENT)


def _of_text(said: Comparison, ref: Ref) -> Test:
    literal = said.value
    if said.operator is Operator.HAS and not literal.text:
        if literal.prefix:
            return Test(ref, Compare.PRESENT)
        raise TestFault(literal.at, f"every text has an empty one in it; use {said.name}:*")
    if not literal.prefix:
        return Test(ref, _COMPARES[said.operator], literal.text)
    if said.operator in {Operator.EQUAL, Operator.NOT_EQUAL}:
        return Test(ref, Compare.PREFIX, literal.text)
    raise TestFault(literal.at, "a star goes with = and != only; in quotes, \\* is a star")


def _free(literal: Literal) -> str | float | bool:
    if literal.quoted or literal.prefix:
        return literal.text
    try:
        return read_free(literal.text)
    except ValueError as error:
        raise TestFault(literal.at, f"{literal.text[:_SHOWN]!r} {error}") from None


def _word(field: Field, text: str) -> str:
    if text.upper() in field.words:
        return text.upper()
    hint = closest(text.upper(), list(field.words))
    raise ValueError(f"is not one of its values; {hint}")
