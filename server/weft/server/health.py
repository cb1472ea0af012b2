"""grpc.health.v1, truthful: a service is SERVING only while the store can do its work."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from grpc_health.v1 import health, health_pb2

from weft.core.clock import Clock
from weft.core.errors import WeftError
from weft.server.store.base import Store, StoreState

__all__ = ["HealthReporter"]

_log = logging.getLogger("weft.server.health")

_PROBE_SECONDS: Final = 2.0
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthReporter:
    """Keeps the health of every service in step with the store.

    Args:
        store: What all services stand on.
        services: Full names of the services served.
        clock: For the time between probes.
    """

    def __init__(self, store: Store, services: tuple[str, ...], clock: Clock) -> None:
        self.servicer = health.aio.HealthServicer()
        self._store = store
        self._names = ("", *services)
        self._clock = clock
        self._shown: int = _SERVING
        self._changed = asyncio.Event()
        store.subscribe(self._store_changed)

    async def start(self) -> None:
        """Report as the store is now."""
        await self._show(self._store.state)

    async def run(self) -> None:
        """Probe the store from time to time, and report every change, until cancelled."""
        while True:
            try:
                await self._store.check()
            except WeftError as error:
                _log.warning("the store does not work: %s", error)
            await self._show(self._store.state)
            self._changed.clear()
            await self._wait()

    async def _wait(self) -> None:
        sleep = asyncio.ensure_future(self._clock.sleep(_PROBE_SECONDS))
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((sleep, change), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            change.cancel()

    async def drain(self) -> None:
        """Report NOT_SERVING from now on, whatever the store says."""
        await self.servicer.enter_graceful_shutdown()

    def _store_changed(self, _: StoreState) -> None:
        self._changed.set()

    async def _show(self, state: StoreState) -> None:
        wanted = _SERVING if state is StoreState.HEALTHY else _NOT_SERVING
        if wanted != self._shown:
            _log.warning("health: %s", health_pb2.HealthCheckResponse.ServingStatus.Name(wanted))
        self._shown = wanted
        for name in self._names:
            await self.servicer.set(name, wanted)
