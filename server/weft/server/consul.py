"""The server in Consul: its services registered there, with their true health, for as long as it serves."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from weft.core.clock import Clock
from weft.discovery.consul import ConsulClient, ConsulRegistrar, HealthReport, Registration
from weft.discovery.model import Endpoint, Health

__all__ = ["ServerIdentity", "ServerRegistration"]

_ROLES: Final = ("registry", "workflow", "execution")
"""Each is a service of its own in Consul, so that callers need not change when they are split."""

_LEAVE: Final = timedelta(seconds=3)
_HELD_UP: Final = 1.0
"""Seconds that a Consul which does not answer delays a stop."""

_NO_ID: Final = re.compile(r"[^A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """What Consul is told of a server."""

    host: str
    """Where callers dial it."""
    port: int
    """Its port."""
    environment: str = ""
    """Such as ``production``."""
    zone: str = ""
    """Failure domain within the datacenter."""
    store: str = ""
    """Kind of its store."""

    def registrations(self, services: Mapping[str, str]) -> list[Registration]:
        """Return an entry for each service.

        Args:
            services: Full name of the gRPC service, by role.
        """
        where = _NO_ID.sub("-", socket.gethostname()).strip("-")[:60] or "host"
        unique = f"{where}-{secrets.token_hex(4)}"
        return [self._registration(role, unique, services[role]) for role in _ROLES]

    def _registration(self, role: str, unique: str, service: str) -> Registration:
        endpoint = Endpoint(
            host=self.host,
            port=self.port,
            instance_id=f"weft-{role}-{unique}",
            tags=("weft",),
            metadata={
                "grpc-service": service,
                "store": self.store,
                "pid": str(os.getpid()),
                "host": socket.gethostname(),
            },
            version=version("weft"),
            zone=self.zone,
        )
        return Registration(service=f"weft-{role}", endpoint=endpoint, environment=self.environment)


class ServerRegistration:
    """Keeps a server in Consul. An agent that does not answer holds nothing up.

    Args:
        client: How Consul is reached; stays open.
        identity: What Consul is told.
        services: Full name of the gRPC service, by role.
        problem: Says why the server cannot do its work now; empty when it can.
        clock: Times the heartbeats.
    """

    def __init__(
        self,
        client: ConsulClient,
        identity: ServerIdentity,
        services: Mapping[str, str],
        problem: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._problem = problem
        self._registrars = [
            ConsulRegistrar(client, registration, health=self._health, clock=clock)
            for registration in identity.registrations(services)
        ]
        self._leaving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to register; waits for nobody."""
        for registrar in self._registrars:
            registrar.start()

    def changed(self) -> None:
        """Tell Consul now: the health is another one."""
        for registrar in self._registrars:
            registrar.poke()

    async def leave(self) -> None:
        """Take the server out of Consul's lists; a Consul that does not answer is not waited for long."""
        self._leaving = asyncio.create_task(self._leave(), name="deregistration from Consul")
        await asyncio.wait({self._leaving}, timeout=_HELD_UP)

    async def close(self) -> None:
        """Let go, after what is still under way of leaving."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(), name="deregistration from Consul")
        await self._leaving

    async def _leave(self) -> None:
        await asyncio.gather(*(registrar.close(_LEAVE) for registrar in self._registrars))

    async def _health(self) -> HealthReport:
        problem = self._problem()
        return HealthReport(health=Health.CRITICAL, note=problem) if problem else HealthReport()
