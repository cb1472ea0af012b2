"""Servers that take what is exported, over gRPC and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import grpc.aio
from aiohttp import web

__all__ = ["Collects", "over_grpc", "over_http"]


class Collects(Protocol):
    """What keeps that which is exported."""

    address: str

    def take(self, body: bytes, metadata: Mapping[str, str]) -> None:
        """Keep what came over HTTP."""


C = TypeVar("C", bound=Collects)


@asynccontextmanager
async def over_grpc(collector: C, add: Callable[[Any, Any], None]) -> AsyncIterator[C]:
    server = grpc.aio.server()
    add(collector, server)
    collector.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(None)


@asynccontextmanager
async def over_http(collector: C, path: str) -> AsyncIterator[C]:
    async def take(request: web.Request) -> web.Response:
        collector.take(await request.read(), {key.lower(): value for key, value in request.headers.items()})
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post(path, take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.address = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    try:
        yield collector
    finally:
        await runner.cleanup()
