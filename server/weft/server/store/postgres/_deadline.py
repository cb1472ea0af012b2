"""Until when a lease holds for sure, by this server's own clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

__all__ = ["Deadline"]

_NEVER = float("-inf")


class Deadline:
    """Ends never later than the lease does: it begins when a renewal is *asked for*.

    Args:
        lease: How long the lease holds.
        on_passed: Called in the event loop when it has passed.
        monotonic: The clock, in seconds.
    """

    def __init__(
        self,
        lease: timedelta,
        on_passed: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._seconds = lease.total_seconds()
        self._on_passed = on_passed
        self._end = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    @property
    def passed(self) -> bool:
        """Whether others may have by now what this server has; true from the very moment on."""
        return self._monotonic() >= self._end

    @property
    def left(self) -> float:
        """How many seconds there are."""
        return max(0.0, self._end - self._monotonic())

    def extend(self, began: float) -> None:
        """Begin anew.

        Args:
            began: When the renewal was asked for, by ``time.monotonic``.
        """
        self._end = began + self._seconds
        self._wait()

    def stop(self) -> None:
        """Let it have passed, without calling anybody."""
        self._end = _NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self.left, self._look)

    def _look(self) -> None:
        if self.passed:
            self._on_passed()
        else:
            self._wait()  # the loop's clock is a little ahead
