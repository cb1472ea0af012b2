"""The calls that run now, and how they end when the host stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from weft.core.errors import ServiceUnavailableError
from weft.core.reasons import Reason

__all__ = ["Calls"]


class Calls:
    """Lets calls in, until the host drains.

    Args:
        service: Whose calls these are.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._running: set[asyncio.Task[object]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._halted = False
        self._refused = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count the running task as a call.

        Raises:
            ServiceUnavailableError: SERVER_DRAINING: the host drains, nothing was run;
                ACTION_UNAVAILABLE: it stopped before the call ended.
        """
        if self._draining:
            self._refused += 1
            raise self._refusal("is stopping; call another instance", Reason.SERVER_DRAINING)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self._idle.clear()
        try:
            yield
        except asyncio.CancelledError:
            if not self._halted:
                raise
            task.uncancel()
            raise self._refusal("stopped before the action ended", Reason.ACTION_UNAVAILABLE) from None
        finally:
            self._running.discard(task)
            if not self._running:
                self._idle.set()

    def refuse(self) -> None:
        """Let no further call in."""
        self._draining = True

    async def finished(self) -> None:
        """Wait until no call runs."""
        await self._idle.wait()

    async def quiet(self, pause: float) -> None:
        """Wait until nobody was refused for so many seconds.

        What came just before the end is still between the wire and here: when the server stops, grpc
        would cancel it without a word, and nobody could tell that it did not run.
        """
        seen = -1
        while seen != self._refused:
            seen = self._refused
            await asyncio.sleep(pause)

    async def halt(self) -> int:
        """Cancel what still runs, give it a moment, and return how many those were."""
        self._halted = True
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=1.0)
        return len(running)

    def _refusal(self, what: str, reason: Reason) -> ServiceUnavailableError:
        return ServiceUnavailableError(
            self._service, f"this instance of {self._service} {what}", reason=reason
        )
