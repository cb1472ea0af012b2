"""Writes until it is killed, and says on its standard output what the store acknowledged."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from weft.core.names import EXECUTION_PREFIX, new_id
from weft.server.execution.history.model import Event, Execution, StepScheduled
from weft.server.store.sqlite import SqliteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def events(number: int) -> list[Event]:
    return [Event(number, NOW, StepScheduled(step_id="extract"))]


def acknowledge(execution: Execution) -> None:
    os.write(1, f"{execution.id} {execution.last_event}\n".encode())


async def work(store: SqliteStore) -> None:
    while True:
        execution = Execution(
            id=new_id(EXECUTION_PREFIX),
            workflow_id="wf_a",
            workflow_name="a",
            workflow_version=1,
            last_event=1,
            create_time=NOW,
        )
        await store.insert_execution(execution, events(1))
        acknowledge(execution)
        for number in range(2, 8):
            execution = replace(execution, last_event=number)
            await store.append_events(execution, events(number), number - 1)
            acknowledge(execution)


async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    await asyncio.gather(*(work(store) for _ in range(16)))


asyncio.run(main())
