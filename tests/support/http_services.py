"""HTTP services to call: real servers on the loopback interface, and a caller that finds them by name."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy

from weft.core.clock import SystemClock
from weft.discovery.model import Endpoint, Protocol
from weft.discovery.static import StaticResolver
from weft.discovery.target import parse_target
from weft.discovery.watch import Watch
from weft.mesh.balancing import BalancerConfig, LoadBalancer
from weft.mesh.http import HttpCaller
from weft.mesh.route import Route

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class HttpService:
    """A server that answers as its handler says, and keeps what it was asked."""

    def __init__(self, name: str, handler: Handler | None) -> None:
        self.name = name
        self.handler = handler or self.say_who
        self.endpoint = Endpoint(host="127.0.0.1", port=1)
        self.paths: list[str] = []
        self.headers: list[CIMultiDictProxy[str]] = []
        self.bodies: list[bytes] = []
        self.running = 0
        self.most_running = 0
        self.connections: set[Any] = set()

    async def say_who(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"by": self.name})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        self.paths.append(request.raw_path)
        self.headers.append(request.headers)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            self.bodies.append(await request.read())
            return await self.handler(request)
        finally:
            self.running -= 1


@asynccontextmanager
async def http_service(
    name: str = "a", handler: Handler | None = None, *, path: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpService]:
    """Serve everything on a free port."""
    service = HttpService(name, handler)
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    service.endpoint = endpoint(runner.addresses[0][1], name, path=path)
    try:
        yield service
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_service(serve: Serve, name: str = "raw") -> AsyncIterator[Endpoint]:
    """Serve connections by hand."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield endpoint(server.sockets[0].getsockname()[1], name)
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def endpoint(port: int, name: str = "", *, path: str = "") -> Endpoint:
    return Endpoint(host="127.0.0.1", port=port, instance_id=name, protocol=Protocol.HTTP, path=path)


def nobody(name: str = "nobody") -> Endpoint:
    """Return an address that refuses connections."""
    return endpoint(1, name)


class World:
    """One resolver, and the routes that a caller asks for."""

    def __init__(self, balancer: BalancerConfig | None = None) -> None:
        self.resolver = StaticResolver()
        self._balancer = balancer or BalancerConfig(outliers=None)
        self._routes: dict[str, Route] = {}

    def set(self, service: str, *endpoints: Endpoint) -> None:
        self.resolver.set(service, endpoints)

    def route(self, target: str) -> Route:
        if target not in self._routes:
            parsed = parse_target(target)
            balancer = LoadBalancer(self._balancer, SystemClock(), random.Random(7))
            watch = Watch(self.resolver, parsed.name)
            self._routes[target] = Route(parsed, watch, balancer, protocol=Protocol.HTTP)
        return self._routes[target]

    async def close(self) -> None:
        for route in self._routes.values():
            await route.close()


@asynccontextmanager
async def calling(*endpoints: Endpoint, **options: Any) -> AsyncIterator[HttpCaller]:
    """Call ``texts``, which has these instances."""
    world = World()
    world.set("texts", *endpoints)
    caller = HttpCaller(world.route, **options)
    try:
        yield caller
    finally:
        await caller.close()
        await world.close()
