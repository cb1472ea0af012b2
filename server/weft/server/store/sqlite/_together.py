"""Units of work that are done for many at once, in few statements.

The module ``sqlite3`` lets go of the interpreter for each statement, and for each row
of ``executemany``, and then waits until the event loop lets go of it in turn. A
statement of many rows is one such wait: beside a busy event loop that is what a
commit takes longest for.
"""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, Generic, TypeVar

__all__ = ["Together", "write_rows"]

T = TypeVar("T")

_MOST_ROWS: Final = 64
"""In one statement."""
_STEP: Final = 16
"""Statements of more rows than that have a multiple of it, as each size is kept prepared."""

_VALUES: Final = re.compile(r"VALUES (\([^)]*\))")

Row = Sequence[object]


class Together(ABC, Generic[T]):
    """A unit of work of a kind that is done for many at once; alone it is a unit like any other.

    Args:
        result: What it gives when it was done with others.
    """

    __slots__ = ("result",)

    def __init__(self, result: T) -> None:
        self.result = result

    @classmethod
    def group(cls) -> type[Together[Any]]:
        """Return whose ``all_at_once`` does works of this kind: those of one group are done together."""
        return cls

    @abstractmethod
    def __call__(self, connection: sqlite3.Connection) -> T:
        """Do it alone."""

    @staticmethod
    @abstractmethod
    def all_at_once(connection: sqlite3.Connection, works: Sequence[Any]) -> bool:
        """Do all of them, which are of its group; False: some cannot be done so, and all is to be undone."""


def write_rows(connection: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> int:
    """Write rows, and return how many were.

    Args:
        connection: Where.
        statement: Writes one row: the only one that its ``VALUES`` has.
        rows: The parameters of each.
    """
    written = 0
    for part in _parts(rows):
        sql = statement if len(part) == 1 else _of_many(statement, len(part))
        values: tuple[Any, ...] = tuple(chain.from_iterable(part))
        written += connection.execute(sql, values).rowcount
    return written


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    begin = 0
    while left := len(rows) - begin:
        size = left if left <= _STEP else min(_MOST_ROWS, left // _STEP * _STEP)
        yield rows[begin : begin + size]
        begin += size


@cache
def _of_many(statement: str, count: int) -> str:
    return _VALUES.sub(lambda found: "VALUES " + ", ".join([found[1]] * count), statement)
