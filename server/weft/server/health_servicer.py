"""grpc.health.v1 on the wire: checks, lists, and watches that do not wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc

from weft.core.errors import ResourceNotFoundError

__all__ = ["NOT_SERVING", "SERVING", "HealthServicer"]

SERVING: Final[int] = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final[int] = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final[int] = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

_messages: Any = health_pb2  # its stubs do not know List yet


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Answers for all services at once, as all stand on the same store.

    The library's own servicer writes to its watchers under a lock: one that
    does not read would keep the health from ever changing, and the server from
    stopping.

    Args:
        names: Full names of the services; the empty one is the server.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(names)
        self._status: int = SERVING
        self._changed = asyncio.Event()
        self._told: dict[object, int | None] = {}
        """What each watcher was told last."""
        self._telling = asyncio.Event()

    def set(self, status: int) -> None:
        """Show a status from now on."""
        self._status = status
        self._changed.set()
        self._changed = asyncio.Event()

    async def everybody_told(self) -> None:
        """Return when every watcher has got the present status."""
        while any(told != self._status for told in self._told.values()):
            self._telling.clear()
            await self._telling.wait()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: object
    ) -> health_pb2.HealthCheckResponse:
        """Tell the status of one service."""
        if request.service not in self._names:
            raise ResourceNotFoundError("service", request.service)
        return health_pb2.HealthCheckResponse(status=self._status)

    async def List(self, request: object, context: object) -> object:
        """Tell the status of every service."""
        status = health_pb2.HealthCheckResponse(status=self._status)
        return _messages.HealthListResponse(statuses=dict.fromkeys(self._names, status))

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: object
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Tell the status of one service, now and at every change."""
        if request.service not in self._names:
            yield health_pb2.HealthCheckResponse(status=_UNKNOWN)
            await asyncio.Event().wait()
        watcher = object()
        self._told[watcher] = None
        try:
            while True:
                changed, status = self._changed, self._status
                if status != self._told[watcher]:
                    yield health_pb2.HealthCheckResponse(status=status)
                    self._told[watcher] = status
                    self._telling.set()
                else:
                    await changed.wait()
        finally:
            del self._told[watcher]
            self._telling.set()
