"""Wakes whoever follows an execution."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Hub", "News"]


class News:
    """What one or more followers of an execution wait for."""

    def __init__(self) -> None:
        self.followers = 0
        self._change = asyncio.Event()

    def next_change(self) -> asyncio.Event:
        """Return what is set when something is recorded after this call."""
        return self._change

    def tell(self) -> None:
        """Wake everybody who waits."""
        told, self._change = self._change, asyncio.Event()
        told.set()


class Hub:
    """Knows the executions that are followed, and nothing of the others."""

    def __init__(self) -> None:
        self._followed: dict[str, News] = {}

    @property
    def followed(self) -> int:
        """How many executions are followed now."""
        return len(self._followed)

    @contextmanager
    def follow(self, execution_id: str) -> Iterator[News]:
        """Follow an execution as long as the block lasts."""
        news = self._followed.setdefault(execution_id, News())
        news.followers += 1
        try:
            yield news
        finally:
            news.followers -= 1
            if not news.followers:
                del self._followed[execution_id]

    def changed(self, execution_id: str) -> None:
        """Wake the followers of an execution."""
        news = self._followed.get(execution_id)
        if news is not None:
            news.tell()

    def wake_all(self) -> None:
        """Wake everybody, to look again."""
        for news in list(self._followed.values()):
            news.tell()
