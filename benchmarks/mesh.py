"""Benchmark ``mesh``: an echo through MeshChannel against a raw channel with ``round_robin``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import grpc.aio

from benchmarks.echo import Echo, echo_method
from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.payloads import PAYLOAD
from benchmarks.processes import Processes
from weft.api.common.v1.payload_pb2 import Payload
from weft.discovery.model import Endpoint
from weft.discovery.static import StaticResolver
from weft.mesh.mesh import Mesh, OneResolver

__all__ = ["MeshBenchmark"]

_LEVELS: Final = (1, 32, 128)
_SERVERS: Final = 3
_ROUND_ROBIN: Final = (
    ("grpc.service_config", '{"loadBalancingConfig":[{"round_robin":{}}]}'),
    ("grpc.enable_http_proxy", 0),
)


def _figures() -> tuple[Figure, ...]:
    ratio = partial(Figure, unit="ratio", side="mesh", base="raw")
    return (
        ratio(name="mesh.off/raw.p50.c1", concurrency=1, metric="p50", at_most=1.15),
        *(
            ratio(name=f"mesh.off/raw.rate.c{level}", concurrency=level, metric="rate", at_least=0.90)
            for level in _LEVELS
        ),
        *(
            Figure(name=f"mesh.{side}.rate.c{level}", unit="1/s", side=side, concurrency=level, metric="rate")
            for side in ("raw", "mesh")
            for level in _LEVELS
        ),
    )


class MeshBenchmark:
    """Three servers: called over one raw channel, and over a mesh channel."""

    name = "mesh"
    description = "an echo through MeshChannel over 3 servers against a raw channel with round_robin"
    seconds = 1.0
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start the servers and connect to each."""
        servers = [processes.start(f"echo-{n}", "benchmarks.echo", "raw") for n in range(_SERVERS)]
        addresses = [await server.address() for server in servers]
        mesh = Mesh(OneResolver(StaticResolver({"echo": [_endpoint(each) for each in addresses]})))
        raw = grpc.aio.insecure_channel(f"ipv4:{','.join(addresses)}", options=_ROUND_ROBIN)
        channel = mesh.channel("weft://echo")
        try:
            yield [
                _side("raw", echo_method(raw)),
                _side("mesh", echo_method(channel)),
            ]
        finally:
            await channel.close()
            await mesh.close()
            await raw.close()


def _endpoint(address: str) -> Endpoint:
    host, _, port = address.rpartition(":")
    return Endpoint(host=host, port=int(port))


def _side(name: str, method: Echo) -> Side:
    operation = _operation(method)

    async def block(concurrency: int, seconds: float) -> Block:
        return await closed_loop(operation, concurrency, seconds)

    return Side(name=name, run=block, concurrencies=_LEVELS)


def _operation(method: Echo) -> Operation:
    async def call() -> None:
        answer = await method(Payload(json=PAYLOAD))
        if answer.json != PAYLOAD:
            raise AssertionError(f"not the echo of {PAYLOAD!r}: {answer.json!r}")

    return call
