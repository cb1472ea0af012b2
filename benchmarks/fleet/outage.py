"""Benchmark ``outage``: Consul is killed, and comes back with its data or without; calls go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from benchmarks.fleet.host import SERVICE
from benchmarks.fleet.load import Load, meshed
from benchmarks.harness import Block, Figure, Side
from benchmarks.processes import Processes
from tests.support.consul import ConsulAgent, running_agent
from weft.discovery.consul import ConsulConfig
from weft.discovery.resolvers import SourcesConfig
from weft.mesh.route import Route

__all__ = ["OutageBenchmark"]

_INSTANCES: Final = 3
_DOWN: Final = 60.0
"""Seconds without Consul."""
_WIPES: Final = 4
"""In each round; five rounds make 20."""
_PATIENCE: Final = 30.0


def _figures() -> tuple[Figure, ...]:
    metrics = (("failed", "calls", 0.0), ("complete", "s", 10.0), ("calls", "calls", None))
    return tuple(
        Figure(
            name=f"outage.{side}.{metric}",
            unit=unit,
            side=side,
            concurrency=1,
            metric=metric,
            at_most=at_most,
        )
        for side in ("down", "wiped")
        for metric, unit, at_most in metrics
    )


class OutageBenchmark:
    """Three instances in Consul, called under load while it is away."""

    name = "outage"
    description = "Consul away for 60 s, or back without its data: failed calls, and the list's return"
    seconds = _DOWN
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start Consul and the instances."""
        async with AsyncExitStack() as stack:
            agent = await stack.enter_async_context(running_agent(processes.place / "consul"))
            options = ("--instances", str(_INSTANCES), "--consul", agent.address, "--ttl", "10")
            await processes.start("fleet", "benchmarks.fleet.host", *options).address()
            target = f"consul://{SERVICE}"
            source = SourcesConfig(consul=ConsulConfig(address=agent.address))
            mesh, _ = await stack.enter_async_context(meshed(source, target))
            load, route = Load(mesh, target), mesh.route(target)
            await load.ready()
            yield (
                Side(name="down", run=partial(_down, agent, load, route), concurrencies=(1,)),
                Side(name="wiped", run=partial(_wiped, agent, load, route), concurrencies=(1,)),
            )


async def _down(agent: ConsulAgent, load: Load, route: Route, _: int, seconds: float) -> Block:
    begun = time.monotonic()
    async with load.running():
        await asyncio.to_thread(agent.kill)
        await asyncio.sleep(seconds)
        assert route.snapshot.stale, "nobody noticed that Consul is down"
        complete = await _back(agent, route)
    return load.block(time.monotonic() - begun, complete=complete)


async def _wiped(agent: ConsulAgent, load: Load, route: Route, _: int, seconds: float) -> Block:
    begun = time.monotonic()
    complete = 0.0
    async with load.running():
        for _wipe in range(max(1, round(_WIPES * seconds / _DOWN))):
            await asyncio.to_thread(agent.wipe)
            complete = max(complete, await _back(agent, route))
    return load.block(time.monotonic() - begun, complete=complete)


async def _back(agent: ConsulAgent, route: Route) -> float:
    """Start Consul again; return how long after it leads every instance was there, and the list not stale."""
    await asyncio.to_thread(agent.start)
    begun = time.monotonic()
    async with asyncio.timeout(_PATIENCE):
        while route.snapshot.stale or len(await _entries(agent)) < _INSTANCES:  # noqa: ASYNC110 - Consul's
            await asyncio.sleep(0.05)
    assert len(route.snapshot.callable()) == _INSTANCES
    return time.monotonic() - begun


async def _entries(agent: ConsulAgent) -> list[object]:
    return await asyncio.to_thread(agent.entries, SERVICE)
