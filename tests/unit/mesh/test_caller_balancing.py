"""How calls of actions are spread, and what the balancer learns of how they end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.foreign import grpc_provider
from weft.core.clock import SystemClock
from weft.core.errors import (
    ActionFailedError,
    Code,
    DeadlineExceededError,
    ExhaustedError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.reasons import Reason
from weft.core.version import VersionRange
from weft.discovery.model import Endpoint, Protocol
from weft.discovery.static import StaticResolver
from weft.mesh.actions import ActionCall, UnreachableError
from weft.mesh.balancing import BalancerConfig
from weft.mesh.caller import ActionCaller
from weft.mesh.grpc_actions import GrpcActionTransport
from weft.mesh.mesh import Mesh, MeshConfig, OneResolver
from weft.mesh.pool import ChannelPool, Connection

CALL = ActionCall(service="carts", action="get", input=b"{}")

Behaviour = Callable[[], Awaitable[bytes]]


class Wire:
    """Answers at once, unless an instance is told to do something else."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.does: dict[str, Behaviour] = {}

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes:  # noqa: ARG002 - the port's
        self.calls[endpoint.instance_id] += 1
        behaviour = self.does.get(endpoint.instance_id)
        return b"{}" if behaviour is None else await behaviour()

    async def close(self) -> None:
        """Nothing to close."""


def fails(error: Callable[[], WeftError]) -> Behaviour:
    async def fail() -> bytes:
        raise error()

    return fail


async def hangs() -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


def at(name: str, zone: str = "", version: str = "") -> Endpoint:
    return Endpoint(host="127.0.0.1", port=sum(name.encode()), instance_id=name, zone=zone, version=version)


class World:
    def __init__(self, mesh: Mesh, wire: Wire, resolver: StaticResolver) -> None:
        self.mesh = mesh
        self.wire = wire
        self.resolver = resolver
        self.caller = ActionCaller(mesh, {Protocol.GRPC: wire}, instance_wait=timedelta(seconds=0.1))

    async def call(self, times: int = 1, call: ActionCall = CALL) -> None:
        for _ in range(times):
            await self.caller.call(call, 5.0)

    async def try_often(self, times: int) -> list[WeftError]:
        """Call, and return what failed."""
        failed = []
        for _ in range(times):
            try:
                await self.call()
            except WeftError as error:
                failed.append(error)
        return failed

    def ejected(self) -> set[str]:
        return {
            state.key
            for route in self.mesh.routes()
            for state in route.balancer.states()
            if state.ejected_for
        }

    def in_flight(self) -> Mapping[str, int]:
        (route,) = self.mesh.routes()
        return {state.key: state.in_flight for state in route.balancer.states()}


@asynccontextmanager
async def world(*endpoints: Endpoint, policy: str = "least_request", zone: str = "") -> AsyncIterator[World]:
    resolver = StaticResolver({"carts": endpoints})
    mesh = Mesh(OneResolver(resolver), MeshConfig(balancer=BalancerConfig(policy=policy, zone=zone)))
    try:
        yield World(mesh, Wire(), resolver)
    finally:
        await mesh.close()


