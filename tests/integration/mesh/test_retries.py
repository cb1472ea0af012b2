"""A call that failed is made again where that is safe, and while there is time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.calls import RETRY, UNAVAILABLE, draining, failure, unary
from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import collect, path, until
from weft.mesh.call_options import CallOptions
from weft.mesh.mesh import Mesh
from weft.mesh.policies.retry import RetryPolicy

pytestmark = pytest.mark.integration


async def test_after_it_was_sent_only_idempotent_methods_are_retried(fleet: Fleet, mesh: Mesh) -> None:
    """Each attempt at another instance while there is one; the header counts."""
    await fleet.grow(3)
    fleet.publish()
    for instance in fleet.instances:
        instance.failures = [UNAVAILABLE]
    assert (await failure(unary(mesh)(b"x"))).details() == "busy"
    assert sum(fleet.calls) == 1
    for instance in fleet.instances:
        instance.failures = [UNAVAILABLE]
    error = await failure(unary(mesh, RETRY)(b"x", metadata=(("mine", "1"),)))
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "busy")
    assert sorted(fleet.calls) == [1, 1, 2]
    sent = [seen.get("grpc-previous-rpc-attempts") for each in fleet.instances for seen in each.metadata[-1:]]
    assert sorted(sent, key=str) == ["1", "2", None]
    assert await unary(mesh, RETRY)(b"x") == b"x"


async def test_a_retried_call_succeeds_and_looks_like_one(fleet: Fleet, mesh: Mesh) -> None:
    """Code, callbacks and metadata are those of the attempt that counted."""
    await fleet.grow(1)
    fleet.publish()
    fleet.instances[0].failures = [UNAVAILABLE, UNAVAILABLE]
    ends: list[Any] = []
    call = unary(mesh, RETRY)(b"head:mine")
    call.add_done_callback(ends.append)
    assert await call.code() is grpc.StatusCode.OK
    assert (await call.initial_metadata())["head"] == "mine"
    assert await call == b"head:mine"
    assert ends == [call]
    assert fleet.calls == [3]


async def test_a_stream_is_retried_until_its_first_message(fleet: Fleet, mesh: Mesh) -> None:
    """An idempotent one; after a message it fails with the server's error."""
    await fleet.grow()
    fleet.publish()
    server = fleet.instances[0]
    many: Any = mesh.channel("weft://fleet", options=RETRY).unary_stream(path("Many"))
    server.failures = [UNAVAILABLE]
    assert [response async for response in many(b"2")] == [b"0", b"1"]
    server.failures = [UNAVAILABLE]
    call = many(b"1")
    assert await call.read() == b"0"
    assert await call.read() is grpc.aio.EOF
    calls = server.calls
    got: list[bytes] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await collect(many(b"1,fail:UNAVAILABLE:gone"), got)
    assert (got, caught.value.details(), server.calls) == ([b"0"], "gone", calls + 1)


@pytest.mark.parametrize(
    "code", ["ABORTED", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"]
)
async def test_other_codes_are_not_retried(fleet: Fleet, mesh: Mesh, code: str) -> None:
    """Only unavailability is."""
    await fleet.grow()
    fleet.publish()
    error = await failure(unary(mesh, RETRY)(f"fail:{code}:no".encode()))
    assert error.code() is grpc.StatusCode[code]
    assert fleet.calls == [1]


async def test_pushback(fleet: Fleet, mesh: Mesh) -> None:
    """A server may ask to wait, also with RESOURCE_EXHAUSTED; or never to be asked again."""
    await fleet.grow()
    fleet.publish()
    key, exhausted = "grpc-retry-pushback-ms", grpc.StatusCode.RESOURCE_EXHAUSTED
    server = fleet.instances[0]
    slow = CallOptions(retry=RetryPolicy(base_delay=timedelta(seconds=50)), idempotent={path("Unary")})
    server.failures = [(exhausted, "full", ((key, "20"),))]
    async with asyncio.timeout(2):
        assert await unary(mesh, slow)(b"x") == b"x"
    for never in ("-1", "soon"):
        server.failures = [(grpc.StatusCode.UNAVAILABLE, "full", ((key, never),))]
        assert (await failure(unary(mesh, RETRY)(b"x"))).details() == "full"
    server.failures = [draining(timedelta(milliseconds=20))]
    async with asyncio.timeout(2):
        assert await unary(mesh, slow)(b"x") == b"x"


async def test_retries_stop_at_the_deadline(fleet: Fleet, mesh: Mesh) -> None:
    """A wait that would outlast the call is not begun: the last error is raised at once."""
    await fleet.grow()
    fleet.publish()
    fleet.instances[0].failures = [UNAVAILABLE]
    slow = CallOptions(retry=RetryPolicy(base_delay=timedelta(seconds=5)), idempotent={path("Unary")})
    async with asyncio.timeout(0.5):
        assert (await failure(unary(mesh, slow)(b"x", timeout=1))).details() == "busy"


async def test_the_deadline_covers_all_attempts(fleet: Fleet, mesh: Mesh) -> None:
    """Each attempt gets what is left."""
    await fleet.grow()
    fleet.publish()
    fleet.instances[0].failures = [UNAVAILABLE]
    wait = CallOptions(
        retry=RetryPolicy(base_delay=timedelta(seconds=0.2), jitter=0), idempotent={path("Unary")}
    )
    await unary(mesh, wait)(b"x", timeout=1)
    first, second = fleet.instances[0].remaining
    assert first is not None
    assert second is not None
    assert second <= first - 0.2


async def test_cancel_during_the_wait_before_a_retry(fleet: Fleet, mesh: Mesh) -> None:
    """It ends at once, and no attempt follows."""
    await fleet.grow()
    fleet.publish()
    fleet.instances[0].failures = [UNAVAILABLE]
    slow = CallOptions(retry=RetryPolicy(base_delay=timedelta(seconds=5)), idempotent={path("Unary")})
    call = unary(mesh, slow)(b"x")
    waiter = asyncio.ensure_future(call)
    async with asyncio.timeout(2):
        await until(lambda: fleet.calls[0] and not fleet.instances[0].running)
        await asyncio.sleep(0.05)
        assert not call.done()
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    assert (call.cancelled(), await call.code()) == (True, grpc.StatusCode.CANCELLED)
    assert fleet.calls == [1]


async def test_the_budget_bounds_retries(fleet: Fleet, mesh: Mesh) -> None:
    """When everything fails, retries are 20 % of calls and the floor, not three for one."""
    await fleet.grow()
    fleet.publish()
    fleet.instances[0].failures = [UNAVAILABLE] * 5_000
    call = unary(mesh, CallOptions(retry=RetryPolicy(base_delay=timedelta(0)), idempotent={path("Unary")}))
    for _ in range(10):
        await asyncio.gather(*(failure(call(b"x")) for _ in range(50)))
    assert fleet.calls[0] <= 500 + 100 + 0.2 * 500 + 1
