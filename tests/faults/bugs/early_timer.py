"""A timeout is stored at half its time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import SqliteStore


def plant() -> None:
    def make(original: Any) -> Any:
        async def insert(self: Any, execution: Any, *rest: Any, **named: Any) -> Any:
            if execution.expire_time is not None:
                half = (execution.expire_time - execution.create_time) / 2
                execution = replace(execution, expire_time=execution.create_time + half)
            return await original(self, execution, *rest, **named)

        return insert

    wrap(SqliteStore, "insert_execution", make)
