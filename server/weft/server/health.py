"""grpc.health.v1, truthful: a service is SERVING only while the store can do its work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from grpc_health.v1 import health_pb2

from weft.core.clock import Clock
from weft.core.errors import WeftError
from weft.server.health_servicer import NOT_SERVING, SERVING, HealthServicer
from weft.server.store.base import Store, StoreState

__all__ = ["HealthReporter"]

_log = logging.getLogger("weft.server.health")

_PROBE_SECONDS: Final = 2.0
_FAREWELL_SECONDS: Final = 0.5
"""The most that a watcher who does not read delays a stop."""


class HealthReporter:
    """Keeps the health of every service in step with the store.

    Args:
        store: What all services stand on.
        services: Full names of the services served.
        clock: For the time between probes.
    """

    def __init__(self, store: Store, services: tuple[str, ...], clock: Clock) -> None:
        self.servicer = HealthServicer(("", *services))
        self._store = store
        self._clock = clock
        self._shown = SERVING
        self._draining = False
        self._trouble = ""
        self._listeners: list[Callable[[], None]] = []
        self._changed = asyncio.Event()
        store.subscribe(self._store_changed)

    @property
    def problem(self) -> str:
        """Why the server cannot do its work; empty when it can."""
        if self._draining:
            return "the server is stopping"
        if self._store.state is StoreState.HEALTHY:
            return ""
        return self._trouble or "the store does not work"

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Tell a listener whenever what is shown has changed."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Report as the store is now."""
        self._show(self._store.state)

    async def run(self) -> None:
        """Probe the store from time to time, and report every change, until cancelled."""
        while True:
            try:
                await self._store.check()
                self._trouble = ""
            except WeftError as error:
                self._trouble = f"the store does not work: {error}"
                _log.warning("%s", self._trouble)
            self._show(self._store.state)
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
        """Report NOT_SERVING from now on, whatever the store says; return when it was told."""
        self._draining = True
        self.servicer.set(NOT_SERVING)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self.servicer.everybody_told()

    def _store_changed(self, _: StoreState) -> None:
        self._changed.set()

    def _show(self, state: StoreState) -> None:
        wanted = SERVING if state is StoreState.HEALTHY else NOT_SERVING
        if self._draining or wanted == self._shown:
            return
        _log.warning("health: %s", health_pb2.HealthCheckResponse.ServingStatus.Name(wanted))
        self._shown = wanted
        self.servicer.set(wanted)
        for listener in self._listeners:
            listener()
