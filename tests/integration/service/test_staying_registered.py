"""A host keeps itself registered, whatever the registry forgets."""

from __future__ import annotations

import asyncio
import logging
import random

import grpc.aio
import pytest

from tests.integration.service.registry import Registry, advance_until, made, served, service
from weft.api.registry.v1 import registry_pb2
from weft.core.testing import ManualClock
from weft.service import Health
from weft.service._return import Return

pytestmark = pytest.mark.integration


class Connection:
    """A connection that is as a test says."""

    def __init__(self) -> None:
        self._state = grpc.ChannelConnectivity.TRANSIENT_FAILURE
        self._turned = asyncio.Event()

    def turn(self, state: grpc.ChannelConnectivity) -> None:
        self._state = state
        self._turned.set()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: ARG002, FBT001, FBT002 - grpc's
        return self._state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        while self._state is last_observed_state:
            self._turned.clear()
            await self._turned.wait()


async def test_heartbeats_follow_the_interval(registry: Registry, clock: ManualClock) -> None:
    """One every third of the time to live, with the health that the service's own check says."""
    state: list[Health | str | None] = [None]
    demo = service(health_check=lambda: state[0])
    async with served(registry) as port, demo.hosted(server=f"127.0.0.1:{port}", clock=clock):
        await clock.advance(3.3)
        assert registry.names == ["RegisterService", "RegisterInstance"]
        await clock.advance(0.1)
        await registry.seen(lambda: registry.names.count("Heartbeat") == 1)
        assert registry.calls[-1][1].health == registry_pb2.HEALTH_STATE_PASSING
        state[0] = "disk full"
        await advance_until(clock, registry, lambda: registry.calls[-1][1].health_note == "disk full")
        assert registry.calls[-1][1].health == registry_pb2.HEALTH_STATE_CRITICAL
        state[0] = Health.WARNING
        warning = registry_pb2.HEALTH_STATE_WARNING
        await advance_until(clock, registry, lambda: registry.calls[-1][1].health == warning)


async def test_a_registration_is_named_by_its_token(registry: Registry, clock: ManualClock) -> None:
    """Heartbeats and the deregistration carry the token of the last registration."""
    async with (
        served(registry) as port,
        service().hosted(server=f"127.0.0.1:{port}", clock=clock, instance_id="mine"),
    ):
        first = registry.token
        await advance_until(clock, registry, lambda: registry.names[-1] == "Heartbeat")
        assert registry.calls[-1][1].registration_token == first
        registry.instances.clear()
        await advance_until(clock, registry, lambda: "mine" in registry.instances)
        await advance_until(clock, registry, lambda: registry.names[-1] == "Heartbeat")
    assert registry.names[-1] == "DeregisterInstance"
    assert registry.calls[-1][1].registration_token == registry.token != first


async def test_a_forgotten_instance_registers_again(registry: Registry, clock: ManualClock) -> None:
    """NOT_FOUND to a heartbeat means: say everything again."""
    async with (
        served(registry) as port,
        service().hosted(server=f"127.0.0.1:{port}", clock=clock) as host,
    ):
        registry.instances.clear()
        await advance_until(clock, registry, lambda: host.instance_id in registry.instances)
        assert registry.names[-3:] == ["Heartbeat", "RegisterService", "RegisterInstance"]
        await asyncio.wait_for(host.registered.wait(), 5)


async def test_a_replaced_instance_leaves_its_id_to_the_other(
    registry: Registry, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, does not register again while the other is there, and does so when that is gone."""
    caplog.set_level(logging.INFO, "weft.service")
    async with (
        served(registry) as port,
        service().hosted(server=f"127.0.0.1:{port}", clock=clock, instance_id="mine"),
    ):
        registry.token = "another's"
        await advance_until(clock, registry, lambda: registry.names.count("Heartbeat") == 3)
        assert registry.names.count("RegisterInstance") == 1
        registry.instances.clear()
        await advance_until(clock, registry, lambda: registry.names.count("RegisterInstance") == 2)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    found = f"mine was registered at 127.0.0.1:{port} by another process since"
    assert warnings == [
        f"{found}; this one gets no calls until that one is gone",
        f"mine is not known to 127.0.0.1:{port} any more, registering again",
    ]


async def test_a_restarted_registry_is_told_again(registry: Registry, clock: ManualClock) -> None:
    """A registry that comes back empty on the same address knows the instance soon."""
    async with served(registry) as port:
        hosting = service().hosted(server=f"127.0.0.1:{port}", clock=clock)
        host = await hosting.__aenter__()
    await clock.advance(10)
    again = made()
    async with served(again, port):
        await advance_until(clock, again, lambda: host.instance_id in again.instances)
        await hosting.__aexit__(None, None, None)
        assert not again.instances


async def test_a_registry_that_is_back_is_told_at_once(registry: Registry, clock: ManualClock) -> None:
    """A lost connection that is there again brings a heartbeat, long before the next one is due."""
    async with served(registry) as port:
        hosting = service().hosted(server=f"127.0.0.1:{port}", clock=clock, ttl=600)
        host = await hosting.__aenter__()
    again = made()
    async with served(again, port):
        async with asyncio.timeout(10):
            while host.instance_id not in again.instances:
                await asyncio.sleep(0.02)
                await clock.advance(0.01)
        assert clock.monotonic() < 20
        assert again.names == ["Heartbeat", "RegisterService", "RegisterInstance"]
        await hosting.__aexit__(None, None, None)


async def test_a_new_connection_is_not_told_twice(registry: Registry, clock: ManualClock) -> None:
    """What was said since the connection is there need not be said again."""
    async with served(registry) as port, service().hosted(server=f"127.0.0.1:{port}", clock=clock):
        for _ in range(10):
            await clock.advance(0.2)
            await asyncio.sleep(0.01)
        assert registry.names == ["RegisterService", "RegisterInstance"]


async def test_hosts_do_not_come_back_all_at_once(clock: ManualClock) -> None:
    """Each waits a while of its own, three tenths of a second at most."""
    seen: list[float] = []
    for seed in range(200):
        connection = Connection()
        back = Return(connection, clock, random.Random(seed))
        watching = asyncio.create_task(back.watch())
        await asyncio.sleep(0)
        started = clock.monotonic()
        connection.turn(grpc.ChannelConnectivity.READY)
        while not back.seen.is_set():
            await clock.advance(0.01)
        seen.append(clock.monotonic() - started)
        watching.cancel()
    assert max(seen) < 0.32
    assert all(40 < sum(low <= it < low + 0.1 for it in seen) < 95 for low in (0, 0.1, 0.2))
