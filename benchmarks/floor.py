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

__all__ = ["echo", "floor", "journal"]

_TIMES = 4
"""Hops: the caller's RPC and three steps. Commits: the start and three steps."""

_GROWN = 8_000_000
"""Bytes that are written first: what follows overwrites the log, as in a server that runs for a while,
instead of making it longer, which takes the disk more work."""


@contextmanager
def journal(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a table of rows with the server's durability: write-ahead log, an fsync each commit."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        connection.execute("INSERT INTO rows (body) VALUES (zeroblob(?))", (_GROWN,))
        yield connection
    finally:
        connection.close()


def echo(method: Echo) -> Operation:
    """Return one raw call, with its answer checked."""

    async def operation() -> None:
        answer = await method(Payload(json=PAYLOAD))
        if answer.json != PAYLOAD:
            raise AssertionError(f"not the echo of {PAYLOAD!r}: {answer.json!r}")

    return operation


def floor(hop: Operation, commit: Operation) -> Operation:
    """Return hops and commits, one after the other."""

    async def operation() -> None:
        for _ in range(_TIMES):
            await hop()
            await commit()

    return operation
