"""Wakes whoever follows an execution."""

from __future__ import annotations

import asyncio

__all__ = ["Hub"]


class Hub:
    """One event per followed execution, set at the next change and then replaced."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def next_change(self, execution_id: str) -> asyncio.Event:
        """Return what is set when something is recorded after this call."""
        return self._waiting.setdefault(execution_id, asyncio.Event())

    def changed(self, execution_id: str) -> None:
        """Wake the followers of an execution."""
        waiting = self._waiting.pop(execution_id, None)
        if waiting is not None:
            waiting.set()

    def wake_all(self) -> None:
        """Wake everybody, to look again."""
        for execution_id in list(self._waiting):
            self.changed(execution_id)
