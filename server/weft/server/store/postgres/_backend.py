"""The life of the store: open, broken, healthy again, closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import asyncpg

from weft.core.clock import Clock, SystemClock
from weft.server.store.base import StoreState, StoreUnavailableError
from weft.server.store.codec import to_micros
from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres._connect import SQL, Connection, Pool
from weft.server.store.postgres._faults import Fault, fault_of, is_retryable, unit_error
from weft.server.store.postgres._hints import Hint
from weft.server.store.postgres._keeper import Keeper
from weft.server.store.postgres._writer import Writer

__all__ = ["Backend", "affected", "holds"]

logger = logging.getLogger("weft.store")

T = TypeVar("T")

_PROBE_SECONDS: Final = 1.0
"""How long a successful probe counts."""
_TRIES: Final = 5


def affected(status: str) -> int:
    """Return how many rows a statement wrote, by what the server says of it."""
    return int(status.rpartition(" ")[2])


class Backend:
    """What the parts of the store stand on.

    Args:
        config: Which database.
        clock: Dates request keys, and tells when to probe again.
    """

    def __init__(self, config: DatabaseConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._keeper = Keeper(config, self._clock, self._on_fault, self._on_hint, self._on_counts)
        self._writer: Writer | None = None
        self._workers = Pool(config, config.workers, self._keeper.settings)
        self._readers = Pool(config, config.readers, {"default_transaction_read_only": "on"})
        self._listeners: list[Callable[[StoreState], None]] = []
        self._change_listeners: list[Callable[[Sequence[str]], None]] = []
        self._catalog_listeners: list[Callable[[], None]] = []
        self._instance_listeners: list[Callable[[], None]] = []
        self._counted = (-1, -1)
        self._working: set[asyncio.Task[Any]] = set()
        self._proved = float("-inf")
        self._closing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"postgresql {self._config.where}"

    @property
    def state(self) -> StoreState:
        """Whether it can do its work, as far as is known."""
        if self._writer is None or self._keeper.usable:
            return StoreState.HEALTHY
        return StoreState.BROKEN

    @property
    def epoch(self) -> int:
        """Tells the leases of this server apart."""
        return self._keeper.epoch

    def subscribe(self, listener: Callable[[StoreState], None]) -> None:
        """Call back in the event loop at every change of ``state``."""
        self._listeners.append(listener)

    def on_change(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call back in the event loop with ids of executions that another server wrote to."""
        self._change_listeners.append(listener)

    def on_catalog_change(self, listener: Callable[[], None]) -> None:
        """Call back in the event loop when another server may have changed services or workflows."""
        self._catalog_listeners.append(listener)

    def on_instances_change(self, listener: Callable[[], None]) -> None:
        """Call back in the event loop when another server may have added or removed instances."""
        self._instance_listeners.append(listener)

    async def open(self) -> None:
        """Make ready: connect, migrate, take a lease.

        Raises:
            StoreUnavailableError: It cannot be opened; the message says why.
        """
        if self._writer is not None or self._closing is not None:
            raise StoreUnavailableError(f"{self.name} was opened before")
        try:
            await self._keeper.open()
        except BaseException:
            await self._keeper.close()
            raise
        self._writer = Writer(self._config, self._keeper)

    async def close(self) -> None:
        """Finish what waits, and give what this server has to the others. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(self._writer))
            self._writer = None
        await asyncio.shield(self._closing)

    async def _close(self, writer: Writer | None) -> None:
        if writer is not None:
            await writer.stop()
        while self._working:
            await asyncio.gather(*self._working, return_exceptions=True)
        await self._keeper.close()
        await asyncio.gather(self._workers.close(), self._readers.close())

    async def check(self) -> None:
        """Prove that it can be written and read; a proof counts for one second.

        Raises:
            StoreUnavailableError: It cannot be.
            StoreFullError: There is no space left.
        """
        self._require_usable()
        if self._clock.monotonic() - self._proved < _PROBE_SECONDS:
            return
        if await self._run("probe", self._keeper.epoch) == []:
            self._keeper.suspect()
            raise StoreUnavailableError(f"{self.name}: this server has lost its lease")
        self._proved = self._clock.monotonic()

    async def forget_requests(self, before: datetime) -> int:
        """Delete request keys of registry and workflow mutations that are older; return how many."""
        count: int = (await self._run("forget_requests", to_micros(before)))[0][0]
        return count

    # ---- for the parts

    async def _run(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Run a statement that writes; it is durable when this returns."""
        return await self._write(lambda connection: connection.fetch(SQL[query], *arguments), alone=True)

    async def _write(self, work: Callable[[Connection], Awaitable[T]], *, alone: bool = False) -> T:
        """Run a unit of work in a transaction that is durable when this returns.

        Args:
            work: What to do; it may run again after it was rolled back.
            alone: It is one statement, which is a transaction by itself.
        """
        self._require_usable()
        return await self._to_its_end(self._transact(work, alone=alone))

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a unit of work that sees everything committed."""
        self._require_usable()
        for again in (True, False):
            try:
                async with self._readers.use() as connection:
                    return await work(connection)
            except Exception as error:
                fault = fault_of(error, self._config.where)
                if fault is None:
                    raise unit_error(error) from error
                if again and self._keeper.usable:
                    continue  # this connection was cut; the database may be well
                self._keeper.suspect()
                raise fault.error() from error
        raise AssertionError("unreachable")

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        return await self._read(lambda connection: connection.fetch(SQL[query], *arguments))

    async def _transact(self, work: Callable[[Connection], Awaitable[T]], *, alone: bool) -> T:
        for attempt in range(_TRIES):
            try:
                async with self._workers.use() as connection:
                    if alone:
                        return await work(connection)
                    async with connection.transaction():
                        return await work(connection)
            except Exception as error:
                fault = fault_of(error, self._config.where)
                if fault is not None:
                    self._keeper.fail(fault)
                    raise fault.error() from error
                if not is_retryable(error) or attempt == _TRIES - 1:
                    raise unit_error(error) from error
        raise AssertionError("unreachable")

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it whether the caller stays or not: nothing is left half way on a connection."""
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def _require_usable(self) -> Writer:
        if self._writer is None:
            raise StoreUnavailableError(f"{self.name} is {'closed' if self._closing else 'not open'}")
        if not self._keeper.usable:
            raise (self._keeper.fault or Fault(f"{self.name}: the lease was not renewed in time")).error()
        return self._writer

    def _lost(self) -> StoreUnavailableError:
        """Say that this server is none any more, and begin anew."""
        fault = Fault(f"{self.name}: this server was taken for dead, and has lost its lease")
        self._keeper.fail(fault)
        return StoreUnavailableError(fault.message)

    # ---- what the keeper tells

    def _on_fault(self, fault: Fault | None) -> None:
        self._proved = float("-inf")
        if fault is not None:
            if self._writer is not None:
                self._writer.terminate()
            self._workers.terminate()
            self._readers.terminate()
        state = StoreState.BROKEN if fault else StoreState.HEALTHY
        _call(self._listeners, state)

    def _on_hint(self, hint: Hint) -> None:
        match hint.kind:
            case "executions" | "freed":
                _call(self._change_listeners, hint.ids)
            case "registry":
                _call(self._catalog_listeners)
            case "instances":
                _call(self._instance_listeners)
            case _:
                pass  # of a newer release

    def _on_counts(self, *, registry: int, instances: int) -> None:
        """Take note of what others have changed, should a hint have been lost."""
        known, self._counted = self._counted, (registry, instances)
        if registry != known[0]:
            _call(self._catalog_listeners)
        if instances != known[1]:
            _call(self._instance_listeners)


def holds(text: str) -> bool:
    """Tell whether anything can be stored by a name: PostgreSQL refuses U+0000, also to look for it."""
    return "\0" not in text


def _call(listeners: Sequence[Callable[..., None]], *arguments: object) -> None:
    for listener in listeners:
        try:
            listener(*arguments)
        except Exception:
            logger.exception("a listener of the store failed")
