"""A start is answered while it is still on its way to the disk."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import SqliteStore

_writing: set[asyncio.Task[Any]] = set()


def plant() -> None:
    def make(original: Any) -> Any:
        async def insert(self: Any, execution: Any, *rest: Any, **named: Any) -> Any:
            async def write() -> None:
                await asyncio.sleep(0.05)
                await original(self, execution, *rest, **named)

            task = asyncio.create_task(write())
            _writing.add(task)
            task.add_done_callback(_writing.discard)
            return execution

        return insert

    wrap(SqliteStore, "insert_execution", make)
