"""Servers that behave as asked, and a mesh that knows them from a list that tests change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from tests.support.behaviours import Behaviours, serve
from weft.discovery.model import Endpoint
from weft.discovery.static import StaticResolver
from weft.mesh.mesh import Mesh, OneResolver

__all__ = ["Fleet"]


class Fleet:
    """Instances of one service, ``fleet``."""

    def __init__(self) -> None:
        self.resolver = StaticResolver()
        self.instances: list[Behaviours] = []
        self.servers: list[grpc.aio.Server] = []
        self.ports: list[int] = []

    async def grow(self, count: int = 1) -> None:
        for _ in range(count):
            behaviours = Behaviours()
            server, port = await serve(behaviours)
            self.instances.append(behaviours)
            self.servers.append(server)
            self.ports.append(port)

    def publish(self, *numbers: int) -> None:
        """Let the source name those instances; by default all."""
        chosen = numbers or tuple(range(len(self.ports)))
        self.resolver.set("fleet", [self.endpoint(number) for number in chosen])

    def publish_none(self) -> None:
        self.resolver.set("fleet", [])

    def endpoint(self, number: int) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=self.ports[number], instance_id=f"i-{number}")

    async def stop(self, number: int, grace: float | None = None) -> None:
        await self.servers[number].stop(grace)

    async def restart(self, number: int) -> None:
        self.servers[number], _ = await serve(self.instances[number], self.ports[number])

    @property
    def calls(self) -> list[int]:
        return [instance.calls for instance in self.instances]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    fleet = Fleet()
    yield fleet
    for server in fleet.servers:
        await server.stop(None)


@pytest.fixture
async def mesh(fleet: Fleet) -> AsyncIterator[Mesh]:
    mesh = Mesh(OneResolver(fleet.resolver))
    yield mesh
    await mesh.close()


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Every task that a test's channels started has ended with them."""
    before = asyncio.all_tasks()
    yield
    left: set[asyncio.Task[Any]] = set()
    for _ in range(250):
        left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
        if not left:
            break
        await asyncio.sleep(0.02)
    assert not left
