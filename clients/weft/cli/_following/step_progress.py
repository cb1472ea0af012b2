"""Where one step of an execution stands, as its events tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

__all__ = ["StepProgress"]

_UNDER_WAY: Final = frozenset({"SCHEDULED", "RETRYING", "INCIDENT", "WAITING", "OPEN"})
"""States of a step that has begun and not ended."""


@dataclass(slots=True, kw_only=True)
class StepProgress:
    """Where one step stands."""

    state: str = "PENDING"
    """``PENDING``, or a state of a step of an execution."""
    attempt: int = 0
    """How often it was scheduled."""
    started: datetime | None = None
    """When it was first scheduled, by the server's clock."""
    seen: float = 0.0
    """When that was seen, by our own monotonic clock."""
    ended: datetime | None = None
    """When it ended, by the server's clock."""
    note: str = ""
    """Why it failed, or was scheduled again, or how far it is."""
    count: int = 0
    """How many items it has, of a map."""
    completed: int = 0
    """How many of them, or branches or iterations, are done."""
    failed: int = 0
    """How many failed."""

    @property
    def under_way(self) -> bool:
        """Whether it has begun and not ended."""
        return self.state in _UNDER_WAY

    def seconds(self, now: float) -> float | None:
        """Return how long it took, or takes so far; the two clocks are never mixed."""
        if self.started is None:
            return None
        if self.ended is not None:
            return (self.ended - self.started).total_seconds()
        return max(now - self.seen, 0.0) if self.under_way else None
