"""A fixed list of endpoints, that only its owner changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Self

from weft.discovery.endpoint import parse_address
from weft.discovery.model import Endpoint, Snapshot
from weft.discovery.target import Target

__all__ = ["StaticResolver"]


class StaticResolver:
    """Resolves from a table in memory.

    Args:
        services: Endpoints by service name.
    """

    def __init__(self, services: Mapping[str, Iterable[Endpoint]] | None = None) -> None:
        self._table = {name: tuple(endpoints) for name, endpoints in (services or {}).items()}
        self._version = 1
        self._changed = asyncio.Event()

    @classmethod
    def of(cls, target: Target) -> Self:
        """Make the resolver of a target such as ``static:///10.0.0.7:1,10.0.0.8:1``.

        Its only service is the target's name, which is its addresses.
        """
        addresses = (parse_address(text, "target") for text in target.name.split(","))
        return cls({target.name: [Endpoint(host=host, port=port) for host, port in addresses]})

    def set(self, service: str, endpoints: Iterable[Endpoint]) -> None:
        """Replace the endpoints of a service and tell every watcher."""
        self._table[service] = tuple(endpoints)
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield the set now and after every ``set``."""
        seen: tuple[Endpoint, ...] | None = None
        while True:
            changed = self._changed
            endpoints = self._table.get(service, ())
            if endpoints != seen:
                seen = endpoints
                yield Snapshot(service=service, endpoints=endpoints, version=self._version)
            await changed.wait()
