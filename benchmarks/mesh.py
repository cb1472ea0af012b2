"""Benchmark ``mesh``: an echo through MeshChannel against a raw channel with ``round_robin``.

Each side calls three servers in processes of their own. The raw side and
``mesh`` without tracing call the same three; the sides that trace call servers
that trace too, as in use. ``contrib`` is the instrumentation of the
OpenTelemetry project on the raw channel and its servers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import grpc.aio

from benchmarks.echo import Echo, contrib_client, echo_method
from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.payloads import PAYLOAD
from benchmarks.processes import Processes
from benchmarks.spans import weft_provider
from weft.api.common.v1.payload_pb2 import Payload
from weft.discovery.model import Endpoint
from weft.discovery.static import StaticResolver
from weft.mesh.mesh import Mesh, OneResolver
from weft.mesh.tracing.client import RpcTracer
from weft.mesh.tracing.port import NO_TRACING, CallTracer

__all__ = ["MeshBenchmark"]

_LEVELS: Final = (1, 32, 128)
_SIDES: Final = ("raw", "control", "off", "unsampled", "sampled", "contrib")
_STACKS: Final = ("raw", "traced", "contrib")
_SERVERS: Final = 3
_ROUND_ROBIN: Final = (
    ("grpc.service_config", '{"loadBalancingConfig":[{"round_robin":{}}]}'),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
_GOALS: Final = {"off": 0.90, "unsampled": 0.85, "sampled": 0.72}
"""Throughput at least, as a part of the raw channel's."""


def _figures() -> tuple[Figure, ...]:
    ratio = partial(Figure, unit="ratio", metric="rate")
    return (
        Figure(
            name="mesh.off/raw.p50.c1",
            unit="ratio",
            side="off",
            base="raw",
            concurrency=1,
            metric="p50",
            at_most=1.15,
        ),
        *(
            ratio(name=f"mesh.{side}/raw.rate.c{c}", side=side, base="raw", concurrency=c, at_least=goal)
            for side, goal in _GOALS.items()
            for c in _LEVELS
        ),
        *(
            ratio(
                name=f"mesh.sampled/contrib.rate.c{c}",
                side="sampled",
                base="contrib",
                concurrency=c,
                at_least=1.1,
            )
            for c in _LEVELS
        ),
        *(
            ratio(name=f"mesh.{side}/raw.rate.c{c}", side=side, base="raw", concurrency=c)
            for side in ("control", "contrib")
            for c in _LEVELS
        ),
        *(
            Figure(name=f"mesh.{side}.{metric}.c{c}", unit=unit, side=side, concurrency=c, metric=metric)
            for side in _SIDES
            for c in _LEVELS
            for metric, unit in (("p50", "ms"), ("rate", "1/s"))
        ),
    )


class MeshBenchmark:
    """A raw channel, the same again, and mesh channels with and without tracing, each over three servers."""

    name = "mesh"
    description = "an echo through MeshChannel over 3 servers against a raw channel with round_robin"
    seconds = 1.0
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start the servers and connect to each."""
        started = {
            stack: [processes.start(f"{stack}-{n}", "benchmarks.echo", stack) for n in range(_SERVERS)]
            for stack in _STACKS
        }
        places = {stack: [await each.address() for each in some] for stack, some in started.items()}
        async with AsyncExitStack() as stack:
            channels = {
                "raw": _raw(places["raw"]),
                "control": _raw(places["raw"]),
                "off": await _mesh(stack, places["raw"], NO_TRACING),
                "unsampled": await _mesh(stack, places["traced"], RpcTracer(weft_provider(sampled=False))),
                "sampled": await _mesh(stack, places["traced"], RpcTracer(weft_provider(sampled=True))),
                "contrib": _raw(places["contrib"], contrib_client()),
            }
            for channel in channels.values():
                await stack.enter_async_context(channel)
            yield [_side(name, echo_method(channels[name])) for name in _SIDES]


def _raw(addresses: Sequence[str], interceptors: Sequence[Any] = ()) -> grpc.aio.Channel:
    target = f"ipv4:{','.join(addresses)}"
    return grpc.aio.insecure_channel(target, options=_ROUND_ROBIN, interceptors=interceptors)


async def _mesh(stack: AsyncExitStack, addresses: Sequence[str], tracer: CallTracer) -> grpc.aio.Channel:
    endpoints = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        endpoints.append(Endpoint(host=host, port=int(port)))
    mesh = Mesh(OneResolver(StaticResolver({"echo": endpoints})), tracer=tracer)
    stack.push_async_callback(mesh.close)
    return mesh.channel("weft://echo")


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
