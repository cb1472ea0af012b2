"""``weft server`` in Consul: its three services stand there while it serves, and say how it is."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.integration.engine.processes import server_in, until
from tests.support.consul import ConsulAgent, running_agent
from tests.support.shop import carts_server
from tests.unit.execution.flaky import FlakyStore
from weft.client import connect
from weft.discovery.resolvers import SourcesConfig
from weft.server.app import WeftServer
from weft.server.config import ServerConfig
from weft.server.store.base import StoreState, StoreUnavailableError
from weft.service import Service

pytestmark = pytest.mark.integration

NAMES = ("weft-registry", "weft-workflow", "weft-execution")


def config(agent: ConsulAgent, prefix: str, **changes: Any) -> ServerConfig:
    reached = agent.config(prefix=prefix, ttl=timedelta(seconds=1), **changes.pop("consul", {}))
    return ServerConfig(listen="127.0.0.1:0", sources=SourcesConfig(consul=reached), **changes)


def entries(agent: ConsulAgent, prefix: str) -> list[Any]:
    return [entry for name in NAMES for entry in agent.entries(prefix + name)]


def states(agent: ConsulAgent, prefix: str) -> set[str]:
    """Return the states of the server's own checks, with what stands beside each."""
    return {
        f"{check['Status']} {check['Output']}".strip()
        for entry in entries(agent, prefix)
        for check in entry["Checks"]
        if check["ServiceID"]
    }


