"""Keeps one instance registered in Consul, beside the registry of Weft or without one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Final

from weft.discovery.consul import ConsulClient, ConsulConfig, ConsulRegistrar, HealthReport, Registration
from weft.discovery.model import Endpoint
from weft.service._config import Address, HostConfig
from weft.service._health import ask
from weft.service._model import ServiceDefinition
from weft.service._threads import Threads

__all__ = ["ConsulRegistration"]

_FIRST_ANSWER_SECONDS: Final = 1.0


class ConsulRegistration:
    """One instance in Consul: registered, reported on with its true health, and taken out at the end.

    Args:
        service: What is hosted.
        instance_id: Of the instance.
        address: What callers dial.
        config: How it is hosted; says how Consul is reached.
    """

    def __init__(
        self, service: ServiceDefinition, instance_id: str, address: Address, config: HostConfig
    ) -> None:
        reached = replace(config.consul or ConsulConfig(), ttl=config.ttl)
        self._check = service.health_check
        self._limit = config.ttl / 3
        self._threads = Threads(1, f"weft-{service.name}-consul")
        self._client = ConsulClient(reached)
        self._registrar = ConsulRegistrar(
            self._client,
            Registration(
                service=service.name,
                endpoint=_endpoint(service, instance_id, address),
                environment=config.environment,
            ),
            health=self._health,
            clock=config.clock,
        )

    def start(self) -> None:
        """Begin; waits for nobody."""
        self._registrar.start()

    async def begun(self) -> None:
        """Wait until it is registered; for an agent that does not answer no longer than a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
                await self._registrar.wait_registered()

    async def close(self) -> None:
        """Take the instance out of Consul's list, as far as the agent answers."""
        try:
            await self._registrar.close()
        finally:
            self._threads.close()
            await self._client.close()

    async def _health(self) -> HealthReport:
        health, note = await ask(self._check, self._threads, self._limit)
        return HealthReport(health=health, note=note)


def _endpoint(service: ServiceDefinition, instance_id: str, address: Address) -> Endpoint:
    return Endpoint(
        host=address.host,
        port=address.port,
        instance_id=instance_id,
        weight=service.weight,
        tags=service.tags,
        version=service.version,
        zone=service.zone,
    )
