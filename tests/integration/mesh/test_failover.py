"""A call goes where it can be answered: past instances that are gone or refuse."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.engine.processes import free_port
from tests.integration.mesh.calls import all_connected, draining, failure, unary
from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import path
from tests.support.http2 import Proxy
from weft.core.errors import ServiceUnavailableError
from weft.core.reasons import Reason
from weft.discovery.model import Endpoint, Health
from weft.mesh.call_options import CallOptions, RetryMethods
from weft.mesh.mesh import Mesh
from weft.mesh.rpc import error_from_rpc

pytestmark = pytest.mark.integration


async def test_an_instance_that_cannot_be_connected_is_passed_over(fleet: Fleet, mesh: Mesh) -> None:
    """For any method: nothing was sent. All four shapes."""
    await fleet.grow()
    gone = Endpoint(host="127.0.0.1", port=free_port())
    fleet.resolver.set("fleet", [gone, fleet.endpoint(0)])
    channel: Any = mesh.channel("weft://fleet", options=CallOptions(retry_methods=RetryMethods.NONE))
    for _ in range(4):
        assert await channel.unary_unary(path("Unary"))(b"x") == b"x"
        assert [m async for m in channel.unary_stream(path("Many"))(b"1")] == [b"0"]
        assert await channel.stream_unary(path("Join"))([b"a", b"b"]) == b"a+b"
        assert [m async for m in channel.stream_stream(path("Chat"))([b"a"])] == [b"a"]
    assert fleet.calls == [16]


async def test_nobody_there_is_unavailable_and_says_what_was_seen(fleet: Fleet, mesh: Mesh) -> None:
    """UNAVAILABLE, NO_INSTANCE, the service, and the state of what is known."""
    ill = Endpoint(host="127.0.0.1", port=1, health=Health.CRITICAL)
    fleet.resolver.set("fleet", [ill])
    error = await failure(unary(mesh)(b"x"))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "no instance of fleet can be called: 1 known: 1 CRITICAL"
    rebuilt = error_from_rpc(error)
    assert isinstance(rebuilt, ServiceUnavailableError)
    assert (rebuilt.reason, rebuilt.service_name) == (Reason.NO_INSTANCE, "fleet")


async def test_nobody_connectable_says_who_was_tried(fleet: Fleet, mesh: Mesh) -> None:
    """With the address, at once, whatever the shape."""
    port = free_port()
    fleet.resolver.set("fleet", [Endpoint(host="127.0.0.1", port=port)])
    async with asyncio.timeout(3):
        error = await failure(unary(mesh)(b"x"))
        channel: Any = mesh.channel("weft://fleet")
        call = channel.stream_stream(path("Chat"))()
        with pytest.raises(grpc.aio.AioRpcError):
            await call.write(b"x")
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_stream(path("Many"))(b"1").read()
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(path("Unary"))(b"1").wait_for_connection()
    assert f"no connection to fleet at 127.0.0.1:{port}" in (error.details() or "")


async def test_calls_with_little_time_do_not_keep_an_instance_from_being_connected(
    fleet: Fleet, mesh: Mesh
) -> None:
    """Each fails in its own time, and the dialling goes on."""
    await fleet.grow()
    async with Proxy(fleet.ports[0], delay=0.3) as proxy:
        fleet.resolver.set("fleet", [Endpoint(host="127.0.0.1", port=proxy.port)])
        call = unary(mesh)
        codes: list[grpc.StatusCode] = []
        async with asyncio.timeout(5):
            while grpc.StatusCode.OK not in codes:
                codes.append(await call(b"x", timeout=0.05).code())
        assert set(codes[:-1]) == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert len(codes) > 2
        await mesh.close()


async def test_a_draining_instance_refuses_and_another_one_answers(fleet: Fleet, mesh: Mesh) -> None:
    """For any method, whatever retries say: SERVER_DRAINING means that nothing was processed."""
    await fleet.grow(2)
    fleet.publish()
    call = unary(mesh, CallOptions(retry_methods=RetryMethods.NONE))
    await all_connected(fleet, mesh, call)
    before = sum(fleet.calls)
    for instance in fleet.instances:
        instance.failures = [draining()]
        assert [await call(b"x") for _ in range(2)] == [b"x"] * 2
    assert sum(fleet.calls) == before + 6
    for instance in fleet.instances:
        instance.failures = [draining()]
    error = await failure(call(b"x"))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert f"127.0.0.1:{fleet.ports[0]} refused the call: draining" in (error.details() or "")
    many: Any = mesh.channel("weft://fleet").unary_stream(path("Many"))
    fleet.instances[0].failures, fleet.instances[1].failures = [draining()], []
    for _ in range(2):
        assert [response async for response in many(b"2")] == [b"0", b"1"]


async def test_a_server_that_gives_a_time_may_have_begun(fleet: Fleet, mesh: Mesh) -> None:
    """SERVER_DRAINING with RetryInfo ends a call that waited there: only idempotent methods go on."""
    await fleet.grow(2)
    fleet.publish()
    for instance in fleet.instances:
        instance.failures = [draining(timedelta(milliseconds=10))]
    error = await failure(unary(mesh)(b"x"))
    assert error_from_rpc(error).reason == Reason.SERVER_DRAINING
    assert sum(fleet.calls) == 1
