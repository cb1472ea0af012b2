"""Benchmark ``retention``: what a write waits for while old executions are deleted."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.lists import fill
from benchmarks.processes import Processes
from weft.core.clock import SystemClock
from weft.core.names import EXECUTION_PREFIX, WORKFLOW_PREFIX, new_id
from weft.server.execution.history.model import Event, Execution, ExecutionStarted, ExecutionState
from weft.server.retention import Retention
from weft.server.retention_runner import RetentionRunner
from weft.server.store.base import ExecutionFilter
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.model import Definition, Workflow

__all__ = ["RetentionBenchmark"]

_SIZE = 100_000
_EVENTS = 9
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_WORKFLOW = f"{WORKFLOW_PREFIX}_{'0' * 26}"
_OLD = ExecutionFilter(state=ExecutionState.COMPLETED)
_FILL_EVENTS = """
WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)
INSERT INTO events (execution_id, number, time, kind, attributes, payload)
SELECT id, number, create_time, 'step_completed', '{"step_id":"place","attempt":1}', zeroblob(214)
FROM executions, numbers
"""


class RetentionBenchmark:
    """Starts of executions, one after the other, on a store at rest and on one that deletes."""

    name = "retention"
    description = "a durable start while 100 thousand old executions of 9 events are deleted, and while not"
    seconds = 2.0
    figures: Sequence[Figure] = (
        Figure(name="retention.idle.p50", unit="ms", side="idle", concurrency=1, metric="p50"),
        Figure(name="retention.deleting.p50", unit="ms", side="deleting", concurrency=1, metric="p50"),
        Figure(name="retention.idle.p99", unit="ms", side="idle", concurrency=1, metric="p99"),
        Figure(name="retention.deleting.p99", unit="ms", side="deleting", concurrency=1, metric="p99"),
        Figure(name="retention.deleted", unit="1/s", side="deleting", concurrency=1, metric="deleted"),
        Figure(
            name="retention.deleting/idle.p50",
            unit="x",
            side="deleting",
            base="idle",
            concurrency=1,
            metric="p50",
            at_most=2.0,
        ),
    )

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Fill a store."""
        path = processes.place / "weft.db"
        await fill(path, _SIZE)
        _fill_events(path)
        store = SqliteStore(path)
        await store.open()
        try:
            await store.insert_workflow(_workflow())
            yield _side(store, deletes=False), _side(store, deletes=True)
        finally:
            await store.close()


def _fill_events(path: Path) -> None:
    """Give every execution a history, and make all of them one workflow's."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute(_FILL_EVENTS, (_EVENTS,))
        connection.execute("UPDATE executions SET workflow_id = ?, state = 'COMPLETED'", (_WORKFLOW,))
    connection.close()


def _workflow() -> Workflow:
    return Workflow(
        id=_WORKFLOW,
        name="order",
        definition=Definition(),
        create_time=_NOW,
        update_time=_NOW,
        version_create_time=_NOW,
    )


def _side(store: SqliteStore, *, deletes: bool) -> Side:
    operation = _starts(store)

    async def block(concurrency: int, seconds: float) -> Block:
        before = await store.count_executions(_OLD)
        policy = Retention(states={ExecutionState.COMPLETED: timedelta(days=1)} if deletes else {})
        runner = asyncio.create_task(RetentionRunner(store, policy, SystemClock()).run())
        try:
            result = await closed_loop(operation, concurrency, seconds)
        finally:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)
        deleted = before - await store.count_executions(_OLD)
        if deletes and not deleted:
            raise AssertionError("nothing was left to delete")
        return replace(result, extra={"deleted": deleted / result.seconds})

    return Side(name="deleting" if deletes else "idle", run=block, concurrencies=(1,))


def _starts(store: SqliteStore) -> Operation:
    """Return the storing of an execution with its first event."""

    async def start() -> None:
        now = datetime.now(UTC)
        made = Execution(
            id=new_id(EXECUTION_PREFIX, now),
            workflow_id=_WORKFLOW,
            workflow_name="order",
            workflow_version=1,
            last_event=1,
            create_time=now,
        )
        started = ExecutionStarted(
            input=b"{}", context=made.context, workflow_id=_WORKFLOW, workflow_version=1
        )
        await store.insert_execution(made, [Event(1, now, started)])

    return start
