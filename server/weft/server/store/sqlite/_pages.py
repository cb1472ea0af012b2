"""Lists: a page and the total, both of one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from weft.server.store.base import Page, Slice
from weft.server.store.sqlite._database import SQL

__all__ = ["read_slice"]

T = TypeVar("T")


def read_slice(
    connection: sqlite3.Connection,
    what: str,
    where: Sequence[str],
    after: str | int,
    page: Page,
    decode: Callable[..., T],
) -> Slice[T]:
    """Read a page of a list.

    Args:
        connection: Outside a transaction.
        what: Which list; the queries ``list_…`` and ``count_…`` of that name exist.
        where: Parameters of both queries.
        after: The last key of the page before, or one that is before all.
        page: Which part of the list.
        decode: Makes an item of the columns of a row.
    """
    connection.execute("BEGIN")
    try:
        total: int = connection.execute(SQL[f"count_{what}"], where).fetchone()[0] if page.counted else 0
        parameters: tuple[Any, ...] = (*where, after, page.size + 1, page.skip)
        rows = connection.execute(SQL[f"list_{what}"], parameters).fetchall()
    finally:
        connection.execute("COMMIT")
    items = tuple(decode(*row) for row in rows[: page.size])
    return Slice(items, len(rows) > page.size, total)
