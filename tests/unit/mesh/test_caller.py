"""A call by name: which instance gets it, what is tried again, and when it is given up."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.foreign import grpc_provider
from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.common.v1 import payload_pb2
from weft.core.errors import ResourceNotFoundError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.discovery.base import Resolver
from weft.discovery.model import Endpoint, Health, Protocol, Snapshot
from weft.discovery.static import StaticResolver
from weft.mesh.actions import ActionCall, ActionTransport, UnreachableError
from weft.mesh.balancing import BalancerConfig
from weft.mesh.caller import ActionCaller
from weft.mesh.grpc_actions import GrpcActionTransport
from weft.mesh.mesh import Mesh, MeshConfig, OneResolver

CALL = ActionCall(service="texts", action="shout", input=b"{}")
DEAD = Endpoint(host="127.0.0.1", port=9, instance_id="dead")


class Providers:
    """Real providers that answer with their own name, and count."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.endpoints: dict[str, Endpoint] = {}

    def serve(self, name: str, port: int = 0) -> Any:
        async def invoke(data: bytes, context: Any) -> bytes:
            self.calls[name] += 1
            if name == "breaking":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            return pb.InvokeActionResponse(output=payload_pb2.Payload(json=b"{}")).SerializeToString()

        return grpc_provider(invoke, port)

    def at(self, name: str, health: Health = Health.PASSING) -> Endpoint:
        known = self.endpoints[name]
        return Endpoint(host=known.host, port=known.port, instance_id=name, health=health)


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    """Two providers, ``a`` and ``b``."""
    made = Providers()
    async with made.serve("a") as first, made.serve("b") as second:
        for name, port in (("a", first), ("b", second)):
            made.endpoints[name] = Endpoint(host="127.0.0.1", port=port, instance_id=name)
        yield made


@pytest.fixture
def resolver() -> StaticResolver:
    return StaticResolver()


@asynccontextmanager
async def calling(
    resolver: Resolver,
    *,
    wait: float = 0.2,
    balancer: BalancerConfig | None = None,
    transport: ActionTransport | None = None,
) -> AsyncIterator[ActionCaller]:
    """Make a caller whose calls wait so many seconds for an instance."""
    mesh = Mesh(OneResolver(resolver), MeshConfig(balancer=balancer or BalancerConfig()))
    transports = {Protocol.GRPC: transport or GrpcActionTransport(pool=mesh.pool)}
    caller = ActionCaller(mesh, transports, instance_wait=timedelta(seconds=wait))
    try:
        yield caller
    finally:
        await caller.close()
        await mesh.close()


@pytest.fixture
async def caller(resolver: StaticResolver) -> AsyncIterator[ActionCaller]:
    async with calling(resolver) as made:
        yield made


async def test_calls_go_to_the_instances_in_turn(
    caller: ActionCaller, resolver: StaticResolver, providers: Providers
) -> None:
    """Each gets its share, and the reply says who it was."""
    resolver.set("texts", [providers.at("a"), providers.at("b")])
    replies = [await caller.call(CALL, 2.0) for _ in range(10)]
    assert Counter(reply.instance_id for reply in replies) == {"a": 5, "b": 5} == dict(providers.calls)


async def test_one_with_a_warning_is_called_only_when_nobody_passes(
    caller: ActionCaller, resolver: StaticResolver, providers: Providers
) -> None:
    """And a critical or draining one never."""
    resolver.set("texts", [providers.at("a", Health.WARNING), providers.at("b")])
    assert {(await caller.call(CALL, 2.0)).instance_id for _ in range(4)} == {"b"}
    resolver.set("texts", [providers.at("a", Health.WARNING), providers.at("b", Health.DRAINING)])
    await asyncio.sleep(0)
    assert {(await caller.call(CALL, 2.0)).instance_id for _ in range(4)} == {"a"}


async def test_an_instance_that_cannot_be_connected_is_passed_over(
    caller: ActionCaller, resolver: StaticResolver, providers: Providers
) -> None:
    """Within the same call: nothing was sent, so nothing can run twice."""
    resolver.set("texts", [DEAD, providers.at("a")])
    assert {(await caller.call(CALL, 2.0)).instance_id for _ in range(4)} == {"a"}
    assert providers.calls["a"] == 4


async def test_when_none_can_be_connected_the_last_one_is_named(
    caller: ActionCaller, resolver: StaticResolver
) -> None:
    """The error says which service, and that a repeat may help."""
    resolver.set("texts", [DEAD])
    with pytest.raises(UnreachableError) as caught:
        await caller.call(CALL, 2.0)
    assert caught.value.metadata == {"service": "texts", "instance_id": "dead"}


async def test_an_endpoint_without_an_instance_is_not_named_as_one(
    caller: ActionCaller, resolver: StaticResolver
) -> None:
    """Such as that of a service that is registered with an address: there is no id, so none is told."""
    resolver.set("texts", [replace(DEAD, instance_id="")])
    with pytest.raises(UnreachableError) as caught:
        await caller.call(CALL, 2.0)
    assert caught.value.metadata == {"service": "texts"}


async def test_a_call_that_runs_out_of_time_says_that_nobody_could_be_connected(
    resolver: StaticResolver,
) -> None:
    """Not that the action was slow: it never ran."""
    resolver.set("texts", [DEAD])
    async with calling(resolver, wait=10) as caller:
        with pytest.raises(UnreachableError, match="no connection"):
            await caller.call(CALL, 0.3)


