"""How much the engine takes on, and who gets a turn: one sick service must not hold up the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from weft.core.errors import ExhaustedError

__all__ = ["EngineLimits", "Room", "Turns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """How much the engine takes on at once."""

    open_executions: int = 10_000
    """More are refused with ENGINE_FULL; those that are found in the store are taken as others leave."""
    open_bytes: int = 256 * 1024 * 1024
    """How many bytes of inputs and outputs the open ones may hold; a start beyond is refused likewise."""
    running_steps: int = 10_000
    """Steps that run at the same time; further ones wait for their turn."""
    service_steps: int = 1_000
    """Steps of one service that run at the same time: when it hangs, the other services go on."""


class Room:
    """Keeps count of the open executions and of the bytes that they hold.

    Args:
        limits: How much there is room for.
    """

    def __init__(self, limits: EngineLimits) -> None:
        self._limits = limits
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    def __contains__(self, execution_id: object) -> bool:
        """Tell whether an execution has a place."""
        return execution_id in self._sizes

    def __len__(self) -> int:
        """Return how many executions have a place."""
        return len(self._sizes)

    @property
    def places(self) -> int:
        """How many more executions may be open."""
        if self._bytes >= self._limits.open_bytes:
            return 0
        return max(0, self._limits.open_executions - len(self._sizes))

    @property
    def held_bytes(self) -> int:
        """How many bytes are held now."""
        return self._bytes

    def reserve(self, execution_id: str, size: int) -> None:
        """Keep a place for a new execution.

        Raises:
            ExhaustedError: ENGINE_FULL.
        """
        taken = len(self._sizes)
        if taken >= self._limits.open_executions:
            raise _full(f"{taken:,} executions are open")
        if self._bytes + size > self._limits.open_bytes:
            raise _full(f"{taken:,} open executions hold {self._bytes:,} bytes of payloads")
        self.hold(execution_id, size)

    def hold(self, execution_id: str, size: int) -> None:
        """Set how much an execution holds; one that is on the disk has a place in any case."""
        self._bytes += size - self._sizes.get(execution_id, 0)
        self._sizes[execution_id] = size

    def free(self, execution_id: str) -> None:
        """Give a place back, if there is one."""
        self._bytes -= self._sizes.pop(execution_id, 0)


def _full(what: str) -> ExhaustedError:
    return ExhaustedError(f"{what}; no more are accepted now", retry_after=timedelta(seconds=1))


class Turns:
    """Lets so many steps run at the same time, in all and of each service, in the order they came.

    Args:
        limits: How many.
    """

    def __init__(self, limits: EngineLimits) -> None:
        self.per_service = limits.service_steps
        self.all = asyncio.Semaphore(limits.running_steps)
        self.services: dict[str, _Queue] = {}

    def turn(self, service: str) -> _Turn:
        """Return what waits for a turn of a service, and has it as long as its block lasts."""
        return _Turn(self, service)


class _Turn:
    """A turn of a service; an asynchronous context manager."""

    __slots__ = ("_queue", "_service", "_turns")

    def __init__(self, turns: Turns, service: str) -> None:
        self._turns = turns
        self._service = service

    async def __aenter__(self) -> None:
        turns = self._turns
        queue = turns.services.get(self._service)
        if queue is None:
            queue = turns.services[self._service] = _Queue(asyncio.Semaphore(turns.per_service))
        self._queue = queue
        queue.users += 1
        try:
            # The service's turn first: who waits for it must not hold one that others could use.
            await queue.turns.acquire()
            try:
                await turns.all.acquire()
            except BaseException:
                queue.turns.release()
                raise
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._turns.all.release()
        self._queue.turns.release()
        self._leave()

    def _leave(self) -> None:
        self._queue.users -= 1
        if not self._queue.users:
            del self._turns.services[self._service]


@dataclass(slots=True)
class _Queue:
    turns: asyncio.Semaphore
    users: int = 0
