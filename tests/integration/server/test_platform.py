"""What every gRPC tool expects of a server: health, reflection, channelz, metadata and limits."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.support.wire import SERVICES, connected, refusal_of, take_apart
from tests.support.world import World, serving
from weft.api.registry.v1 import registry_service_pb2
from weft.core.errors import Code
from weft.core.reasons import Reason
from weft.server.app import WeftServer
from weft.server.config import ServerConfig

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

NAMES = [*(service.full_name for service in SERVICES), "weft.api.execution.v1.ArchiveService"]
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("name", ["", *NAMES])
async def test_each_service_says_that_it_serves(world: World, name: str) -> None:
    """Check and Watch answer SERVING for the whole and for every full name."""
    health: Any = health_pb2_grpc.HealthStub(world.wire.channel)
    request = health_pb2.HealthCheckRequest(service=name)
    assert (await health.Check(request, timeout=5)).status == SERVING
    watch = health.Watch(request, timeout=5)
    assert (await anext(aiter(watch))).status == SERVING
    watch.cancel()


async def test_the_health_of_an_unknown_service_is_not_found(world: World) -> None:
    """As the protocol says: Check answers NOT_FOUND."""
    health: Any = health_pb2_grpc.HealthStub(world.wire.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(health_pb2.HealthCheckRequest(service="ghost"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_open_streams_end_with_a_reason_and_do_not_hold_up_the_stop() -> None:
    """At a stop, health says NOT_SERVING, then every stream ends: UNAVAILABLE, SERVER_DRAINING."""
    server = WeftServer(ServerConfig(listen="127.0.0.1:0", drain_grace=timedelta(seconds=60)))
    async with asyncio.timeout(10), server, connected(server.address) as wire:
        stub: Any = health_pb2_grpc.HealthStub(wire.channel)
        health = aiter(stub.Watch(health_pb2.HealthCheckRequest()))
        watch = registry_service_pb2.WatchInstancesRequest(service="ghost")
        instances = aiter(wire.registry.WatchInstances(watch))
        assert (await anext(health)).status == SERVING
        await anext(instances)
        await server.stop()
        assert (await anext(health)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        for stream in (health, instances):
            refusal = await refusal_of(anext(stream))
            assert refusal.kind == (Code.UNAVAILABLE, Reason.SERVER_DRAINING)
            assert refusal.retry_after == 1.0


async def reflect(world: World, **request: Any) -> reflection_pb2.ServerReflectionResponse:
    channel: Any = world.wire.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]), timeout=5)
    answer: reflection_pb2.ServerReflectionResponse = await anext(aiter(call))
    return answer


async def test_reflection_lists_every_service(world: World) -> None:
    """Grpcurl and buf curl find our services, health, channelz and reflection itself."""
    listed = await reflect(world, list_services="")
    names = {service.name for service in listed.list_services_response.service}
    assert names == {
        *NAMES, "grpc.health.v1.Health", "grpc.channelz.v1.Channelz",
        "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_reflection_describes_every_service(world: World, name: str) -> None:
    """The file that a service stands in can be fetched by the service's name."""
    answer = await reflect(world, file_containing_symbol=name)
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(data)
        for data in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert name in {f"{file.package}.{service.name}" for file in files for service in file.service}


@pytest.mark.parametrize(
    "name",
    [
        "weft.api.execution.v1.ExecutionService.StartExecution",
        "grpc.health.v1.Health.Check",
        "grpc.reflection.v1.ServerReflection.ServerReflectionInfo",
    ],
)
async def test_reflection_finds_the_file_of_a_method(world: World, name: str) -> None:
    """The protocol names ``<package>.<service>[.<method>]``, and ``grpcurl describe`` asks for it."""
    answer = await reflect(world, file_containing_symbol=name)
    assert answer.original_request.file_containing_symbol == name
    files = answer.file_descriptor_response.file_descriptor_proto
    first = descriptor_pb2.FileDescriptorProto.FromString(files[0])
    assert name in {
        f"{first.package}.{service.name}.{method.name}"
        for service in first.service
        for method in service.method
    }


@pytest.mark.parametrize("name", ["weft.api.execution.v1.ExecutionService.Start", "Start", "."])
async def test_reflection_does_not_find_what_is_not_there(world: World, name: str) -> None:
    """A service that has no such method is no answer."""
    answer = await reflect(world, file_containing_symbol=name)
    assert answer.error_response.error_code == Code.NOT_FOUND


