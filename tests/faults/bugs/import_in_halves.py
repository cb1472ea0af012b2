"""What is imported is stored in two commits: first that it is there, then what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.history.model import Event, Execution
from weft.server.store.postgres import PostgresStore
from weft.server.store.postgres._batch import columns
from weft.server.store.postgres._connect import SQL as POSTGRES
from weft.server.store.seal import seal_event
from weft.server.store.sqlite import SqliteStore
from weft.server.store.sqlite._database import SQL as SQLITE


def plant() -> None:
    wrap(SqliteStore, "import_execution", _halved)
    wrap(PostgresStore, "import_execution", _halved)


def _halved(original: Any) -> Any:
    async def import_execution(self: Any, execution: Execution, events: Sequence[Event]) -> bool:
        created: bool = await original(self, execution, ())
        if created:
            await asyncio.sleep(0.05)
            await _add(self, execution, events)
        return created

    return import_execution


async def _add(store: Any, execution: Execution, events: Sequence[Event]) -> None:
    rows = [seal_event(execution.id, event) for event in events]
    if isinstance(store, SqliteStore):
        named = [(execution.id, *row) for row in rows]
        await store._write(lambda it: it.executemany(SQLITE["insert_event"], named))
    else:
        arrays = columns(rows, 5)
        await store._write(lambda it: it.execute(POSTGRES["insert_events"], execution.id, *arrays))
