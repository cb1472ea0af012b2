"""Something that speaks HTTP and says that it is Consul."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from aiohttp import web

from weft.discovery.consul import ConsulConfig

__all__ = ["Handler", "Impostor", "impostor", "listed"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Impostor:
    """Speaks HTTP on a free port, and answers by the script of a test."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.answer: Handler = self.good
        self.index = 10
        self.ports = [7001]
        self._moved = asyncio.Event()

    def say(self, index: int, *ports: int) -> None:
        """Answer this from now on."""
        self.index, self.ports = index, list(ports)
        self._moved.set()
        self._moved = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.answer(request)

    async def good(self, request: web.Request) -> web.StreamResponse:
        """Answer as Consul does; a blocking query waits until the index has passed."""
        milliseconds = int(request.query.get("wait", "0ms").removesuffix("ms"))
        if int(request.query.get("index", "0")) == self.index:
            with suppress(TimeoutError):
                async with asyncio.timeout(milliseconds / 1000):
                    await self._moved.wait()
        return listed(self.ports, str(self.index))

    @property
    def waits(self) -> list[web.Request]:
        """The blocking queries."""
        return [request for request in self.requests if "index" in request.query]


def listed(ports: list[int], index: str | None, **headers: str) -> web.Response:
    """Return an answer with one instance for each port."""
    entries = [
        {
            "Node": {"Node": "n", "Address": "127.0.0.1", "Datacenter": "dc1"},
            "Service": {"ID": f"web-{port}", "Port": port, "Meta": {"weft-instance": f"web-{port}"}},
            "Checks": [{"CheckID": "c", "Status": "passing"}],
        }
        for port in ports
    ]
    named = {} if index is None else {"X-Consul-Index": index}
    return web.json_response(entries, headers={**named, **headers})


@asynccontextmanager
async def impostor() -> AsyncIterator[tuple[Impostor, ConsulConfig]]:
    server = Impostor()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        port = runner.addresses[0][1]
        config = ConsulConfig(
            address=f"127.0.0.1:{port}",
            request_timeout=timedelta(seconds=0.3),
            wait=timedelta(seconds=1),
            ttl=timedelta(seconds=1),
            max_answer=100_000,
        )
        yield server, config
    finally:
        await runner.cleanup()
