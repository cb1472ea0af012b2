"""Calls at a steady rate, whatever becomes of them, and who got them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import grpc.aio

from benchmarks.fleet.host import SERVICE
from benchmarks.harness import Block
from benchmarks.report import note
from weft.api.action.v1 import action_service_pb2, action_service_pb2_grpc
from weft.api.common.v1 import payload_pb2
from weft.discovery.resolvers import Resolvers, SourcesConfig
from weft.mesh.balancing import Node
from weft.mesh.call_options import CallOptions, RetryMethods
from weft.mesh.mesh import Mesh, MeshConfig
from weft.mesh.route import Route

__all__ = ["RATE", "Attempts", "Load", "meshed"]

RATE: Final = 500
"""Calls a second."""

_TICK: Final = 0.02
_TIMEOUT: Final = 5.0


class Attempts:
    """Notes when each instance was last picked for a call, whether it could be connected or not."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.count: Counter[str] = Counter()

    def watch(self, route: Route) -> None:
        """Note every pick of a route."""
        pick = route.pick

        def noted(*arguments: Any, **named: Any) -> Node | None:
            node = pick(*arguments, **named)
            if node is not None:
                self.last[node.endpoint.key] = time.monotonic()
                self.count[node.endpoint.key] += 1
            return node

        route.pick = noted


class Load:
    """Makes calls at ``RATE`` for as long as the block runs.

    Attributes:
        latencies: Seconds of each call that succeeded.
        failures: What went wrong, and how often.
    """

    def __init__(self, mesh: Mesh, target: str) -> None:
        options = CallOptions(retry_methods=RetryMethods.ALL)
        self._stub = action_service_pb2_grpc.ActionServiceStub(mesh.channel(target, options=options))
        self._request = action_service_pb2.InvokeActionRequest(
            service=SERVICE, action="echo", input=payload_pb2.Payload(json=b'{"text":"hello"}')
        )
        self._calls: set[asyncio.Task[None]] = set()
        self.latencies: list[float] = []
        self.failures: Counter[str] = Counter()

    async def ready(self) -> None:
        """Wait until a call succeeds."""
        async with asyncio.timeout(20):
            await self._stub.InvokeAction(self._request, wait_for_ready=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make calls while the block runs, and wait for the last of them."""
        maker = asyncio.create_task(self._make())
        try:
            yield
        finally:
            maker.cancel()
            with suppress(asyncio.CancelledError):
                await maker
            await asyncio.gather(*self._calls)

    def block(self, seconds: float, **extra: float) -> Block:
        """Return what was measured, and forget it."""
        for failure, times in self.failures.most_common(5):
            note(f"{times} calls failed: {failure}")
        made, failed = len(self.latencies) + self.failures.total(), self.failures.total()
        block = Block(
            seconds=seconds,
            latencies=self.latencies or [0.0],
            extra={"calls": made, "failed": failed, **extra},
        )
        self.latencies, self.failures = [], Counter()
        return block

    async def _make(self) -> None:
        """Keep to the rate also when this loop is late now and then."""
        begun, made = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - begun) * RATE)
            for _ in range(due - made):
                call = asyncio.create_task(self._call())
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
            made = due
            await asyncio.sleep(_TICK)

    async def _call(self) -> None:
        begun = time.perf_counter()
        try:
            await self._stub.InvokeAction(self._request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            self.failures[f"{error.code().name}: {error.details()}"] += 1
        else:
            self.latencies.append(time.perf_counter() - begun)


@asynccontextmanager
async def meshed(
    sources: SourcesConfig, target: str, config: MeshConfig | None = None
) -> AsyncIterator[tuple[Mesh, Attempts]]:
    """Open a mesh, and note whom it picks for calls to a target."""
    attempts = Attempts()
    mesh = Mesh(Resolvers(sources), config)
    try:
        attempts.watch(mesh.route(target))
        yield mesh, attempts
    finally:
        await mesh.close()
