"""Lists: a page and the total, both of one moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import asyncpg

from weft.server.store.base import Page, Slice
from weft.server.store.postgres._connect import SQL, Connection

__all__ = ["read_slice"]

T = TypeVar("T")


async def read_slice(
    connection: Connection,
    what: str,
    where: Sequence[str],
    after: str | int,
    page: Page,
    decode: Callable[[asyncpg.Record], T],
) -> Slice[T]:
    """Read a page of a list.

    Args:
        connection: Outside a transaction.
        what: Which list; the queries ``list_…`` and ``count_…`` of that name exist.
        where: Parameters of both queries.
        after: The last key of the page before, or one that is before all.
        page: Which part of the list.
        decode: Makes an item of a row.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        total: int = await connection.fetchval(SQL[f"count_{what}"], *where) if page.counted else 0
        rows = await connection.fetch(SQL[f"list_{what}"], *where, after, page.size + 1, page.skip)
    items = tuple(decode(row) for row in rows[: page.size])
    return Slice(items, len(rows) > page.size, total)
