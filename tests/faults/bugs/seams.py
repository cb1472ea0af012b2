"""Where bugs are planted: one function is wrapped, and nothing else changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from weft.server.execution.history.model import EventBody
from weft.server.execution.history.run import Recording
from weft.server.store.sqlite import SqliteStore


def wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put another function in the place of one, made of it; there must be one.

    A bug that is planted where nothing is any more changes nothing, and would be caught by nobody.
    """
    setattr(owner, name, make(getattr(owner, name)))


def change_bodies(change: Callable[[EventBody], Sequence[EventBody]]) -> None:
    """Record other events than those that happened."""

    def make(original: Any) -> Any:
        def add(self: Recording, *bodies: EventBody) -> None:
            original(self, *(one for body in bodies for one in change(body)))

        return add

    wrap(Recording, "add", make)


def at_open(work: Callable[[sqlite3.Connection], object]) -> None:
    """Do something to the database whenever a server has opened it."""

    def make(original: Any) -> Any:
        async def open_(self: SqliteStore) -> None:
            await original(self)
            await self._write(work)

        return open_

    wrap(SqliteStore, "open", make)
