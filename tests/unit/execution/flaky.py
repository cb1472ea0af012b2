"""A real store that breaks when it is told to, exactly as the port says a store may break."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from weft.server.execution.history.model import Execution
from weft.server.store.base import StoreFullError, StoreState, StoreUnavailableError
from weft.server.store.sqlite import SqliteStore

R = TypeVar("R")


class Fault(Enum):
    """How a write fails."""

    LOST = "fails, and nothing was written"
    KEPT = "fails, and yet it was written"
    FULL = "fails for want of space; nothing was written"


class FlakyStore(SqliteStore):
    """An in-memory store whose next writes of executions fail as planned; ``heal`` ends that."""

    def __init__(self) -> None:
        super().__init__(None)
        self.plan: list[Fault | None] = []
        self.broken = False
        self.gate: asyncio.Event | None = None
        self.at_gate = asyncio.Event()
        self._told: list[Callable[[StoreState], None]] = []

    def subscribe(self, listener: Callable[[StoreState], None]) -> None:
        self._told.append(listener)

    @property
    def state(self) -> StoreState:
        return StoreState.BROKEN if self.broken else StoreState.HEALTHY

    def heal(self) -> None:
        """Come back, if it was away."""
        if self.broken:
            self.broken = False
            self._write(self._database.take_over).add_done_callback(lambda _: self._tell(StoreState.HEALTHY))

    def _tell(self, state: StoreState) -> None:
        for listener in self._told:
            listener(state)

    async def insert_execution(self, *args: Any, **options: Any) -> Execution:
        return await self._as_planned(partial(super().insert_execution, *args, **options))

    async def append_events(self, *args: Any, **options: Any) -> None:
        await self._as_planned(partial(super().append_events, *args, **options))

    async def _as_planned(self, write: Callable[[], Awaitable[R]]) -> R:
        fault = await self._next_fault()
        if fault in {None, Fault.KEPT}:
            written = await write()
            if fault is None:
                return written
        raise self._break(fault)

    async def _next_fault(self) -> Fault | None:
        if self.gate is not None:
            self.at_gate.set()
            await self.gate.wait()
        if self.broken:
            return Fault.LOST
        return self.plan.pop(0) if self.plan else None

    def _break(self, fault: Fault | None) -> Exception:
        if not self.broken:
            self.broken = True
            self._tell(StoreState.BROKEN)
        if fault is Fault.FULL:
            return StoreFullError("no space left")
        return StoreUnavailableError("the disk is gone")
