"""Hints between servers: what has changed, so that nobody has to wait for the next look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

__all__ = ["Hint", "Hints", "channel"]

_GATHER_SECONDS: Final = 0.01
_IDS_PER_HINT: Final = 200
"""A notification has room for 8,000 bytes."""


def channel(schema: str) -> str:
    """Return the channel of the servers of a schema."""
    return f"weft_{schema}"


@dataclass(frozen=True, slots=True)
class Hint:
    """What one server tells the others."""

    kind: str
    """``joined``, ``freed``, ``executions``, ``registry`` or ``instances``."""
    ids: tuple[str, ...] = ()
    """Which ones."""

    def write(self, epoch: int) -> str:
        """Write it, as from a server."""
        return f"{epoch} {self.kind} {','.join(self.ids)}"

    @classmethod
    def read(cls, text: str) -> tuple[int, Hint]:
        """Read it; return also whose it is."""
        epoch, _, rest = text.partition(" ")
        kind, _, ids = rest.partition(" ")
        return int(epoch) if epoch.isdecimal() else 0, cls(kind, tuple(filter(None, ids.split(","))))


class Hints:
    """Gathers hints for a moment, and sends them together.

    Args:
        send: Sends some.
    """

    def __init__(self, send: Callable[[Sequence[Hint]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: dict[str, dict[str, None]] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, hint: Hint) -> None:
        """Have a hint sent soon."""
        self._waiting.setdefault(hint.kind, {}).update(dict.fromkeys(hint.ids))
        if self._task is None:
            self._task = asyncio.create_task(self._flush(), name="hints to other servers")

    async def close(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _flush(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_GATHER_SECONDS)
                waiting, self._waiting = self._waiting, {}
                await self._send([*_hints(waiting)])
        finally:
            self._task = None


def _hints(waiting: dict[str, dict[str, None]]) -> list[Hint]:
    found = []
    for kind, members in waiting.items():
        ids = tuple(members)
        parts = [ids[at : at + _IDS_PER_HINT] for at in range(0, len(ids), _IDS_PER_HINT)] or [()]
        found += [Hint(kind, part) for part in parts]
    return found
