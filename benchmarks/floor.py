"""What a workflow cannot go below: its hops as raw echoes, its commits as bare rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.echo import Echo
from benchmarks.harness import Operation
from benchmarks.payloads import PAYLOAD
from weft.api.common.v1.payload_pb2 import Payload

__all__ = ["floor", "hops", "journal"]

_TIMES = 4
"""Hops: the caller's RPC and three steps. Commits: the start and three steps."""


@contextmanager
def journal(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a table of rows with the server's durability: write-ahead log, an fsync each commit."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        yield connection
    finally:
        connection.close()


def hops(method: Echo) -> Operation:
    """Return the hops alone, one after the other."""

    async def operation() -> None:
        for _ in range(_TIMES):
            await _echo(method)

    return operation


def floor(method: Echo, connection: sqlite3.Connection) -> Operation:
    """Return hops and commits, one after the other; one at a time, as a commit holds the loop."""

    async def operation() -> None:
        for _ in range(_TIMES):
            await _echo(method)
            connection.execute("INSERT INTO rows (body) VALUES (?)", (PAYLOAD,))

    return operation


async def _echo(method: Echo) -> None:
    answer = await method(Payload(json=PAYLOAD))
    if answer.json != PAYLOAD:
        raise AssertionError(f"not the echo of {PAYLOAD!r}: {answer.json!r}")
