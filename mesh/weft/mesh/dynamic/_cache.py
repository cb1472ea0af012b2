"""The descriptors of services: read once, shared, read again when they may be old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import WeftError
from weft.mesh.dynamic.codec import MessageCodec
from weft.mesh.dynamic.descriptors import ServiceDescriptors

__all__ = ["DescriptorCache", "Known"]

_log = logging.getLogger("weft.mesh")

_JUST_READ: Final = 1.0
"""Seconds within which reading again is of no use."""
_TRY_AGAIN: Final = 30.0
"""Seconds until a source that failed is asked again, while what it said before is used."""
_MAX_SERVICES: Final = 1_000


@dataclass(slots=True)
class Known:
    """What is known of one service."""

    descriptors: ServiceDescriptors
    codec: MessageCodec
    read_at: float
    given: bool = False
    """Whether somebody gave it, so that it is not read from the service."""


class DescriptorCache:
    """Reads descriptors, one reading at a time for each service."""

    def __init__(
        self, read: Callable[[str], Awaitable[ServiceDescriptors]], clock: Clock, ttl: timedelta
    ) -> None:
        self._read = read
        self._clock = clock
        self._ttl = ttl.total_seconds()
        self._known: dict[str, Known] = {}
        self._reading: dict[str, asyncio.Task[Known]] = {}

    def use(self, service: str, descriptors: ServiceDescriptors) -> None:
        """Take these for a service from now on."""
        self._keep(
            service, Known(descriptors, MessageCodec(descriptors), self._clock.monotonic(), given=True)
        )

    def forget(self, service: str) -> None:
        """Read again when the service is called next."""
        known = self._known.get(service)
        if known is not None and not known.given:
            del self._known[service]

    async def get(self, service: str) -> Known:
        """Return what is known; read it when nothing is, or it is old."""
        known = self._known.get(service)
        if known is None:
            return await self._shared(service)
        if known.given or self._clock.monotonic() - known.read_at < self._ttl:
            return known
        try:
            return await self._shared(service)
        except WeftError as error:
            _log.warning("the descriptors of %s could not be read again: %s", service, error)
            known.read_at = self._clock.monotonic() - self._ttl + min(_TRY_AGAIN, self._ttl)
            return known

    async def newer(self, service: str, known: Known) -> Known:
        """Read again, unless that was given or read just now."""
        if known.given or self._clock.monotonic() - known.read_at < _JUST_READ:
            return known
        return await self._shared(service)

    async def _shared(self, service: str) -> Known:
        task = self._reading.get(service)
        if task is None:
            # Several calls wait for it: it has neither the deadline nor the ids of the one that began it.
            task = self._reading[service] = asyncio.create_task(
                self._fetch(service), name=f"descriptors of {service}", context=Context()
            )
            task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def _fetch(self, service: str) -> Known:
        try:
            descriptors = await self._read(service)
        finally:
            del self._reading[service]
        known = Known(descriptors, MessageCodec(descriptors), self._clock.monotonic())
        self._keep(service, known)
        return known

    def _keep(self, service: str, known: Known) -> None:
        self._known.pop(service, None)
        self._known[service] = known
        if len(self._known) > _MAX_SERVICES:
            self.forget(next((name for name, other in self._known.items() if not other.given), ""))

    async def close(self) -> None:
        """End what is being read."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _seen(task: asyncio.Task[Known]) -> None:
    """Take note of an error, also when nobody waits any more."""
    if not task.cancelled():
        task.exception()