async def test_channelz_knows_the_server(world: World) -> None:
    """GetServers answers with this server and its counts of calls."""
    channel: Any = world.wire.channel
    stub: Any = channelz_pb2_grpc.ChannelzStub(channel)
    answer = await stub.GetServers(channelz_pb2.GetServersRequest(), timeout=5)
    assert any(server.data.calls_started > 0 for server in answer.server)


async def test_the_callers_request_id_is_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """``x-request-id`` is accepted as metadata; a call that is refused with one is logged once."""
    caplog.set_level(logging.DEBUG, logger="weft.server.rpc")
    metadata = (("x-request-id", "r" * 300), ("x-project-id", "p"), ("some-bin", b"\x00\xff"))
    await world.wire.registry.ListServices(
        registry_service_pb2.ListServicesRequest(), metadata=metadata, timeout=5
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.wire.registry.GetService(
            registry_service_pb2.GetServiceRequest(service="ghost"), metadata=metadata, timeout=5
        )
    assert take_apart(caught.value).reason == Reason.SERVICE_NOT_FOUND
    lines = [record.__dict__ for record in caplog.records if record.name == "weft.server.rpc"]
    assert [(line["method"].rpartition("/")[2], line["code"], line["reason"]) for line in lines] == [
        ("ListServices", "OK", ""),
        ("GetService", "NOT_FOUND", "SERVICE_NOT_FOUND"),
    ]


async def test_a_message_over_4_mib_is_refused_and_harms_nobody(world: World) -> None:
    """5 MB are RESOURCE_EXHAUSTED by gRPC itself, on the same connection that goes on working."""
    request = registry_service_pb2.GetServiceRequest(service="x" * 5_000_000)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.wire.registry.GetService(request, timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await world.is_well()


async def test_an_unknown_method_is_unimplemented(world: World) -> None:
    """Of a service of ours, and of one that is not here."""
    raw: Any = world.wire.channel
    for method in (f"/{NAMES[0]}/Nope", "/nobody.Service/Nope"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw.unary_unary(method)(b"", timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert await world.is_well()


async def test_bytes_that_are_no_request_are_refused_by_reflection_too(world: World) -> None:
    """A stream of garbage ends with INVALID_ARGUMENT, as a single request does."""
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    raw: Any = world.wire.channel
    call = raw.stream_stream(method)(iter([b"\xff\xff"]), timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(call))
    assert take_apart(caught.value).kind == (Code.INVALID_ARGUMENT, Reason.VALIDATION_FAILED)


async def test_a_burst_of_calls_is_served(world: World) -> None:
    """300 calls at once over one connection, three times the streams it may have: all are answered."""
    calls = [
        world.wire.registry.GetService(registry_service_pb2.GetServiceRequest(service="texts"), timeout=20)
        for _ in range(300)
    ]
    answers = await asyncio.gather(*calls)
    assert {answer.service.name for answer in answers} == {"texts"}


async def test_a_call_that_is_given_up_leaves_nothing_behind() -> None:
    """A watch whose caller goes away ends at the server too: it stops at once afterwards."""
    async with asyncio.timeout(5), serving() as wire:
        for _ in range(20):
            await wire.call("WatchInstances", registry_service_pb2.WatchInstancesRequest(service="x"))


@pytest.mark.parametrize(
    "sent", [b"a\tb", b" ab ", b"a\r\nb", b"a\x00b", b"a\xc3\xa4b", b"a\xffb", b"ab\x7f"]
)
async def test_a_request_id_that_cannot_be_sent_back_fails_no_call(world: World, sent: bytes) -> None:
    """More comes in as metadata than gRPC lets out: what is left of the id goes back."""
    reader, writer = await asyncio.open_connection(*world.wire.address.split(":"))
    path = b"/weft.api.registry.v1.RegistryService/ListServices"
    fields = {b":method": b"POST", b":scheme": b"http", b":path": path, b":authority": b"weft"}
    fields |= {b"content-type": b"application/grpc", b"te": b"trailers", b"x-request-id": sent}
    head = b"".join(b"\x00%c%b%c%b" % (len(name), name, len(value), value) for name, value in fields.items())
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
    writer.write(len(head).to_bytes(3) + bytes((1, 4, 0, 0, 0, 1)) + head)
    writer.write(bytes((0, 0, 5, 0, 1, 0, 0, 0, 1)) + bytes(5))
    answer = b""
    async with asyncio.timeout(5):
        while b"grpc-status" not in answer:
            answer += await reader.read(65_536)
            assert not reader.at_eof()
    writer.close()
    assert b"grpc-status\x010" in answer
    assert b"\x0cx-request-id\x02ab" in answer
