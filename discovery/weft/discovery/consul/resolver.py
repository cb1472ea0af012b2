"""Where a service is, by Consul."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from weft.core.clock import Clock, SystemClock
from weft.discovery.consul._part import Part
from weft.discovery.consul.client import ConsulClient
from weft.discovery.model import Snapshot

__all__ = ["ConsulResolver"]


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
            while True:
                await changed.wait()
                changed.clear()
                if (newer := _merge(merged, parts)) is not None:
                    merged = newer
                    yield merged
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


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
