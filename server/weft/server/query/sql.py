"""A predicate as a condition of SQL: every value is a parameter, no text of a filter is in a statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from weft.server.query.keys import TEXT, key_of, successor
from weft.server.query.predicate import All, Any, Compare, Negation, Predicate, Test, Value

__all__ = ["POSTGRES", "SQLITE", "Column", "Dialect", "Parameters", "Table", "ValueTable", "condition"]

_SIGNS: Final = {
    Compare.EQUAL: "=",
    Compare.LESS: "<",
    Compare.AT_MOST: "<=",
    Compare.GREATER: ">",
    Compare.AT_LEAST: ">=",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs between databases."""

    placeholder: Callable[[int], str]
    """The mark of the n-th parameter, from 1."""
    contains: str
    """Whether ``{text}`` has ``{part}`` in it."""


SQLITE: Final = Dialect(placeholder=lambda number: f"?{number}", contains="instr({text}, {part}) > 0")
POSTGRES: Final = Dialect(placeholder=lambda number: f"${number}", contains="strpos({text}, {part}) > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Where a field is kept. Texts must sort by their code points (PostgreSQL: ``COLLATE "C"``)."""

    name: str
    """As it is written in a statement."""
    nullable: bool = False
    """Whether it may have no value."""
    encode: Callable[[Value], object] = lambda value: value
    """Makes what the column holds of a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueTable:
    """Where free values are kept: one row each, with the key of ``weft.server.query.keys``."""

    name: str
    """Of the table."""
    owner: str
    """Its column with the id of whose value it is."""
    key: str = "name"
    """Its column with the value's name."""
    value: str = "value"
    """Its column with the value's sort key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Where the records of a filter are kept."""

    id: str
    """The column with their id."""
    columns: Mapping[str, Column]
    """Where each field is."""
    maps: Mapping[str, ValueTable]
    """Where the values of each map are."""
    source: str = ""
    """What stands behind FROM."""
    indexed: frozenset[str] = frozenset()
    """Fields with an index by (their value, id)."""


class Parameters:
    """The parameters of one statement, in its order.

    Args:
        dialect: How they are marked.
        first: Those that stand before.
    """

    def __init__(self, dialect: Dialect, first: Sequence[object] = ()) -> None:
        self.dialect = dialect
        self.values: list[object] = list(first)

    def add(self, value: object) -> str:
        """Add a value; return its mark."""
        self.values.append(value)
        return self.dialect.placeholder(len(self.values))


def condition(predicate: Predicate, table: Table, parameters: Parameters) -> str:
    """Write a condition that is true or false for every row, never NULL."""
    match predicate:
        case Test():
            return _test(predicate, table, parameters)
        case Negation():
            return f"NOT {condition(predicate.part, table, parameters)}"
        case All():
            return _joined(predicate.parts, " AND ", "1 = 1", table, parameters)
        case Any():
            return _joined(predicate.parts, " OR ", "1 = 0", table, parameters)


def _joined(parts: Sequence[Predicate], word: str, nothing: str, table: Table, parameters: Parameters) -> str:
    written = word.join(condition(part, table, parameters) for part in parts)
    return f"({written or nothing})"


def _test(test: Test, table: Table, parameters: Parameters) -> str:
    if test.ref.key:
        values = table.maps[test.ref.field]
        inner = f"{values.key} = {parameters.add(test.ref.key)}"
        if tested := _of_value(test, values.value, parameters):
            inner += f" AND {tested}"
        # All names are of the table, none of the filter.
        return f"EXISTS (SELECT 1 FROM {values.name} WHERE {values.owner} = {table.id} AND {inner})"  # noqa: S608
    column = table.columns[test.ref.field]
    tested = _of_column(test, column, parameters)
    if column.nullable:
        there = f"{column.name} IS NOT NULL"
        return f"({there} AND {tested})" if tested else f"({there})"
    return f"({tested or '1 = 1'})"


def _of_column(test: Test, column: Column, parameters: Parameters) -> str:
    match test.compare:
        case Compare.PRESENT:
            return ""
        case Compare.PREFIX:
            return _begins(column.name, str(test.value), parameters)
        case Compare.CONTAINS:
            part = parameters.add(test.value)
            return parameters.dialect.contains.format(text=column.name, part=part)
        case _:
            return f"{column.name} {_SIGNS[test.compare]} {parameters.add(column.encode(test.value))}"


def _begins(name: str, prefix: str, parameters: Parameters) -> str:
    """Write that a text begins with a prefix, as a range, which an index serves."""
    if not prefix:
        return ""
    written = f"{name} >= {parameters.add(prefix)}"
    last = successor(prefix)
    return f"{written} AND {name} < {parameters.add(last)}" if last else written


def _of_value(test: Test, name: str, parameters: Parameters) -> str:
    if test.compare is Compare.PRESENT:
        return ""
    if test.compare is Compare.PREFIX:
        return _begins(name, TEXT + str(test.value), parameters)
    if test.compare is Compare.CONTAINS:
        texts = _begins(name, TEXT, parameters)
        tested = parameters.dialect.contains.format(
            text=f"substr({name}, 2)", part=parameters.add(test.value)
        )
        return f"{texts} AND {tested}"
    assert isinstance(test.value, str | int | float)
    key = key_of(test.value)
    tested = f"{name} {_SIGNS[test.compare]} {parameters.add(key)}"
    if test.compare is Compare.EQUAL:
        return tested
    return f"{tested} AND {_begins(name, key[0], parameters)}"  # of the same type only