async def test_calls_go_where_the_fewest_are_under_way() -> None:
    """An instance that is busy with one long action gets no other while the rest is idle."""
    async with world(at("a"), at("b"), at("slow")) as it:
        it.wire.does["slow"] = hangs
        held = [asyncio.create_task(it.call()) for _ in range(60)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert it.wire.calls["slow"] <= 2
        assert it.in_flight() == {"a": 0, "b": 0, "slow": it.wire.calls["slow"]}
        await it.call(100)
        assert min(it.wire.calls["a"], it.wire.calls["b"]) >= 40
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        assert set(it.in_flight().values()) == {0}


async def test_the_own_zone_is_preferred() -> None:
    """While it has somebody who can be called."""
    async with world(at("near", zone="a"), at("far", zone="b"), zone="a") as it:
        await it.call(20)
        assert it.wire.calls == {"near": 20}
        it.resolver.set("carts", [at("far", zone="b")])
        await asyncio.sleep(0.01)
        await it.call(1)
        assert it.wire.calls["far"] == 1


async def test_the_steps_of_one_execution_stay_together_with_a_consistent_hash() -> None:
    """The key is the execution."""
    async with world(*map(at, "abcde"), policy="consistent_hash") as it:
        for number in range(20):
            before = it.wire.calls.copy()
            await it.call(3, replace(CALL, execution_id=f"exec-{number}"))
            assert sorted((it.wire.calls - before).values()) == [3]
        assert len(it.wire.calls) > 2


@pytest.mark.parametrize(
    "error",
    [
        lambda: UnreachableError("carts", "no connection"),
        lambda: ServiceUnavailableError("carts", "broke", reason=Reason.ACTION_UNAVAILABLE),
        lambda: DeadlineExceededError("late", reason=Reason.ACTION_TIMEOUT, metadata={"service": "carts"}),
        lambda: ExhaustedError("too many calls", reason="OVERLOADED"),
        lambda: ActionFailedError("too many calls", code=Code.RESOURCE_EXHAUSTED),
    ],
)
async def test_what_speaks_against_an_instance_ejects_it(error: Callable[[], WeftError]) -> None:
    """Unreachable, broken, late or overloaded, five times in a row: it is left out, the others go on."""
    async with world(at("good"), at("bad")) as it:
        it.wire.does["bad"] = fails(error)
        await it.try_often(60)
        assert it.ejected() == {"bad"}
        assert it.wire.calls["bad"] == 5


@pytest.mark.parametrize(
    "error",
    [
        lambda: ActionFailedError("no such cart"),
        lambda: ActionFailedError("down", code=Code.UNAVAILABLE, reason="BANK_DOWN"),
        lambda: ServiceUnavailableError("bank", "broke", reason=Reason.ACTION_UNAVAILABLE),
        lambda: ExhaustedError("huge", reason=Reason.ACTION_OUTPUT_TOO_LARGE),
    ],
)
async def test_what_an_action_itself_says_does_not(error: Callable[[], WeftError]) -> None:
    """Nor what it passes on of another service that it called."""
    async with world(at("good"), at("bad")) as it:
        it.wire.does["bad"] = fails(error)
        failed = await it.try_often(60)
        assert it.ejected() == set()
        assert len(failed) == it.wire.calls["bad"] > 10
        assert {one.metadata["instance_id"] for one in failed} == {"bad"}


async def test_a_call_that_its_caller_gives_up_says_nothing() -> None:
    """However often."""
    async with world(at("a"), at("b")) as it:
        it.wire.does["a"] = it.wire.does["b"] = hangs
        for _ in range(20):
            task = asyncio.create_task(it.call())
            await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert it.ejected() == set()
        assert it.in_flight() == {"a": 0, "b": 0}


async def test_an_instance_that_refuses_is_passed_over_in_the_same_call() -> None:
    """As one that is stopping does: no call fails."""
    async with world(at("a"), at("stopping")) as it:
        it.wire.does["stopping"] = fails(lambda: UnreachableError("carts", "stopping"))
        assert await it.try_often(50) == []


async def test_each_range_of_versions_has_a_route_that_is_forgotten_when_idle() -> None:
    """Instances are picked among those in the range; a route is found again by the next call."""
    async with world(at("old", version="1.4.2"), at("new", version="2.0.0")) as it:
        for _ in range(2):
            await it.call(10, replace(CALL, versions=VersionRange.parse("^1")))
            await it.call(10, replace(CALL, versions=VersionRange.parse("").within_api("2.1.0")))
            assert len(it.mesh.routes()) == 2
            for route in it.mesh.routes():
                route.last_used = float("-inf")
            await it.mesh.forget_idle()
            assert it.mesh.routes() == []
        assert it.wire.calls == {"old": 20, "new": 20}


async def test_ranges_that_callers_make_up_do_not_pile_up() -> None:
    """The route that nobody used for longest makes room; what runs there goes on, and it is found again."""
    resolver = StaticResolver({"carts": [at("old", version="1.4.2")]})
    mesh = Mesh(OneResolver(resolver), MeshConfig(max_routes=5))
    it = World(mesh, Wire(), resolver)
    it.wire.does["old"] = hangs
    slow = asyncio.create_task(it.call())
    await asyncio.sleep(0.001)
    (busy,) = mesh.routes()
    it.wire.does.clear()
    for number in range(30):
        await it.call(1, replace(CALL, versions=VersionRange.parse(f">=1.{number % 4},<1.{number + 5}")))
    assert len(mesh.routes()) == 5
    assert busy in mesh.routes()
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    await mesh.close()


async def test_a_route_in_use_is_not_forgotten() -> None:
    """An action may take longer than a route may be idle."""
    async with world(at("a")) as it:
        it.wire.does["a"] = hangs
        task = asyncio.create_task(it.call())
        await asyncio.sleep(0.001)
        (route,) = it.mesh.routes()
        route.last_used = float("-inf")
        await it.mesh.forget_idle()
        assert it.mesh.routes() == [route]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_instance_that_was_removed_while_it_was_dialled_is_not_called() -> None:
    """Nothing is sent there; the connection is given back."""

    class Removing(ChannelPool):
        given_back = 0

        async def connect(
            self, endpoint: Endpoint, service: str, timeout: float, *, multiplexed: bool = False
        ) -> Connection:
            self.keep("route", [endpoint])
            connection = await super().connect(endpoint, service, timeout, multiplexed=multiplexed)
            self.keep("route", ())
            return connection

        def give_back(self, connection: Connection, now: float | None = None) -> None:
            self.given_back += 1
            super().give_back(connection, now)

    calls = 0

    async def invoke(data: bytes, context: object) -> bytes:
        nonlocal calls
        calls += 1
        return b""

    pool = Removing(SystemClock())
    async with grpc_provider(invoke) as port:
        transport = GrpcActionTransport(pool=pool)
        with pytest.raises(UnreachableError, match="was removed"):
            await transport.invoke(Endpoint(host="127.0.0.1", port=port), CALL, 5.0)
    await pool.close()
    assert (calls, pool.given_back) == (0, 1)
