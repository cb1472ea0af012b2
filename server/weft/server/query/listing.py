"""Statements that list and count what a predicate selects, the newest first.

A page costs what its rows cost, however many there are: equality with an indexed
field, or with a free value, is a range of one index that ends in the id, and
everything else is looked for in a window of ids of bounded size.
"""

# ruff: noqa: S608 - names are those of the table, and every value is a parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from weft.server.query.keys import key_of
from weft.server.query.predicate import All, Compare, Predicate, Ref, Test, conjuncts
from weft.server.query.sql import Dialect, Parameters, Table, ValueTable, condition

__all__ = ["Listing", "Span", "Statement"]

_EVERYTHING: Final = All(())


class Statement(NamedTuple):
    """A statement with its parameters."""

    text: str
    """SQL."""
    parameters: list[object]
    """In their order."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of ids; empty ends are open."""

    low: str = ""
    """Not below this one."""
    high: str = ""
    """Below this one."""

    def below(self, key: str) -> Span:
        """Return the part below an id; all of it, when there is none."""
        return Span(self.low, min(self.high or key, key) if key else self.high)


class Listing:
    """The statements for one predicate.

    Args:
        table: What is listed.
        dialect: How it is written.
        predicate: What is selected; none: everything.
    """

    def __init__(self, table: Table, dialect: Dialect, predicate: Predicate | None) -> None:
        self._table = table
        self._dialect = dialect
        parts = [part for part in conjuncts(predicate or _EVERYTHING) if not self._is_certain(part)]
        self._driver = next((part for part in parts if isinstance(part, Test) and _is_value(part)), None)
        seeks = [part for part in parts if self._is_indexed(part)]
        self._seeks = [] if self._driver else seeks
        self._rest = [part for part in parts if part is not self._driver and part not in self._seeks]

    @property
    def indexed(self) -> bool:
        """Whether an index alone selects: nothing is read in vain."""
        return not self._rest

    def page(self, columns: str, span: Span, limit: int, skip: int = 0) -> Statement:
        """Select rows of a span, the newest first."""
        parameters = Parameters(self._dialect)
        body = self._body(parameters, span, rest=True)
        text = f"SELECT {columns} FROM {body} ORDER BY {self._id} DESC LIMIT {parameters.add(limit)}"
        if skip:
            text += f" OFFSET {parameters.add(skip)}"
        return Statement(text, parameters.values)

    def edge(self, span: Span, size: int) -> Statement:
        """Select the oldest id of a window of candidates of that size; no row: there are fewer."""
        parameters = Parameters(self._dialect)
        body = self._body(parameters, span, rest=False, row=False)
        offset = parameters.add(size - 1)
        return Statement(
            f"SELECT {self._id} FROM {body} ORDER BY {self._id} DESC LIMIT 1 OFFSET {offset}",
            parameters.values,
        )

    def count(self, span: Span) -> Statement:
        """Count the rows of a span."""
        parameters = Parameters(self._dialect)
        body = self._body(parameters, span, rest=True, row=not self.indexed)
        return Statement(f"SELECT count(*) FROM {body}", parameters.values)

    def beyond(self, span: Span, limit: int) -> Statement:
        """Select one row if a span has more than so many: half as dear as counting them."""
        parameters = Parameters(self._dialect)
        body = self._body(parameters, span, rest=True, row=not self.indexed)
        return Statement(f"SELECT 1 FROM {body} LIMIT 1 OFFSET {parameters.add(limit)}", parameters.values)

    def groups(self, by: Ref, span: Span, limit: int) -> Statement:
        """Count the rows of a span by a value, the largest groups first; who has none is in no group."""
        parameters = Parameters(self._dialect)
        if not by.key:
            column = self._table.columns[by.field].name
            body = self._body(parameters, span, rest=True, more=(f"{column} IS NOT NULL",))
        elif self._selects_all and not (span.low or span.high):
            values = self._table.maps[by.field]
            column, body = values.value, f"{values.name} WHERE {values.key} = {parameters.add(by.key)}"
        else:
            values = self._table.maps[by.field]
            column = f"grouped.{values.value}"
            join = f"JOIN {values.name} grouped ON grouped.{values.owner} = {self._table.id}"
            key = f"grouped.{values.key} = {parameters.add(by.key)}"
            body = self._body(parameters, span, rest=True, join=f"{join} AND {key}")
        text = f"SELECT {column}, count(*) FROM {body} GROUP BY {column} ORDER BY count(*) DESC, {column}"
        return Statement(f"{text} LIMIT {parameters.add(limit)}", parameters.values)

    @property
    def _selects_all(self) -> bool:
        return not (self._driver or self._seeks or self._rest)

    @property
    def _id(self) -> str:
        """The column to order by: that of the index that is read."""
        return f"driver.{self._values.owner}" if self._driver else self._table.id

    @property
    def _values(self) -> ValueTable:
        assert self._driver is not None
        return self._table.maps[self._driver.ref.field]

    def _is_certain(self, part: Predicate) -> bool:
        """Tell whether every row is so, as with ``id:*``."""
        if not isinstance(part, Test) or part.compare is not Compare.PRESENT or part.ref.key:
            return False
        return not self._table.columns[part.ref.field].nullable

    def _is_indexed(self, part: Predicate) -> bool:
        return (
            isinstance(part, Test) and part.compare is Compare.EQUAL and part.ref.field in self._table.indexed
        )

    def _body(
        self,
        parameters: Parameters,
        span: Span,
        *,
        rest: bool,
        row: bool = True,
        join: str = "",
        more: Sequence[str] = (),
    ) -> str:
        """Write everything from the table's name to the end of the conditions.

        Args:
            parameters: Where values go.
            span: Which ids.
            rest: With what no index serves.
            row: Whether the row itself is needed where the index of values leads to it.
            join: A table beside.
            more: Conditions without values.
        """
        source, wheres = self._table.source, list(more)
        if self._driver is not None:
            source = f"{self._values.name} driver"
            wheres += self._driven(self._driver, parameters)
            if row:
                # The order of a CROSS JOIN is kept: first the index of values, then the row of each.
                source += f" CROSS JOIN {self._table.source}"
                wheres.append(f"{self._table.id} = driver.{self._values.owner}")
        wheres += [condition(seek, self._table, parameters) for seek in self._seeks]
        if span.low:
            wheres.append(f"{self._id} >= {parameters.add(span.low)}")
        if span.high:
            wheres.append(f"{self._id} < {parameters.add(span.high)}")
        if rest:
            wheres += [condition(part, self._table, parameters) for part in self._rest]
        joined = f"{source} {join}".rstrip()
        return f"{joined} WHERE {' AND '.join(wheres)}" if wheres else joined

    def _driven(self, driver: Test, parameters: Parameters) -> list[str]:
        assert isinstance(driver.value, str | int | float)
        return [
            f"driver.{self._values.key} = {parameters.add(driver.ref.key)}",
            f"driver.{self._values.value} = {parameters.add(key_of(driver.value))}",
        ]


def _is_value(test: Test) -> bool:
    return bool(test.ref.key) and test.compare is Compare.EQUAL
