"""Listens to a running attempt: one that falls silent for too long is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from weft.core.errors import DeadlineExceededError
from weft.core.reasons import Reason
from weft.server.execution.history.place import Place
from weft.server.execution.history.run import Run

__all__ = ["Pulse"]

_KEEP_SECONDS: Final = 5.0
"""How far apart the heartbeats are whose details go into the history."""


class Pulse:
    """Takes the heartbeats of one attempt, and ends it when they stop; an asynchronous context manager.

    Args:
        run: Whose attempt.
        place: Where it runs.
        limit: How long it may be silent, from the moment when it is given to an instance; None: to its end.
        tell: Is given details, now and then, for the history.

    Attributes:
        untold: The newest details, when ``tell`` was not given them.

    Raises:
        DeadlineExceededError: HEARTBEAT_TIMEOUT, of the block.
    """

    __slots__ = ("_heard", "_limit", "_place", "_run", "_tell", "_timeout", "_told", "untold")

    def __init__(
        self, run: Run, place: Place, limit: timedelta | None, tell: Callable[[Run, Place, bytes], None]
    ) -> None:
        self._run = run
        self._place = place
        self._limit = limit
        self._heard = True
        self._tell = tell
        self._told = float("-inf")
        self._timeout: asyncio.Timeout | None = None
        self.untold = b""

    def __call__(self, details: bytes) -> None:
        """Take a heartbeat."""
        now = asyncio.get_running_loop().time()
        if self._heard and self._limit is not None:
            self._due(now + self._limit.total_seconds())
        if not details:
            return
        if now - self._told < _KEEP_SECONDS:
            self.untold = details
            return
        self._told, self.untold = now, b""
        self._tell(self._run, self._place, details)

    def unheard(self) -> None:
        """Let the attempt be silent from now on: this server takes no calls any more, so no heartbeats."""
        self._heard = False
        self._due(None)

    def _due(self, when: float | None) -> None:
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(when)

    async def __aenter__(self) -> Self:
        self._run.pulses[self._place.path] = self
        if self._limit is not None:
            self._timeout = asyncio.timeout(None)
            await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run.pulses.pop(self._place.path, None)
        if self._timeout is None:
            return
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise _silent(self._place, self._limit) from None


def _silent(place: Place, limit: timedelta | None) -> DeadlineExceededError:
    seconds = f"{limit.total_seconds():g}" if limit else ""
    return DeadlineExceededError(
        f"step {place.path} was not heard of for {seconds} s",
        reason=Reason.HEARTBEAT_TIMEOUT,
        metadata={"step_id": place.path, "attempt": str(place.attempt), "timeout_seconds": seconds},
    )
