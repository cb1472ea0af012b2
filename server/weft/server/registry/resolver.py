"""The registry as a source of endpoints for the server's own calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from weft.discovery.binding import look_further
from weft.discovery.model import Endpoint, Snapshot
from weft.discovery.target import Target, parse_location
from weft.server.registry.instance_service import InstanceService
from weft.server.registry.model import Instance, Service
from weft.server.registry.service import RegistryService

__all__ = ["RegistryResolver"]


class RegistryResolver:
    """Resolves names in process, without a hop.

    A service without an instance to call resolves to its own endpoint as well, when it has
    one; when that is a target, such as ``consul://orders``, the snapshot says so.

    Args:
        services: The services of this server.
        instances: Their instances.
    """

    def __init__(self, services: RegistryService, instances: InstanceService) -> None:
        self._services = services
        self._instances = instances

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield where a service is, now and after every change."""
        async for instances in self._instances.watch(service):
            yield await self._snapshot(service, instances)

    async def _snapshot(self, name: str, instances: tuple[Instance, ...]) -> Snapshot:
        version = self._instances.version
        endpoints = tuple(instance.endpoint() for instance in instances)
        endpoints, bound_to = look_further(endpoints, _location(await self._services.find(name)))
        return Snapshot(service=name, endpoints=endpoints, version=version, bound_to=bound_to)


def _location(service: Service | None) -> Endpoint | Target | None:
    """Return where a registration points to; at an address runs the version that it is registered as."""
    if service is None or not service.endpoint:
        return None
    location = parse_location(service.endpoint)
    return replace(location, version=service.version) if isinstance(location, Endpoint) else location
