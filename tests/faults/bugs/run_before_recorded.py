"""A step is sent to its worker before its execution is on the disk."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import SqliteStore

_writing: set[asyncio.Task[Any]] = set()


def plant() -> None:
    def make_insert(original: Any) -> Any:
        async def insert(self: Any, execution: Any, *rest: Any, **named: Any) -> Any:
            write = asyncio.create_task(_later(original(self, execution, *rest, **named)))
            _writing.add(write)
            self.__dict__.setdefault("rig_writes", {})[execution.id] = write
            return execution

        return insert

    def make_append(original: Any) -> Any:
        async def append(self: Any, execution: Any, *rest: Any, **named: Any) -> Any:
            if write := self.__dict__.get("rig_writes", {}).pop(execution.id, None):
                await write
            return await original(self, execution, *rest, **named)

        return append

    wrap(SqliteStore, "insert_execution", make_insert)
    wrap(SqliteStore, "append_events", make_append)


async def _later(write: Any) -> Any:
    await asyncio.sleep(0.05)
    return await write
