"""How long to wait before a source that failed is asked again."""

from __future__ import annotations

import random
from datetime import timedelta

__all__ = ["Backoff"]


class Backoff:
    """Pauses that double up to a limit, each with jitter, so that watchers do not return all at once.

    Args:
        first: The longest that the first pause may be.
        last: The longest that any pause may be.
        chance: Where the jitter comes from.
    """

    def __init__(
        self,
        *,
        first: timedelta = timedelta(milliseconds=200),
        last: timedelta = timedelta(seconds=5),
        chance: random.Random | None = None,
    ) -> None:
        self._first = first.total_seconds()
        self._last = last.total_seconds()
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._limit = self._first

    @property
    def last(self) -> float:
        """Seconds that no pause exceeds."""
        return self._last

    def pause(self) -> float:
        """Return the seconds to wait now: between half of the limit and the limit."""
        limit = self._limit
        self._limit = min(self._limit * 2, self._last)
        return limit * (0.5 + self._chance.random() / 2)

    def reset(self) -> None:
        """Begin again with the first pause, as the source works."""
        self._limit = self._first
