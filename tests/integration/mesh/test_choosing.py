"""Which of its instances a service answers with."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.calls import all_connected, failure, unary
from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import path
from weft.core.errors import PreconditionError
from weft.core.reasons import Reason
from weft.discovery.model import Endpoint, Protocol
from weft.mesh.balancing import BalancerConfig
from weft.mesh.call_options import CallOptions
from weft.mesh.mesh import Mesh
from weft.mesh.rpc import error_from_rpc

pytestmark = pytest.mark.integration


async def test_calls_are_spread(fleet: Fleet, mesh: Mesh) -> None:
    """Each instance gets its turn."""
    await fleet.grow(3)
    fleet.publish()
    call = unary(mesh)
    await all_connected(fleet, mesh, call)
    before = fleet.calls
    for _ in range(30):
        assert await call(b"x") == b"x"
    assert [now - then for now, then in zip(fleet.calls, before, strict=True)] == [10, 10, 10]


@pytest.mark.parametrize("policy", ["round_robin", "least_request", "peak_ewma", "weighted_round_robin"])
async def test_nobody_waits_for_a_connection_while_others_are_there(
    fleet: Fleet, mesh: Mesh, policy: str
) -> None:
    """An instance that takes connections and says nothing costs no call any time."""
    await fleet.grow(2)
    silent = socket.create_server(("127.0.0.1", 0))
    mute = Endpoint(host="127.0.0.1", port=silent.getsockname()[1], instance_id="mute")
    channel: Any = mesh.channel("weft://fleet", balancer=BalancerConfig(policy=policy))
    call = channel.unary_unary(path("Unary"))
    fleet.publish()
    await call(b"x")
    fleet.resolver.set("fleet", [fleet.endpoint(0), fleet.endpoint(1), mute])
    await asyncio.sleep(0.01)
    started = asyncio.get_running_loop().time()
    for _ in range(30):
        assert await call(b"x", timeout=3) == b"x"
    assert asyncio.get_running_loop().time() - started < 2
    silent.close()


async def test_calls_that_belong_together_wait_for_their_instance(fleet: Fleet, mesh: Mesh) -> None:
    """Another instance would not be as good: consistent hashing keeps to its own."""
    await fleet.grow(3)
    fleet.publish()
    balancer = BalancerConfig(policy="consistent_hash")
    options = CallOptions(hash_key="user")
    channel: Any = mesh.channel("weft://fleet", options=options, balancer=balancer)
    call = channel.unary_unary(path("Unary"))
    for number in range(12):
        before = fleet.calls
        for _ in range(3):
            await call(b"x", metadata=(("user", f"u{number}"),))
        assert sorted(now - then for now, then in zip(fleet.calls, before, strict=True)) == [0, 0, 3]


async def test_consistent_hashing_by_metadata(fleet: Fleet, mesh: Mesh) -> None:
    """Calls with one value stay together; keys of metadata are written in lower case, whoever names one."""
    await fleet.grow(3)
    fleet.publish()
    channel: Any = mesh.channel(
        "weft://fleet",
        options=CallOptions(hash_key="Customer"),
        balancer=BalancerConfig(policy="consistent_hash"),
    )
    for _ in range(9):
        await channel.unary_unary(path("Unary"))(b"x", metadata=(("customer", "c-7"),))
    assert sorted(fleet.calls) == [0, 0, 9]


async def test_only_what_speaks_grpc_is_called(fleet: Fleet, mesh: Mesh) -> None:
    """An HTTP endpoint of the same service is none for a stub."""
    fleet.resolver.set("fleet", [Endpoint(host="127.0.0.1", port=1, protocol=Protocol.HTTP)])
    assert (await failure(unary(mesh)(b"x"))).code() is grpc.StatusCode.UNAVAILABLE


async def test_versions_and_tags_choose_instances(fleet: Fleet, mesh: Mesh) -> None:
    """None in the range: FAILED_PRECONDITION that names the versions there are."""
    await fleet.grow(3)
    old, new, tagged = (fleet.endpoint(number) for number in range(3))
    kwargs = [
        {"host": e.host, "port": e.port, "version": v, "tags": t}
        for e, v, t in ((old, "1.4.2", ()), (new, "2.0.0", ()), (tagged, "2.1.0", ("blue",)))
    ]
    fleet.resolver.set("fleet", [Endpoint(**each) for each in kwargs])  # type: ignore[arg-type]  # a table
    fits = {"version=^1.2": {0}, "version=^2": {1, 2}, "tag=blue": {2}}
    for query, numbers in fits.items():
        before = fleet.calls
        for _ in range(8):
            await unary(mesh, target=f"weft://fleet?{query}")(b"x")
            await asyncio.sleep(0.01)
        called = [now - then for now, then in zip(fleet.calls, before, strict=True)]
        assert {number for number, calls in enumerate(called) if calls} == numbers
        assert sum(called) == 8
    error = await failure(unary(mesh, target="weft://fleet?version=^3")(b"x"))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    rebuilt = error_from_rpc(error)
    assert isinstance(rebuilt, PreconditionError)
    assert rebuilt.reason == Reason.VERSION_NOT_AVAILABLE
    assert (rebuilt.metadata["required"], rebuilt.metadata["available"]) == ("^3", "2.1.0, 2.0.0, 1.4.2")
