"""The registry's stream: what its answers mean, and what a server that begins anew does not take away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest

from tests.support.discovery import following
from tests.support.watching import eventually
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.transport import CHANNEL_OPTIONS
from weft.discovery import Endpoint, Health, Protocol
from weft.discovery.registry import _OPTIONS, RegistryStreamResolver

SERVICE = "weft.api.registry.v1.RegistryService"


class Scripted:
    """A registry that says what a test puts into it; None ends the stream, a code breaks it."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[pb.WatchInstancesResponse | grpc.StatusCode | None] = asyncio.Queue()
        self.streams = 0

    def say(self, version: int, *instances: registry_pb2.Instance, endpoint: str = "") -> None:
        self.words.put_nowait(
            pb.WatchInstancesResponse(version=version, instances=instances, endpoint=endpoint)
        )

    async def watch(self, request: pb.WatchInstancesRequest, context: Any) -> AsyncIterator[Any]:
        assert request.service == "s"
        self.streams += 1
        while (word := await self.words.get()) is not None:
            if isinstance(word, grpc.StatusCode):
                await context.abort(word, "out of order")
            yield word


@asynccontextmanager
async def scripted() -> AsyncIterator[tuple[Scripted, RegistryStreamResolver]]:
    servicer, server = Scripted(), grpc.aio.server()
    handler: Any = grpc.unary_stream_rpc_method_handler(
        servicer.watch,
        request_deserializer=pb.WatchInstancesRequest.FromString,
        response_serializer=pb.WatchInstancesResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {"WatchInstances": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    resolver = RegistryStreamResolver(f"127.0.0.1:{port}", settle=timedelta(milliseconds=300))
    yield servicer, resolver
    await resolver.close()
    await server.stop(None)


def instance(number: int, **fields: Any) -> registry_pb2.Instance:
    values = {"id": f"i{number}", "host": "10.0.0.1", "port": number, "weight": 1, **fields}
    return registry_pb2.Instance(**values)


async def test_reads_everything_of_an_instance() -> None:
    """What callers choose by arrives: protocol, path, weight, tags, version, zone, health."""
    async with scripted() as (registry, resolver), following(resolver, "s") as stream:
        registry.say(
            1,
            instance(
                7,
                protocol=registry_pb2.PROTOCOL_HTTP,
                metadata={"path": "/api/"},
                weight=3,
                tags=["a", "b"],
                version="1.2.3",
                zone="z",
                health=registry_pb2.HEALTH_STATE_WARNING,
            ),
        )
        assert (await anext(stream)).endpoints == (
            Endpoint(
                host="10.0.0.1",
                port=7,
                instance_id="i7",
                protocol=Protocol.HTTP,
                path="/api",
                weight=3,
                tags=("a", "b"),
                metadata={"path": "/api/"},
                version="1.2.3",
                zone="z",
                health=Health.WARNING,
            ),
        )


async def test_leaves_out_what_cannot_be_dialled() -> None:
    """An instance without a port, or with a host that is none, is nowhere."""
    async with scripted() as (registry, resolver), following(resolver, "s") as stream:
        nowhere = [instance(port) for port in (0, -1, 65_536)]
        registry.say(1, *nowhere, instance(1, host="a b"), instance(2, host="unix:/x"), instance(3))
        assert [it.port for it in (await anext(stream)).endpoints] == [3]


@pytest.mark.parametrize(
    ("endpoint", "addresses", "bound_to"),
    [
        ("grpc://10.0.0.9:5", ["10.0.0.9:5"], ""),
        ("consul://orders?tag=v1", [], "consul://orders?tag=v1"),
        ("quic://of.a.newer.server", [], ""),
        ("", [], ""),
    ],
)
async def test_a_service_without_instances(endpoint: str, addresses: list[str], bound_to: str) -> None:
    """It is at its own endpoint, or where that points to; once it has instances, there."""
    async with scripted() as (registry, resolver), following(resolver, "s") as stream:
        registry.say(1, endpoint=endpoint)
        snapshot = await anext(stream)
        assert [it.address for it in snapshot.endpoints] == addresses
        assert snapshot.bound_to == bound_to
        registry.say(2, instance(1), endpoint=endpoint)
        snapshot = await anext(stream)
        assert ([it.port for it in snapshot.endpoints], snapshot.bound_to) == ([1], "")


@pytest.mark.parametrize(
    ("endpoint", "addresses", "bound_to"),
    [
        ("grpc://10.0.0.9:5", ["10.0.0.1:1", "10.0.0.9:5"], ""),
        ("consul://orders", ["10.0.0.1:1"], "consul://orders"),
        ("", ["10.0.0.1:1"], ""),
    ],
)
async def test_a_service_whose_instances_cannot_be_called(
    endpoint: str, addresses: list[str], bound_to: str
) -> None:
    """It is at its own endpoint as well, until one of them can."""
    async with scripted() as (registry, resolver), following(resolver, "s") as stream:
        critical = instance(1, host="10.0.0.1", health=registry_pb2.HEALTH_STATE_CRITICAL)
        registry.say(1, critical, endpoint=endpoint)
        snapshot = await anext(stream)
        assert ([it.address for it in snapshot.endpoints], snapshot.bound_to) == (addresses, bound_to)
        warning = instance(1, host="10.0.0.1", health=registry_pb2.HEALTH_STATE_WARNING)
        registry.say(2, warning, endpoint=endpoint)
        snapshot = await anext(stream)
        assert ([it.address for it in snapshot.endpoints], snapshot.bound_to) == (["10.0.0.1:1"], "")


def connected(resolver: RegistryStreamResolver) -> bool:
    return resolver._channel is not None


async def test_the_connection_goes_with_the_last_watch() -> None:
    """What nobody follows any more costs nothing; and it is there again when somebody does."""
    async with scripted() as (registry, resolver):
        async with following(resolver, "s") as one:
            registry.say(1, instance(1))
            await anext(one)
            async with following(resolver, "s") as other:
                first = asyncio.create_task(anext(other))
                await eventually(lambda: registry.streams == 2)
                registry.say(2, instance(2))  # the one who waited first
                registry.say(2, instance(2))
                await first
            assert connected(resolver)
        assert not connected(resolver)
        async with following(resolver, "s") as again:
            later = asyncio.create_task(anext(again))
            while not later.done():  # streams that end may still take an answer
                registry.say(3, instance(2))
                await asyncio.sleep(0.05)
            assert [it.port for it in later.result().endpoints] == [2]


async def test_a_binding_that_changes_is_told() -> None:
    """Also when the list is as empty as before."""
    async with scripted() as (registry, resolver), following(resolver, "s") as stream:
        registry.say(1)
        registry.say(2, endpoint="consul://a")
        registry.say(3, endpoint="consul://b")
        assert [(await anext(stream)).bound_to for _ in range(3)] == ["", "consul://a", "consul://b"]


async def test_a_version_that_goes_back_is_no_removal() -> None:
    """A server that lost its memory did not remove whom it does not name; after a while it is believed."""
    async with scripted() as (registry, resolver), following(resolver, "s") as stream:
        registry.say(7, instance(1), instance(2))
        await anext(stream)
        registry.say(1, instance(3))
        snapshot = await anext(stream)
        assert {it.port for it in snapshot.endpoints} == {1, 2, 3}
        assert snapshot.stale
        snapshot = await asyncio.wait_for(anext(stream), 10)
        assert ([it.port for it in snapshot.endpoints], snapshot.stale) == ([3], False)


@pytest.mark.parametrize("how", [None, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
async def test_a_stream_that_ends_is_opened_again(how: grpc.StatusCode | None) -> None:
    """The list holds meanwhile, stale, and says why."""
    async with scripted() as (registry, resolver), following(resolver, "s") as stream:
        registry.say(1, instance(1))
        await anext(stream)
        registry.words.put_nowait(how)
        snapshot = await anext(stream)
        assert [it.port for it in snapshot.endpoints] == [1]
        assert ("the server ended the stream" if how is None else how.name) in snapshot.problem
        registry.say(2, instance(1), instance(2))
        snapshot = await asyncio.wait_for(anext(stream), 10)
        assert ([it.port for it in snapshot.endpoints], snapshot.stale) == ([1, 2], False)
        assert registry.streams == 2


async def test_a_server_far_away() -> None:
    """A connection that takes longer to be made than a pause between attempts is made all the same."""
    async with scripted() as (registry, resolver), slow_way_to(resolver._address) as address:
        far = RegistryStreamResolver(address)
        registry.say(1, instance(1))
        async with following(far, "s") as stream:
            assert not (await asyncio.wait_for(anext(stream), 20)).stale
        await far.close()


@asynccontextmanager
async def slow_way_to(address: str) -> AsyncIterator[str]:
    """Forward TCP to an address, each piece 0.15 s later."""
    host, _, port = address.rpartition(":")
    pipes: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await asyncio.sleep(0.15)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        pipes.update(asyncio.create_task(it) for it in (forward(reader, back), forward(there, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for pipe in pipes:
        pipe.cancel()
    await asyncio.gather(*pipes, return_exceptions=True)
    await asyncio.sleep(0)  # closing takes one more turn of the loop


def test_a_dead_peer_is_noticed() -> None:
    """The stream's connection has the mesh's keepalive: a half-open one ends within 40 s."""
    options = dict(_OPTIONS)
    assert set(CHANNEL_OPTIONS) <= set(_OPTIONS)
    assert options["grpc.keepalive_time_ms"] + options["grpc.http2.ping_timeout_ms"] <= 40_000
