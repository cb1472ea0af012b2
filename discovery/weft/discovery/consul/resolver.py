"""Where a service is, by Consul."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

from weft.core.clock import Clock, SystemClock
from weft.discovery.consul._part import Part
from weft.discovery.consul.client import ConsulClient
from weft.discovery.model import Snapshot

__all__ = ["ConsulResolver"]

_PATIENCE: Final = 1.0
"""Seconds that the first list waits for datacenters that are silent; then it is made of the others."""


class ConsulResolver:
    """Follows services with blocking queries.

    It reads every instance, also those that must not be called, so that an error
    can say what is known. Each datacenter has a list of its own: one that fails
    keeps its part, and the others go on.

    Args:
        client: How Consul is reached; stays open.
        datacenters: Where to look; empty for the configured datacenter.
        clock: For pauses.
    """

    def __init__(
        self, client: ConsulClient, *, datacenters: Sequence[str] = (), clock: Clock | None = None
    ) -> None:
        self._client = client
        self._datacenters = tuple(dict.fromkeys(datacenters)) or ("",)
        self._clock = clock or SystemClock()

    def within(self, datacenters: Sequence[str]) -> ConsulResolver:
        """Return a resolver that looks in these datacenters, over the same client."""
        return ConsulResolver(self._client, datacenters=datacenters, clock=self._clock)

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield the set now, and after every change."""
        changed = asyncio.Event()
        parts = [
            Part(self._client, service, datacenter, self._clock, changed) for datacenter in self._datacenters
        ]
        tasks = [asyncio.create_task(part.follow(), name=f"consul {service}") for part in parts]
        merged = Snapshot(service=service, endpoints=())
        try:
            await _first_answers(parts, changed)
            while True:
                if (newer := _merge(merged, parts)) is not None:
                    merged = newer
                    yield merged
                await changed.wait()
                changed.clear()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _first_answers(parts: Sequence[Part], changed: asyncio.Event) -> None:
    """Wait for every datacenter: whom a caller wants may be in the one that is farther away."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while not all(part.snapshot.version for part in parts):
                await changed.wait()
                changed.clear()


def _merge(before: Snapshot, parts: Sequence[Part]) -> Snapshot | None:
    """Put the lists together; none when that is nothing new."""
    silent = [part for part in parts if not part.snapshot.version]
    endpoints = tuple(endpoint for part in parts for endpoint in part.snapshot.endpoints)
    if silent and not endpoints and not before.version:
        return None
    problem = "; ".join(part.problem for part in parts if part.problem)
    if before.version and (endpoints, problem) == (before.endpoints, before.problem):
        return None
    return Snapshot(
        service=before.service,
        endpoints=endpoints,
        version=before.version + 1,
        stale=bool(problem),
        problem=problem,
    )
