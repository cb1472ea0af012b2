"""Starts with the same request id each start an execution."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import SqliteStore


def plant() -> None:
    def make(original: Any) -> Any:
        async def insert(self: Any, execution: Any, events: Any, *_: Any, **__: Any) -> Any:
            return await original(self, execution, events)

        return insert

    wrap(SqliteStore, "insert_execution", make)