async def test_a_call_waits_for_an_instance_that_comes_back(
    resolver: StaticResolver, providers: Providers
) -> None:
    """One that restarts at its old address is called as soon as it can be connected again."""
    async with providers.serve("again") as port:
        pass
    resolver.set("texts", [Endpoint(host="127.0.0.1", port=port, instance_id="again")])
    async with calling(resolver, wait=10) as caller:
        waiting = asyncio.create_task(caller.call(CALL, 20.0))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        async with providers.serve("again", port):
            assert (await waiting).instance_id == "again"


async def test_what_was_sent_is_not_sent_again(caller: ActionCaller, resolver: StaticResolver) -> None:
    """A call that breaks may have run: whether to repeat it is for the caller to know."""
    providers = Providers()
    async with providers.serve("breaking") as first, providers.serve("breaking") as second:
        resolver.set("texts", [Endpoint(host="127.0.0.1", port=port) for port in (first, second)])
        with pytest.raises(ServiceUnavailableError) as caught:
            await caller.call(CALL, 2.0)
    assert (caught.value.reason, providers.calls["breaking"]) == (Reason.ACTION_UNAVAILABLE, 1)


async def test_a_slow_source_is_not_a_missing_instance(providers: Providers) -> None:
    """How long a call waits for an instance counts from the first answer: until then none can be missing."""

    class Slow(StaticResolver):
        async def watch(self, service: str) -> AsyncIterator[Snapshot]:
            await asyncio.sleep(0.3)
            async for snapshot in super().watch(service):
                yield snapshot

    async with calling(resolver := Slow(), wait=0.05) as caller:
        began = time.monotonic()
        with pytest.raises(ServiceUnavailableError, match="0 known"):
            await caller.call(CALL, 5.0)
        assert 0.3 <= time.monotonic() - began < 2.0
    async with calling(resolver, wait=0.05) as caller:
        resolver.set("texts", [providers.at("a")])
        assert (await caller.call(CALL, 5.0)).instance_id == "a"


async def test_a_call_waits_for_an_instance_that_appears(
    caller: ActionCaller, resolver: StaticResolver, providers: Providers
) -> None:
    """A service that restarts is not a failure."""
    waiting = asyncio.create_task(caller.call(CALL, 2.0))
    await asyncio.sleep(0.02)
    resolver.set("texts", [providers.at("a", Health.CRITICAL)])
    await asyncio.sleep(0.02)
    assert not waiting.done()
    resolver.set("texts", [providers.at("a")])
    assert (await waiting).instance_id == "a"


@pytest.mark.parametrize("timeout", [0.05, 5.0])
async def test_without_an_instance_the_call_ends_in_time(
    caller: ActionCaller, resolver: StaticResolver, providers: Providers, timeout: float
) -> None:
    """After the wait, or the call's own time when that is less; the message counts those that are known."""
    resolver.set("texts", [providers.at("a", Health.CRITICAL)])
    async with asyncio.timeout(1):
        with pytest.raises(ServiceUnavailableError) as caught:
            await caller.call(CALL, timeout)
    assert caught.value.reason == Reason.NO_INSTANCE
    assert "1 known" in caught.value.message


class Failing:
    """A source that fails after its first answer, and is asked again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.asked = 0
        self.asked_again = asyncio.Event()

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        self.asked += 1
        if self.asked == 2:
            self.endpoint = Endpoint(host="127.0.0.1", port=self.endpoint.port, instance_id="renamed")
        yield Snapshot(service=service, endpoints=(self.endpoint,))
        if self.asked == 1:
            raise OSError("the source is gone")
        self.asked_again.set()
        await asyncio.Event().wait()


async def test_a_source_that_fails_is_asked_again_and_its_last_word_holds(
    providers: Providers, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on in between, and what changed is seen afterwards."""
    source = Failing(providers.at("a"))
    async with calling(source) as caller:
        assert (await caller.call(CALL, 2.0)).instance_id == "a"
        assert (await caller.call(CALL, 2.0)).instance_id == "a"
        async with asyncio.timeout(5):
            await source.asked_again.wait()
        assert (await caller.call(CALL, 2.0)).instance_id == "renamed"
    assert "the source is gone" in caplog.text


async def test_an_instance_that_does_not_have_the_action_is_passed_over(
    providers: Providers, resolver: StaticResolver
) -> None:
    """A program that took over the port of one that died fails no call; where nobody has it, all say so."""
    async with _stranger() as port:
        stranger = Endpoint(host="127.0.0.1", port=port, instance_id="stranger")
        resolver.set("texts", [stranger, providers.at("a")])
        async with calling(resolver) as caller:
            answered = {(await caller.call(CALL, 5.0)).instance_id for _ in range(10)}
            assert answered == {"a"}
            resolver.set("texts", [stranger])
            with pytest.raises(ResourceNotFoundError) as caught:
                await caller.call(CALL, 5.0)
            assert caught.value.reason == Reason.ACTION_NOT_FOUND


@asynccontextmanager
async def _stranger() -> AsyncIterator[int]:
    """A gRPC server that serves something else."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)
