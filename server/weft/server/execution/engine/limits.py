"""How much the engine takes on, and who gets a turn: one sick service must not hold up the others."""

from __future__ import annotations

import asyncio
from collections import deque
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
        self.all = _Places(limits.running_steps)
        self.services: dict[str, _Places] = {}

    def turn(self, service: str) -> _Turn:
        """Return what waits for a turn of a service, and has it as long as its block lasts."""
        return _Turn(self, service)


class _Turn:
    """A turn of a service; an asynchronous context manager."""

    __slots__ = ("_places", "_service", "_turns")

    def __init__(self, turns: Turns, service: str) -> None:
        self._turns = turns
        self._service = service

    async def __aenter__(self) -> None:
        turns = self._turns
        places = turns.services.get(self._service)
        if places is None:
            places = turns.services[self._service] = _Places(turns.per_service)
        self._places = places
        # The service's turn first: who waits for it must not hold one that others could use.
        if not places.take():
            await places.wait()
        if not turns.all.take():
            try:
                await turns.all.wait()
            except BaseException:
                self._leave()
                raise

    async def __aexit__(self, *_: object) -> None:
        self._turns.all.give_back()
        self._leave()

    def _leave(self) -> None:
        places = self._places
        places.give_back()
        if places.free == self._turns.per_service:
            self._turns.services.pop(self._service, None)


class _Places:
    """So many places, given in the order in which they were asked for.

    Attributes:
        free: How many nobody has; then nobody waits either.
    """

    __slots__ = ("_waiting", "free")

    def __init__(self, count: int) -> None:
        self.free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a place if there is one."""
        if not self.free:
            return False
        self.free -= 1
        return True

    async def wait(self) -> None:
        """Wait for a place, when there is none."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.give_back()  # it came in the same moment
            raise

    def give_back(self) -> None:
        """Give a place to who waits longest, or to whoever asks next."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.free += 1
