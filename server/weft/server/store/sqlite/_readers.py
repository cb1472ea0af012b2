"""Threads that only read, so that reads and commits do not wait for each other."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

from weft.server.store.sqlite._commit import read
from weft.server.store.sqlite._database import Database
from weft.server.store.sqlite._faults import Fault, fault_of
from weft.server.store.sqlite._jobs import Job, Outcome, Work, deliver, take

__all__ = ["Readers"]

T = TypeVar("T")

_THREADS = 2
_MAX_BATCH = 8


class Readers:
    """A pool of threads with a connection each, made when it is first needed.

    Args:
        database: Where to read.
        generation: Tells how often the database came back; a connection from before is left.
        on_fault: Called in the event loop when a read showed that the database fails.
    """

    def __init__(
        self, database: Database, generation: Callable[[], int], on_fault: Callable[[], None]
    ) -> None:
        self._database = database
        self._generation = generation
        self._on_fault = on_fault
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._stopped: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Start the threads."""
        for number in range(_THREADS):
            stopped: asyncio.Future[None] = self._loop.create_future()
            self._stopped.append(stopped)
            name = f"weft-store-reader-{number}"
            threading.Thread(target=self._run, args=(stopped,), name=name, daemon=True).start()

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        """Queue a read."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(Job(work, future, reads=True))
        return future

    async def stop(self) -> None:
        """Finish what waits, then close the connections."""
        for _ in self._stopped:
            self._queue.put(None)
        for stopped in self._stopped:
            await asyncio.shield(stopped)

    def _run(self, stopped: asyncio.Future[None]) -> None:
        reader = _Reader(self._database, self._generation)
        while True:
            taken = take(self._queue, _MAX_BATCH)
            outcomes = [reader.answer(job) for job in taken if job is not None]
            deliver(self._loop, outcomes, self._on_fault if reader.failed else None)
            reader.failed = False
            ends = taken.count(None)
            if ends:
                break
        for _ in range(ends - 1):
            self._queue.put(None)  # it was meant for another thread
        reader.close()
        deliver(self._loop, [Outcome(stopped)])


class _Reader:
    """One connection of the pool."""

    def __init__(self, database: Database, generation: Callable[[], int]) -> None:
        self.failed = False
        self._database = database
        self._current = generation
        self._generation = -1
        self._connection: sqlite3.Connection | None = None

    def answer(self, job: Job) -> Outcome:
        try:
            return read(self._connect(), job)
        except Exception as error:
            self.failed = True
            self.close()
            where = self._database.where
            fault = fault_of(error, where) or Fault(f"{where}: {error}", full=False)
            return Outcome(job.future, error=fault.error())

    def _connect(self) -> sqlite3.Connection:
        generation = self._current()
        if self._connection is None or generation != self._generation:
            self.close()
            self._connection = self._database.reader()
            self._generation = generation
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