async def soon(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds that only Consul knows."""
    await until(holds, 15)


@asynccontextmanager
async def serving(agent: ConsulAgent, prefix: str, **changes: Any) -> AsyncIterator[WeftServer]:
    async with WeftServer(config(agent, prefix, **changes)) as server:
        await soon(lambda: states(agent, prefix) == {"passing"} and len(entries(agent, prefix)) == 3)
        yield server


async def test_three_services_with_everything_about_them(agent: ConsulAgent) -> None:
    """Name, unique id, address, version, tags, zone, environment and metadata; gone after the stop."""
    about = {"environment": "staging", "zone": "b"}
    async with serving(agent, "all-", **about) as server, serving(agent, "all2-") as other:
        found = [entry["Service"] for entry in entries(agent, "all-")]
        ids = [one["ID"] for one in found]
        assert [one["Service"] for one in found] == [f"all-{name}" for name in NAMES]
        assert all(one.startswith(f"{name}-") for one, name in zip(ids, NAMES, strict=True))
        assert {f"{one['Address']}:{one['Port']}" for one in found} == {server.address}
        assert server.address != other.address
        assert set(ids).isdisjoint(entry["Service"]["ID"] for entry in entries(agent, "all2-"))
        for one, api in zip(found, ("registry", "workflow", "execution"), strict=True):
            assert one["Tags"] == ["weft", "grpc", f"version-{version('weft')}", "env-staging"]
            meta = one["Meta"]
            assert meta["grpc-service"].startswith(f"weft.api.{api}.v1.")
            assert (meta["store"], meta["pid"]) == ("sqlite", str(os.getpid()))
            assert (meta["version"], meta["zone"]) == (version("weft"), "b")
            assert meta["environment"] == "staging"
    assert entries(agent, "all-") == []


async def test_consul_is_told_what_is_advertised(agent: ConsulAgent) -> None:
    """Such as the address of a proxy before it."""
    async with serving(agent, "adv-", advertise="gate.internal:443"):
        (found,) = agent.entries("adv-weft-registry")
        assert (found["Service"]["Address"], found["Service"]["Port"]) == ("gate.internal", 443)


class SickStore(FlakyStore):
    """One that says why it is broken."""

    async def check(self) -> None:
        if self.broken:
            raise StoreUnavailableError("the disk is gone")
        await super().check()


async def test_a_store_that_fails_is_critical_there(
    agent: ConsulAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, with the reason; and passing when it works again."""
    store = SickStore()
    monkeypatch.setattr("weft.server.app.make_store", lambda *_: store)
    async with serving(agent, "sick-"):
        store.broken = True
        store._tell(StoreState.BROKEN)
        await soon(lambda: {it.partition(" ")[0] for it in states(agent, "sick-")} == {"critical"})
        assert states(agent, "sick-") == {"critical the store does not work: the disk is gone"}
        store.broken = False
        store._tell(StoreState.HEALTHY)
        await soon(lambda: states(agent, "sick-") == {"passing"})


async def test_a_server_that_drains_is_gone_first(agent: ConsulAgent) -> None:
    """While what runs may still finish, nobody new is sent to it."""
    slow = Service("slow")
    begun, let_go = asyncio.Event(), asyncio.Event()

    @slow.action
    async def hold() -> dict[str, int]:
        begun.set()
        await let_go.wait()
        return {}

    async with (
        serving(agent, "drain-", drain_grace=timedelta(seconds=20)) as server,
        slow.hosted(server=server.address) as host,
        connect(server.address) as weft,
    ):
        await host.registered.wait()
        running = asyncio.create_task(weft.executions.call("slow", "hold", {}))
        await begun.wait()
        stopping = asyncio.create_task(server.stop())
        await soon(lambda: entries(agent, "drain-") == [])
        assert not stopping.done()
        assert not running.done()
        let_go.set()
        assert await running == {}
        await stopping


async def test_sigterm_of_a_real_process(
    agent: ConsulAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything comes from the environment; the entries are gone when the process is."""
    monkeypatch.setenv("CONSUL_HTTP_ADDR", agent.address)
    monkeypatch.setenv("WEFT_CONSUL_PREFIX", "real-")
    monkeypatch.setenv("WEFT_ENVIRONMENT", "production")
    with server_in(tmp_path) as server:
        await server.up()
        await soon(lambda: states(agent, "real-") == {"passing"} and len(entries(agent, "real-")) == 3)
        assert all("env-production" in entry["Service"]["Tags"] for entry in entries(agent, "real-"))
        assert await server.stop() == 0
        assert entries(agent, "real-") == []


async def test_a_consul_that_is_down_holds_nothing_up(tmp_path: Path) -> None:
    """Start and stop take no longer; when Consul comes, the server is in it."""
    async with running_agent(tmp_path / "agent") as agent:
        await asyncio.to_thread(agent.stop)
        started = time.monotonic()
        async with WeftServer(config(agent, "late-")) as server:
            assert time.monotonic() - started < 2
            await serves(server)
            await asyncio.to_thread(agent.start)
            await soon(lambda: len(entries(agent, "late-")) == 3)
            await asyncio.to_thread(agent.stop)
            stopping = time.monotonic()
        assert time.monotonic() - stopping < 3


async def test_a_consul_that_hangs_delays_the_drain_by_a_second(tmp_path: Path) -> None:
    """Then health says that it stops, and the rest goes on; the whole stop is bounded."""
    async with running_agent(tmp_path / "agent") as agent, serving(agent, "hang-") as server:
        agent.pause()
        try:
            started = time.monotonic()
            await server.stop()
            assert 1 <= time.monotonic() - started < 4
        finally:
            agent.resume()


async def test_a_consul_that_is_gone_leaves_the_lists_and_everybody_sees_it(tmp_path: Path) -> None:
    """A service that only Consul knows is called on; its list is stale in what the server says of itself."""
    async with running_agent(tmp_path / "agent") as agent, carts_server() as port:
        agent.register("gone-carts", "carts-1", Address="127.0.0.1", Port=port)
        async with serving(agent, "gone-") as server, connect(server.address) as weft:
            await weft.registry.register("shop", endpoint="consul://carts")
            assert await weft.executions.call("shop", "GetCart", {"customer": "ada"})

            async def stale() -> bool:
                mesh = (await weft.registry.integration_health()).server["mesh"]
                return any(it["stale"] for it in mesh["routes"] if it["target"] == "weft://shop")

            async def fresh() -> bool:
                return not await stale()

            assert await fresh()
            await asyncio.to_thread(agent.stop)
            await until(stale)
            assert await weft.executions.call("shop", "GetCart", {"customer": "ada"})
            await asyncio.to_thread(agent.start)
            await until(fresh)


async def serves(server: WeftServer) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
