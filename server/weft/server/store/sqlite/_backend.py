"""The life of the store: open, broken, healthy again, closed."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from weft.core.clock import Clock, SystemClock
from weft.server.store.base import StoreState, StoreUnavailableError
from weft.server.store.codec import to_micros
from weft.server.store.sqlite._database import SQL, Database
from weft.server.store.sqlite._faults import Fault
from weft.server.store.sqlite._jobs import Work
from weft.server.store.sqlite._readers import Readers
from weft.server.store.sqlite._writer import Writer

__all__ = ["Backend"]

logger = logging.getLogger("weft.store")

T = TypeVar("T")

_PROBE_SECONDS = 1.0
"""How long a successful probe counts."""


class Backend:
    """What the three parts of the store stand on.

    Args:
        path: The database file; None keeps everything in memory.
        clock: Dates request keys, and tells when to probe again.
    """

    def __init__(self, path: Path | None, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._database = Database(path, self._clock)
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._state = StoreState.HEALTHY
        self._listeners: list[Callable[[StoreState], None]] = []
        self._probe: asyncio.Future[None] | None = None
        self._proved = float("-inf")
        self._closing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"sqlite {self._database.where}"

    @property
    def state(self) -> StoreState:
        """Whether it can do its work, as far as is known."""
        return self._state

    def subscribe(self, listener: Callable[[StoreState], None]) -> None:
        """Call back in the event loop at every change of ``state``."""
        self._listeners.append(listener)

    async def open(self) -> None:
        """Make ready: take ownership, migrate, recover.

        Raises:
            StoreInUseError: Another process has it.
            StoreUnavailableError: It cannot be opened; the message says why.
        """
        if self._writer is not None or self._closing is not None:
            raise StoreUnavailableError(f"{self.name} was opened before")
        writer = Writer(self._database, self._on_change)
        await writer.start()
        self._writer = writer
        if self._database.path is not None:
            self._readers = Readers(self._database, lambda: writer.generation, self._on_read_fault)
            self._readers.start()

    async def close(self) -> None:
        """Finish what waits and let go. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(self._writer, self._readers))
            self._writer = self._readers = None
        await asyncio.shield(self._closing)

    async def _close(self, writer: Writer | None, readers: Readers | None) -> None:
        if readers is not None:
            await readers.stop()
        if writer is not None:
            await writer.stop()

    async def check(self) -> None:
        """Prove that it can be written and read; a proof counts for one second.

        Raises:
            StoreUnavailableError: It cannot be.
            StoreFullError: There is no space left.
        """
        writer = self._open_writer()
        if writer.fault is not None:
            raise writer.fault.error()
        if self._clock.monotonic() - self._proved < _PROBE_SECONDS:
            return
        if self._probe is None or self._probe.done():
            self._probe = self._submit_probe(writer)
        await asyncio.shield(self._probe)
        self._proved = self._clock.monotonic()

    async def forget_requests(self, before: datetime) -> int:
        """Delete request keys of registry and workflow mutations that are older; return how many."""
        limit = to_micros(before)

        def forget(connection: sqlite3.Connection) -> int:
            return connection.execute(SQL["forget_requests"], (limit,)).rowcount

        return await self._write(forget)

    def _write(self, work: Work[T]) -> asyncio.Future[T]:
        """Run a unit of work in a transaction that is durable when the future resolves."""
        return (self._writer or self._open_writer()).submit(work)

    def _read(self, work: Work[T]) -> asyncio.Future[T]:
        """Run a unit of work that sees everything committed."""
        if self._readers is not None:
            return self._readers.submit(work)
        return self._open_writer().submit(work, reads=True)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise StoreUnavailableError(f"{self.name} is {'closed' if self._closing else 'not open'}")
        return self._writer

    def _on_read_fault(self) -> None:
        """A read had trouble: find out whether the database still works."""
        if self._writer is not None and self._writer.fault is None:
            self._submit_probe(self._writer)

    def _submit_probe(self, writer: Writer) -> asyncio.Future[None]:
        probe = writer.submit(self._database.probe)
        # Maybe nobody waits for it: then its failure is told by the state alone.
        probe.add_done_callback(lambda done: done.cancelled() or done.exception())
        return probe

    def _on_change(self, fault: Fault | None) -> None:
        state = StoreState.BROKEN if fault else StoreState.HEALTHY
        if state is self._state:
            return
        self._state = state
        self._proved = float("-inf")
        for listener in self._listeners:
            try:
                listener(state)
            except Exception:
                logger.exception("a listener of the store failed")
