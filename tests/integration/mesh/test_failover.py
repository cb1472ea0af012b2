"""A call goes where it can be answered: past instances that are gone, refuse, or break."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import collect, path, until
from tests.support.http2 import Proxy
from weft.core.errors import PreconditionError, ServiceUnavailableError
from weft.core.metadata import STATUS_DETAILS
from weft.core.reasons import Reason
from weft.core.status import to_status
from weft.discovery.model import Endpoint, Health, Protocol
from weft.mesh.balancing import BalancerConfig
from weft.mesh.call_options import CallOptions, RetryMethods
from weft.mesh.mesh import Mesh, OneResolver
from weft.mesh.policies.retry import RetryPolicy
from weft.mesh.rpc import error_from_rpc

READY = grpc.ChannelConnectivity.READY

QUICK = RetryPolicy(max_retries=2, base_delay=timedelta(milliseconds=5))
RETRY = CallOptions(retry=QUICK, idempotent={path("Unary"), path("Many")})
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "busy", ())


def unary(mesh: Mesh, options: CallOptions | None = None, target: str = "weft://fleet") -> Any:
    return mesh.channel(target, options=options).unary_unary(path("Unary"))


def refused_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
        return port


def draining(retry_after: timedelta | None = None) -> tuple[grpc.StatusCode, str, tuple[Any, ...]]:
    error = ServiceUnavailableError("fleet", reason=Reason.SERVER_DRAINING, retry_after=retry_after)
    details = ((STATUS_DETAILS, to_status(error).SerializeToString()),)
    return grpc.StatusCode.UNAVAILABLE, "draining", details


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


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


async def all_connected(fleet: Fleet, mesh: Mesh, call: Any) -> None:
    """Call until there is a connection to each instance."""
    async with asyncio.timeout(5):
        while any(mesh.pool.state(fleet.endpoint(n)) is not READY for n in range(len(fleet.ports))):
            await call(b"x")


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


async def test_an_instance_that_cannot_be_connected_is_passed_over(fleet: Fleet, mesh: Mesh) -> None:
    """For any method: nothing was sent. All four shapes."""
    await fleet.grow()
    gone = Endpoint(host="127.0.0.1", port=refused_port())
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
    port = refused_port()
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


async def test_cancel_while_waiting_for_an_instance(fleet: Fleet, mesh: Mesh) -> None:
    """By the call or by the task that awaits it."""
    fleet.publish_none()
    call = unary(mesh)(b"x", wait_for_ready=True)
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.cancelled()
    other = unary(mesh)(b"x", wait_for_ready=True)
    await asyncio.sleep(0.03)
    assert other.cancel()
    assert await other.code() is grpc.StatusCode.CANCELLED


async def test_waiting_for_ready(fleet: Fleet, mesh: Mesh) -> None:
    """The call is made when an instance comes, or comes back; else it ends at its deadline and says why."""
    await fleet.grow()
    fleet.publish_none()
    calls = [asyncio.ensure_future(unary(mesh)(b"x", wait_for_ready=True, timeout=5)) for _ in range(3)]
    await asyncio.sleep(0.05)
    fleet.publish()
    assert await asyncio.gather(*calls) == [b"x"] * 3
    await fleet.stop(0)
    # What is sent over a connection that is just breaking may have run: it fails, and is not made again.
    await until(lambda: mesh.pool.state(fleet.endpoint(0)) is not grpc.ChannelConnectivity.READY)
    again = asyncio.ensure_future(unary(mesh)(b"y", wait_for_ready=True, timeout=5))
    await asyncio.sleep(0.05)
    await fleet.restart(0)
    assert await again == b"y"
    fleet.publish_none()
    await asyncio.sleep(0.02)
    error = await failure(unary(mesh)(b"x", wait_for_ready=True, timeout=0.1))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "no instance of fleet can be called: 0 known" in (error.details() or "")


async def test_a_removed_instance_is_never_called_again(fleet: Fleet, mesh: Mesh) -> None:
    """From the moment the source says so; calls that run there end well, then the connection is closed."""
    await fleet.grow(2)
    fleet.publish()
    call = unary(mesh)
    await asyncio.gather(*(call(b"x") for _ in range(10)))
    running = [asyncio.ensure_future(call(b"sleep:0.2")) for _ in range(4)]
    await asyncio.sleep(0.05)
    fleet.publish(1)
    await asyncio.sleep(0.01)
    before = fleet.calls[0]
    for _ in range(50):
        await call(b"x")
    assert fleet.calls[0] == before
    assert await asyncio.gather(*running) == [b"sleep:0.2"] * 4
    await asyncio.sleep(0.05)
    assert mesh.pool.state(fleet.endpoint(0)) is grpc.ChannelConnectivity.IDLE
    fleet.publish()
    await asyncio.sleep(0.01)
    await all_connected(fleet, mesh, call)
    before = fleet.calls[0]
    for _ in range(4):
        await call(b"x")
    assert fleet.calls[0] == before + 2


async def test_a_stream_of_a_removed_instance_goes_on(fleet: Fleet, mesh: Mesh) -> None:
    """To its end, also when the server has ended and the reader has not read everything yet."""
    await fleet.grow()
    fleet.publish()
    channel: Any = mesh.channel("weft://fleet")
    chat = channel.stream_stream(path("Chat"))()
    await chat.write(b"a")
    assert await chat.read() == b"a"
    many = channel.unary_stream(path("Many"))(b"50")
    responses = many.__aiter__()
    assert await responses.__anext__() == b"0"
    fleet.publish_none()
    await asyncio.sleep(0.05)
    await chat.write(b"b")
    assert await chat.read() == b"b"
    await chat.done_writing()
    assert await chat.read() is grpc.aio.EOF
    await asyncio.sleep(0.05)
    assert [response async for response in responses] == [b"%d" % number for number in range(1, 50)]


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


async def test_a_source_that_says_nothing(mesh: Mesh) -> None:
    """A call waits for its first answer, but not for ever, and then says that."""

    class Silent:
        async def watch(self, service: str) -> AsyncIterator[Any]:  # noqa: ARG002 - it knows none
            await asyncio.sleep(3600)
            yield None

    quiet = Mesh(OneResolver(Silent()))
    options = CallOptions(first_answer=timedelta(milliseconds=50))
    error = await failure(unary(quiet, options)(b"x"))
    assert error.details() == "no instance of fleet can be called: no source has answered yet"
    await quiet.close()


async def test_the_budget_bounds_retries(fleet: Fleet, mesh: Mesh) -> None:
    """When everything fails, retries are 20 % of calls and the floor, not three for one."""
    await fleet.grow()
    fleet.publish()
    fleet.instances[0].failures = [UNAVAILABLE] * 5_000
    call = unary(mesh, CallOptions(retry=RetryPolicy(base_delay=timedelta(0)), idempotent={path("Unary")}))
    for _ in range(10):
        await asyncio.gather(*(failure(call(b"x")) for _ in range(50)))
    assert fleet.calls[0] <= 500 + 100 + 0.2 * 500 + 1


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


async def test_call_credentials_need_tls(fleet: Fleet, mesh: Mesh) -> None:
    """As on a plain channel."""
    await fleet.grow()
    fleet.publish()
    credentials = grpc.access_token_call_credentials("token")
    plain: Any = grpc.aio.insecure_channel(f"127.0.0.1:{fleet.ports[0]}")
    call = unary(mesh)
    for each in (plain.unary_unary(path("Unary")), call, call):
        with pytest.raises(grpc.aio.UsageError, match="secure channel"):
            await each(b"x", credentials=credentials)
    await plain.close()
    assert fleet.calls == [0]
    assert mesh.states()[0]["instances"][0]["in_flight"] == 0
