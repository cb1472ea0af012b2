"""Which servers are gone before their lease has run out: those whose session is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

__all__ = ["Reaper"]


class Reaper:
    """Remembers since when servers have had no session.

    A server that was killed loses its session at once. One that lives has a new
    one in a moment, and keeps its lease.

    Args:
        grace: How long a server may be without a session.
    """

    def __init__(self, grace: timedelta) -> None:
        self._grace = grace.total_seconds()
        self._since: dict[int, float] = {}

    def dead(self, silent: Sequence[int], now: float) -> list[int]:
        """Return those that are gone.

        Args:
            silent: Epochs that have no session now.
            now: The time, in seconds.
        """
        self._since = {epoch: self._since.get(epoch, now) for epoch in silent}
        return [epoch for epoch, since in self._since.items() if now - since >= self._grace]
