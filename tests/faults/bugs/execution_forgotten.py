"""A restart overlooks some of what is open."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import SqliteStore


def plant() -> None:
    def make(original: Any) -> Any:
        async def open_executions(self: Any, *rest: Any, **named: Any) -> Any:
            found = await original(self, *rest, **named)
            return tuple(one for one in found if ord(one.id[-1]) % 2)

        return open_executions

    wrap(SqliteStore, "open_executions", make)
