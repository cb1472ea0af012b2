"""Benchmark ``lists``: a page of executions out of ten thousand, and out of a million."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import process_time

from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.processes import Processes
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.clock import SystemClock
from weft.core.context import CallContext
from weft.server.execution.history.model import Execution, ExecutionState
from weft.server.execution.lists import ExecutionLists
from weft.server.execution.wire.lists_servicer import ListsServicer
from weft.server.query.keys import key_of
from weft.server.requests import page_token
from weft.server.store.execution_codec import encode_execution
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.service import WorkflowService

__all__ = ["ListsBenchmark", "fill"]

SIZES = {"10k": 10_000, "1m": 1_000_000}

FILTERS = {
    "plain": "",
    "state": "state = FAILED",
    "workflow": "workflow = wf_00000000000000000000000007",
    "both": "workflow = wf_00000000000000000000000007 AND state = COMPLETED",
    "attribute": "attributes.customer = customer-42",
    "time": "create_time < 2026-01-01T01:00:00Z",
    "search": "attributes.amount > 990 AND version = 3",
}
"""Each is asked for a page of 50: the first one, for ``plain`` also one from anywhere (``deep``)."""

_KINDS = (*FILTERS, "deep")
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_MILLIS = 1_767_225_600_000
_PAGE = 50
_DEEP = ("deep", "workflow", "state", "attribute")
"""Which begin anywhere."""

_FILL = """
WITH RECURSIVE made(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM made WHERE n < ?1 - 1)
INSERT INTO executions (document, state, last_event, waits, due_time, end_time, failure,
    id, workflow_id, create_time, slot_limit)
SELECT replace(?2, 'exe_id', exe_id(n)), CASE n % 20 WHEN 0 THEN 'FAILED' ELSE 'COMPLETED' END, 9, '', NULL,
    ?3 + n * 36000 + 5000000, NULL, exe_id(n), printf('wf_%026d', n % 20), ?3 + n * 36000, 0
FROM made
"""
_FILL_ATTRIBUTES = """
INSERT INTO execution_attributes (execution_id, name, value)
SELECT id, 'customer', 'scustomer-' || (create_time / 36000 % 100) FROM executions
"""
_FILL_AMOUNTS = """
INSERT INTO execution_attributes (execution_id, name, value)
SELECT id, 'amount', amount(create_time / 36000 % 1000) FROM executions
"""


class ListsBenchmark:
    """Pages by every kind of filter, from stores on the disk of different sizes."""

    name = "lists"
    description = "a page of 50 executions out of 10 thousand and of 1 million, from request to answer"
    seconds = 0.5
    figures: Sequence[Figure] = tuple(
        figure
        for kind in _KINDS
        for figure in (
            Figure(name=f"lists.{kind}.10k.p50", unit="ms", side=f"{kind}.10k", concurrency=1, metric="p50"),
            Figure(name=f"lists.{kind}.1m.p50", unit="ms", side=f"{kind}.1m", concurrency=1, metric="p50"),
            Figure(
                name=f"lists.{kind}.1m/10k.p50",
                unit="x",
                side=f"{kind}.1m",
                base=f"{kind}.10k",
                concurrency=1,
                metric="p50",
                at_most=1.5,
            ),
            Figure(
                name=f"lists.{kind}.1m/10k.cpu",
                unit="x",
                side=f"{kind}.1m",
                base=f"{kind}.10k",
                concurrency=1,
                metric="cpu",
                at_most=1.5,
            ),
        )
    )

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Fill a store of each size; a million executions take a minute and 2 GB."""
        async with AsyncExitStack() as stack:
            sides: list[Side] = []
            for name, size in SIZES.items():
                path = processes.place / name / "weft.db"
                await fill(path, size)
                store = SqliteStore(path)
                await store.open()
                stack.push_async_callback(store.close)
                sides += [_side(store, kind, name, size) for kind in _KINDS]
            yield sides


async def fill(path: Path, size: int) -> None:
    """Write executions of 20 workflows and 100 customers into a new store, 36 ms apart."""
    store = SqliteStore(path)
    await store.open()
    await store.close()
    row = encode_execution(_execution())
    connection = sqlite3.connect(path)
    connection.create_function("exe_id", 1, _id, deterministic=True)
    connection.create_function("amount", 1, _amount_key, deterministic=True)
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute(_FILL, (size, row.head, _MILLIS * 1_000))
        connection.execute(_FILL_ATTRIBUTES)
        connection.execute(_FILL_AMOUNTS)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _id(number: int) -> str:
    """Return the id of an execution, as it is made of the time it was accepted at."""
    whole = (_MILLIS + number * 36) << 80 | number
    return "exe_" + "".join(_ALPHABET[whole >> shift & 31] for shift in range(125, -1, -5))


def _amount_key(amount: int) -> str:
    return key_of(float(amount))


def _execution() -> Execution:
    return replace(
        Execution(
            id="exe_id",
            workflow_id="wf_00000000000000000000000001",
            workflow_name="order-fulfilment",
            workflow_version=3,
            context=CallContext(project_id="shop", request_id="req_1", values={"tenant": "north"}),
            attributes={"customer": "customer-42", "amount": 17.0},
            last_event=9,
            create_time=_NOW,
            trace_id="0af7651916cd43dd8448eb211c80319c",
        ),
        state=ExecutionState.COMPLETED,
    )


def _side(store: SqliteStore, kind: str, name: str, size: int) -> Side:
    operation = _pages(store, kind, size)

    async def block(concurrency: int, seconds: float) -> Block:
        before = process_time()
        result = await closed_loop(operation, concurrency, seconds)
        return replace(result, extra={"cpu": (process_time() - before) / len(result.latencies)})

    return Side(name=f"{kind}.{name}", run=block, concurrencies=(1,))


def _pages(store: SqliteStore, kind: str, size: int) -> Operation:
    """Return the reading of a page; every kind that has enough for it begins anywhere."""
    clock = SystemClock()
    servicer = ListsServicer(ExecutionLists(store, WorkflowService(store, _no_service, clock), clock))
    text = FILTERS.get(kind, "")
    random = Random(7)

    async def read() -> None:
        number = random.randrange(size * 7 // 10, size) if kind in _DEEP else size
        token = page_token(_id(number), ("executions", "", "None", text))
        request = pb.ListExecutionsRequest(filter=text, page_size=_PAGE, page_token=token)
        answer = await servicer.ListExecutions(request, None)
        if len(answer.executions) != _PAGE or not answer.SerializeToString():
            raise AssertionError(f"a page of {kind} has {len(answer.executions)} executions")

    return read


async def _no_service(_: str) -> None:
    return None
