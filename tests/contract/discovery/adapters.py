"""Every source of instances; a new one joins the contract suite by a class and a line.

Instance number ``n`` of a service is at ``127.0.0.n:5000``, whatever the source.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path
from typing import ClassVar

import dns.rcode

from tests.support.consul import ConsulAgent
from tests.support.dns_server import DnsServer, dns_serving
from tests.support.wire import Wire, connected
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.names import new_id
from weft.discovery import Endpoint, EnvironmentResolver, Resolver, StaticResolver
from weft.discovery.consul import ConsulClient, ConsulResolver
from weft.discovery.dns import DnsConfig, DnsResolver
from weft.discovery.registry import RegistryStreamResolver
from weft.server.app import WeftServer
from weft.server.config import ServerConfig

PORT = 5000


class Promise(Enum):
    """What a source can be made to do, so that what is promised then can be seen."""

    CHANGES = auto()
    """Instances come and go."""
    EMPTIES = auto()
    """It can say that nobody is left."""
    FAILS = auto()
    """It can be out of order, and then work again."""
    RESETS = auto()
    """It can lose what it knew, and go on without it."""


def address(number: int) -> str:
    return f"127.0.0.{number}:{PORT}"


class Source(ABC):
    """One source, and the power to change what it says.

    Args:
        folder: For what it stores.
        agent: Makes a Consul agent run.
    """

    promises: ClassVar[frozenset[Promise]] = frozenset(Promise)
    resolver: Resolver

    def __init__(self, folder: Path, agent: Callable[[], ConsulAgent]) -> None:
        self._folder = folder
        self._agent = agent
        self._own = new_id("t")[-8:]

    def name(self, service: str) -> str:
        """Return the name under which the source has a service."""
        return f"{service}-{self._own}"

    def known_as(self, service: str) -> str:
        """Return what the resolver is asked for."""
        return self.name(service)

    @abstractmethod
    async def open(self) -> None:
        """Start what has to run, and make the resolver."""

    async def close(self) -> None:
        """Stop what runs."""
        return

    async def let_go(self) -> None:
        """Close what the resolver itself keeps open."""
        return

    @abstractmethod
    async def set(self, service: str, numbers: Collection[int]) -> None:
        """Make these the instances of a service."""

    async def fail(self) -> None:
        """Put the source out of order."""
        raise NotImplementedError

    async def recover(self) -> None:
        """Let it work again, with what it knew."""
        raise NotImplementedError

    async def reset(self) -> None:
        """Make it forget everything, and work."""
        raise NotImplementedError


class StaticSource(Source):
    """A table that only its owner changes: it neither fails nor forgets."""

    promises = frozenset({Promise.CHANGES, Promise.EMPTIES})

    async def open(self) -> None:
        self.resolver = self._table = StaticResolver()

    async def set(self, service: str, numbers: Collection[int]) -> None:
        endpoints = [Endpoint(host=f"127.0.0.{number}", port=PORT) for number in numbers]
        self._table.set(self.name(service), endpoints)


class EnvironmentSource(Source):
    """Variables of the process, which do not change while it runs."""

    promises = frozenset[Promise]()

    async def open(self) -> None:
        self._environ: dict[str, str] = {}

    async def set(self, service: str, numbers: Collection[int]) -> None:
        name = self.name(service).upper().replace("-", "_")
        self._environ[f"SERVICE_{name}_URL"] = ",".join(address(number) for number in numbers)
        self.resolver = EnvironmentResolver(self._environ)


QUICK = timedelta(milliseconds=20)


class DnsHostSource(Source):
    """A and AAAA records of a real server: "nothing there" empties no list."""

    promises = frozenset({Promise.CHANGES, Promise.FAILS, Promise.RESETS})
    server: DnsServer

    async def open(self) -> None:
        self._stack = AsyncExitStack()
        self.server = await self._stack.enter_async_context(dns_serving())
        self.resolver = _dns(self.server.address)

    async def close(self) -> None:
        await self._stack.aclose()

    def name(self, service: str) -> str:
        return f"{service}.test:{PORT}"

    async def set(self, service: str, numbers: Collection[int]) -> None:
        self.server.set(f"{service}.test", "A", *(f"127.0.0.{number}" for number in numbers))

    async def fail(self) -> None:
        self.server.rcodes = dict.fromkeys(("A", "AAAA", "SRV"), dns.rcode.SERVFAIL)

    async def recover(self) -> None:
        self.server.rcodes = {}

    async def reset(self) -> None:
        self.server.forget()


class DnsServiceSource(DnsHostSource):
    """SRV records of a real server."""

    def name(self, service: str) -> str:
        return f"_grpc._tcp.{service}.test"

    async def set(self, service: str, numbers: Collection[int]) -> None:
        for number in numbers:
            self.server.set(f"h{number}.test", "A", f"127.0.0.{number}")
        self.server.set(self.name(service), "SRV", *(f"1 1 {PORT} h{number}.test." for number in numbers))


class ConsulSource(Source):
    """A real agent, by blocking queries."""

    async def open(self) -> None:
        self.agent = self._agent()
        self._registered: dict[str, set[int]] = {}
        await self._connect()

    async def _connect(self) -> None:
        config = self.agent.config(wait=timedelta(seconds=1), request_timeout=timedelta(milliseconds=500))
        self._client = ConsulClient(config)
        self.resolver = ConsulResolver(self._client)

    async def let_go(self) -> None:
        await self._client.close()

    async def close(self) -> None:
        await asyncio.to_thread(self.agent.resume)
        for service in list(self._registered):
            await self.set(service, ())

    async def set(self, service: str, numbers: Collection[int]) -> None:
        before, name = self._registered.get(service, set()), self.name(service)
        for number in set(numbers) - before:
            fields = {"Address": f"127.0.0.{number}", "Port": PORT}
            await asyncio.to_thread(self.agent.register, name, f"{name}-{number}", **fields)
        for number in before - set(numbers):
            await asyncio.to_thread(self.agent.deregister, f"{name}-{number}")
        self._registered[service] = set(numbers)

    async def fail(self) -> None:
        self.agent.pause()

    async def recover(self) -> None:
        self.agent.resume()

    async def reset(self) -> None:
        self._registered.clear()
        await asyncio.to_thread(self.agent.wipe)
        await asyncio.to_thread(self.agent.start)


class ConsulDnsSource(ConsulSource):
    """The same agent, by its DNS interface."""

    promises = frozenset({Promise.CHANGES, Promise.FAILS, Promise.RESETS})

    async def _connect(self) -> None:
        self.resolver = _dns(f"127.0.0.1:{self.agent.dns_port}")

    async def let_go(self) -> None:
        """It keeps nothing."""

    def known_as(self, service: str) -> str:
        return f"{self.name(service)}.service.consul"


class RegistrySource(Source):
    """The registry of a real Weft server, by its stream."""

    async def open(self) -> None:
        self._port, self._runs = 0, 0
        self._registered: dict[str, set[int]] = {}
        await self._start()
        self._stream = RegistryStreamResolver(f"127.0.0.1:{self._port}")
        self.resolver = self._stream

    async def let_go(self) -> None:
        await self._stream.close()

    async def close(self) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self._stack = AsyncExitStack()
        config = ServerConfig(
            listen=f"127.0.0.1:{self._port}",
            data_dir=self._folder / f"data-{self._runs}",
            drain_grace=timedelta(0),
        )
        server = await self._stack.enter_async_context(WeftServer(config))
        self._port = int(server.address.rpartition(":")[2])
        self._wire: Wire = await self._stack.enter_async_context(connected(server.address))

    async def set(self, service: str, numbers: Collection[int]) -> None:
        name, registry = self.name(service), self._wire.registry
        if service not in self._registered:
            await registry.RegisterService(pb.RegisterServiceRequest(service=registry_pb2.Service(name=name)))
        before = self._registered.get(service, set())
        for number in set(numbers) - before:
            instance = registry_pb2.Instance(id=f"{name}-{number}", host=f"127.0.0.{number}", port=PORT)
            await registry.RegisterInstance(pb.RegisterInstanceRequest(service=name, instance=instance))
        for number in before - set(numbers):
            await registry.DeregisterInstance(pb.DeregisterInstanceRequest(instance_id=f"{name}-{number}"))
        self._registered[service] = set(numbers)

    async def fail(self) -> None:
        await self._stack.aclose()

    async def recover(self) -> None:
        await self._start()

    async def reset(self) -> None:
        await self.fail()
        self._runs += 1
        self._registered.clear()
        await self._start()


def _dns(nameserver: str) -> DnsResolver:
    timeout = timedelta(milliseconds=300)
    return DnsResolver(DnsConfig(nameserver=nameserver, min_interval=QUICK, timeout=timeout))


ADAPTERS: dict[str, type[Source]] = {
    "consul": ConsulSource,
    "consul-dns": ConsulDnsSource,
    "dns-host": DnsHostSource,
    "dns-srv": DnsServiceSource,
    "environment": EnvironmentSource,
    "registry": RegistrySource,
    "static": StaticSource,
}
"""The sources that the tests of this folder run over, each over those that can be made to do it."""


def having(*promises: Promise) -> list[str]:
    """Return the adapters of sources that can do all of that."""
    return [name for name, source in ADAPTERS.items() if set(promises) <= source.promises]
