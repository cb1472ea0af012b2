"""The store port of what steps share over all executions and servers: outputs that are kept, and turns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

__all__ = ["Permit", "StepShareStore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """What a call of a step with a limit needs, and by what it is limited."""

    scope: str
    """What calls share that count together."""
    execution_id: str
    """Whose call."""
    path: str
    """Of which of its steps."""
    concurrency: int = 0
    """How many of the scope are held at the same time; 0: any number."""
    rate: int = 0
    """How many begin in each ``per``; 0: any number."""
    per: timedelta = timedelta(seconds=1)
    """The time that ``rate`` is about."""


class StepShareStore(Protocol):
    """Outputs of steps that are used again, and permits of steps that are limited."""

    async def cached_output(self, key: str, now: datetime) -> bytes | None:
        """Return what is kept under a key, unless its time is over."""
        ...

    async def cache_output(self, key: str, output: bytes, expire_time: datetime) -> None:
        """Keep an output until a time, in place of what was kept under its key."""
        ...

    async def sweep_shares(self, now: datetime, limit: int) -> int:
        """Delete outputs, and windows of rates, whose time is over: that many of each at most.

        Return how many.
        """
        ...

    async def acquire_permit(self, permit: Permit, now: datetime) -> datetime | None:
        """Return from when on a call may begin; None when it has to wait for another one to end.

        Then it stands in a queue, and is given its permit by ``release_permit`` or ``grant_permits``. Whoever
        has its permit, or waits for it, and asks again, is told the same. A permit is held until it is
        released, or its execution has ended.
        """
        ...

    async def permits_of(self, execution_id: str) -> Mapping[str, datetime | None]:
        """Return, by path, from when on the calls of an execution may begin that asked; None: they wait."""
        ...

    async def release_permit(self, permit: Permit, now: datetime) -> tuple[str, ...]:
        """Give a permit back, or leave the queue; return the executions of which one was given to a call.

        Those that nobody owns and that wait for ``STEP_LIMIT`` are due from when their call may begin.
        """
        ...

    async def release_permits(
        self, execution_id: str, keep: Collection[str], now: datetime
    ) -> tuple[str, ...]:
        """Release all permits of an execution but those of some paths; return as ``release_permit``."""
        ...

    async def grant_permits(self, now: datetime) -> tuple[str, ...]:
        """Take back what executions hold that have ended, and give it on; return as ``release_permit``.

        Executions that nobody owns and whose call has its permit are made due.
        """
        ...

    async def wake_permitted(self, execution_id: str) -> bool:
        """Make an execution due that nobody owns, if a call of it has its permit; tell whether it has."""
        ...
