"""Signs of life of a running action: the newest one, and not too often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol

__all__ = ["MAX_DETAILS_BYTES", "NO_HEARTBEATS", "HeartbeatPort", "Heartbeats", "heartbeat_interval"]

MAX_DETAILS_BYTES: Final = 64 * 1024
"""The most that one heartbeat tells."""

_UNASKED_SECONDS: Final = 5.0


class HeartbeatPort(Protocol):
    """Where the heartbeats of one call go."""

    @property
    def previous(self) -> bytes:
        """JSON text of what the attempt before told last; empty when nothing is known."""
        ...

    def beat(self, details: bytes) -> None:
        """Take a heartbeat, from whatever thread; empty details leave what was told before."""
        ...


class _NoHeartbeats:
    """Nobody listens."""

    previous = b""

    def beat(self, details: bytes) -> None:
        """Do nothing."""


NO_HEARTBEATS: Final = _NoHeartbeats()
"""For a call that nobody listens to."""


def heartbeat_interval(timeout: timedelta | None) -> float:
    """Return the seconds between two heartbeats: three fit into the time after which one is missed."""
    return _UNASKED_SECONDS if timeout is None else max(timeout.total_seconds() / 3, 0.001)


class Heartbeats:
    """The heartbeats of one call, thinned out.

    Args:
        loop: Where they are sent from.
        send: Sends the details of one.
        interval: Seconds between two of them.
        previous: What the attempt before told last.
    """

    __slots__ = ("_closed", "_interval", "_loop", "_newest", "_next", "_send", "_timer", "previous")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[bytes], None],
        interval: float,
        previous: bytes = b"",
    ) -> None:
        self.previous = previous
        self._loop = loop
        self._send = send
        self._interval = interval
        self._newest = b""
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def beat(self, details: bytes) -> None:
        """Take a heartbeat: see ``HeartbeatPort.beat``."""
        if _running_loop() is self._loop:
            self._beat(details)
        else:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._beat, details)

    def close(self) -> None:
        """Send nothing further: the call has ended."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self, details: bytes) -> None:
        self._newest = details or self._newest
        if self._closed or self._timer is not None:
            return
        wait = self._next - self._loop.time()
        if wait > 0:
            self._timer = self._loop.call_later(wait, self._due)
        else:
            self._due()

    def _due(self) -> None:
        self._timer = None
        self._next = self._loop.time() + self._interval
        details, self._newest = self._newest, b""
        self._send(details)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
