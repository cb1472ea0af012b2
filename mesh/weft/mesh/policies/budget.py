"""How many retries there may be: a part of the calls, so that retries cannot multiply an outage."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

__all__ = ["BudgetConfig", "RetryBudget"]

_SLOTS: Final = 10
"""Into how many parts the window is divided; one part at a time is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """How many retries there may be within any window of time."""

    ratio: float = 0.2
    """So many retries for each call."""
    floor: float = 10.0
    """So many retries a second on top, so that few calls can be retried too."""
    window: timedelta = timedelta(seconds=10)
    """What is counted."""

    def __post_init__(self) -> None:
        if not (self.ratio >= 0 and self.floor >= 0 and self.window > timedelta(0)):
            raise ValueError("ratio and floor must not be negative, and the window must be positive")


class RetryBudget:
    """Counts calls and retries of the last window. A pure state machine; time is given with every call.

    Args:
        config: How many.
    """

    def __init__(self, config: BudgetConfig | None = None) -> None:
        self._config = config or BudgetConfig()
        self._span = self._config.window.total_seconds() / _SLOTS
        self._allowance = self._config.floor * self._config.window.total_seconds()
        self._past: deque[tuple[int, int, int]] = deque()
        self._slot = -1
        self._slot_ends = float("-inf")
        self._calls = 0
        self._retries = 0
        self.taken = 0
        """Retries since it was made."""

    def called(self, now: float) -> None:
        """Take note of a call, of which only the first attempt counts."""
        if now >= self._slot_ends:
            self._turn(now)
        self._calls += 1

    def retry(self, now: float) -> bool:
        """Take a retry out of the budget; False: there is none left."""
        if now >= self._slot_ends:
            self._turn(now)
        calls = self._calls + sum(calls for _, calls, _ in self._past)
        retries = self._retries + sum(retries for _, _, retries in self._past)
        if retries + 1 > self._allowance + self._config.ratio * calls:
            return False
        self._retries += 1
        self.taken += 1
        return True

    def _turn(self, now: float) -> None:
        """Begin a new slot, and forget what is older than the window."""
        if self._slot >= 0:
            self._past.append((self._slot, self._calls, self._retries))
        self._slot = int(now / self._span)
        self._slot_ends = (self._slot + 1) * self._span
        self._calls = self._retries = 0
        while self._past and self._past[0][0] <= self._slot - _SLOTS:
            self._past.popleft()
