"""What happens to registrations and lists when Consul dies, is held, or loses everything."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.consul import ConsulAgent, running_agent
from tests.support.watching import eventually, following
from weft.discovery.consul import ConsulClient, ConsulRegistrar, ConsulResolver, Registration
from weft.discovery.model import Endpoint

pytestmark = pytest.mark.integration

_TTL = timedelta(seconds=2)


def registration(number: int) -> Registration:
    there = Endpoint(host="127.0.0.1", port=7000 + number, instance_id=f"web-{number}")
    return Registration(service="web", endpoint=there)


async def test_a_wiped_consul_is_filled_again_and_no_list_is_emptied(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed, wiped, and started: all is registered again within 10 s, and no watcher saw it missing."""
    loop = asyncio.get_running_loop()
    async with (
        running_agent(tmp_path) as agent,
        ConsulClient(agent.config(ttl=_TTL)) as client,
        AsyncExitStack() as providers,
        following(ConsulResolver(client), "web") as seen,
    ):
        for number in (1, 2, 3):
            await providers.enter_async_context(ConsulRegistrar(client, registration(number)))
        await seen.keys("web-1", "web-2", "web-3")
        complete = len(seen.seen)
        await asyncio.to_thread(agent.wipe)
        await seen.until(lambda s: s.stale)
        assert "Consul at http://127.0.0.1" in seen.newest.problem
        await asyncio.to_thread(agent.start)
        started = loop.time()
        await seen.until(lambda s: not s.stale, within=12.0)
        assert loop.time() - started < 10.0
        assert len(agent.entries("web")) == 3
        assert all(len(snapshot.endpoints) == 3 for snapshot in seen.seen[complete:])
        assert any("Consul had lost instance web-1" in r.getMessage() for r in caplog.records)


async def test_an_agent_that_comes_later_gets_the_registration(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A process starts without its agent, says so once, and is registered soon after the agent is there."""
    agent = ConsulAgent(tmp_path)
    with caplog.at_level(logging.WARNING, "weft.discovery.consul"):
        async with (
            ConsulClient(agent.config(ttl=_TTL)) as client,
            following(ConsulResolver(client), "web") as seen,
            ConsulRegistrar(client, registration(1)) as registrar,
        ):
            await eventually(lambda: "cannot be reached" in registrar.problem)
            await seen.until(lambda s: s.stale and not s.endpoints)
            assert not registrar.registered
            await asyncio.to_thread(agent.start)
            try:
                async with asyncio.timeout(4.0):
                    await registrar.wait_registered()
                await seen.keys("web-1")
                assert registrar.problem == ""
            finally:
                await asyncio.to_thread(agent.kill)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("cannot be kept registered" in line for line in lines) == 1


async def test_an_outage_longer_than_the_time_to_live_harms_nobody(tmp_path: Path) -> None:
    """An agent that was away calls everything critical at first; nobody believes it, and changes are seen."""
    async with (
        running_agent(tmp_path) as agent,
        ConsulClient(agent.config(ttl=_TTL)) as client,
        AsyncExitStack() as providers,
        following(ConsulResolver(client), "web") as seen,
    ):
        for number in (1, 2, 3):
            await providers.enter_async_context(ConsulRegistrar(client, registration(number)))
        await seen.keys("web-1", "web-2", "web-3")
        complete = len(seen.seen)
        await asyncio.to_thread(agent.kill)
        await asyncio.sleep(_TTL.total_seconds())
        await asyncio.to_thread(agent.start)
        async with ConsulRegistrar(client, registration(4)):
            await seen.keys("web-1", "web-2", "web-3", "web-4")
            await seen.until(lambda s: not s.stale)
        assert all(len(snapshot.callable()) >= 3 for snapshot in seen.seen[complete:])


async def test_a_held_agent_delays_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An agent that takes connections and never answers: lists stay, and closing takes a bounded time."""
    async with running_agent(tmp_path) as agent:
        config = agent.config(ttl=_TTL, request_timeout=timedelta(seconds=0.5), wait=timedelta(seconds=1))
        async with ConsulClient(config) as client, following(ConsulResolver(client), "web") as seen:
            registrar = ConsulRegistrar(client, registration(1))
            registrar.start()
            await seen.keys("web-1")
            agent.pause()
            await seen.until(lambda s: s.stale)
            assert "did not answer in time" in seen.newest.problem
            assert [e.key for e in seen.newest.endpoints] == ["web-1"]
            started = asyncio.get_running_loop().time()
            await registrar.close(timedelta(seconds=1))
            assert asyncio.get_running_loop().time() - started < 1.5
            agent.resume()
    assert any("stays in Consul's list until" in record.getMessage() for record in caplog.records)
