"""A transport that is loaded when it is needed first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, ActionTransport

__all__ = ["LaterTransport"]


class LaterTransport:
    """Stands for a transport whose libraries are slow to import, until there is something to call.

    Args:
        load: Imports and makes it; runs in a thread of its own, so that nothing else waits meanwhile.
    """

    def __init__(self, load: Callable[[], ActionTransport]) -> None:
        self._load = load
        self._loading: asyncio.Task[ActionTransport] | None = None
        self._transport: ActionTransport | None = None

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes | None:
        """Run an action: see ``ActionTransport.invoke``."""
        transport = self._transport or await self._loaded()
        return await transport.invoke(endpoint, call, timeout)

    async def close(self) -> None:
        """Close every connection, if there ever were any."""
        if self._loading is not None:
            await (await self._loaded()).close()

    async def _loaded(self) -> ActionTransport:
        """Wait for the one that all share; who is cancelled meanwhile takes it from nobody else."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._load))
        self._transport = transport = await asyncio.shield(self._loading)
        return transport
