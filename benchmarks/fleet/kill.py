"""Benchmark ``kill``: one of three instances is killed under load, again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final

from benchmarks.fleet.host import SERVICE
from benchmarks.fleet.load import Attempts, Load, meshed
from benchmarks.harness import Block, Figure, Side
from benchmarks.processes import Child, Processes
from benchmarks.stats import percentile
from tests.support.consul import running_agent
from weft.discovery.consul import ConsulConfig
from weft.discovery.resolvers import SourcesConfig
from weft.mesh.balancing import BalancerConfig, OutlierConfig
from weft.mesh.mesh import Mesh, MeshConfig

__all__ = ["KillBenchmark"]

_INSTANCES: Final = 3
_TTL: Final = 3.0
"""Seconds; heartbeats come every third of it."""
_KILLS: Final = 4
"""In each round; five rounds make 20."""
_WATCHED: Final = _TTL + 4.0
"""Seconds after a kill in which calls are looked at: longer than discovery may take."""
_BEFORE: Final = 1.0
_NO_EJECTION: Final = OutlierConfig(consecutive_failures=0, success_rate_factor=0)


def _figures() -> tuple[Figure, ...]:
    goals = {"ejection": 1.0, "discovery": _TTL + 2.0}
    return tuple(
        Figure(
            name=f"kill.{side}.{metric}",
            unit=unit,
            side=side,
            concurrency=1,
            metric=metric,
            at_most={"failed": 0.0, "last": goal}.get(metric),
        )
        for side, goal in goals.items()
        for metric, unit in (("failed", "calls"), ("last", "s"), ("attempts", "calls"), ("calls", "calls"))
    )


class KillBenchmark:
    """Three processes of one instance each, in Consul; callers with and without outlier ejection."""

    name = "kill"
    description = (
        "kill -9 of one of three instances under 500 calls/s: failed calls, and until when it is picked"
    )
    seconds = _KILLS * _WATCHED
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start Consul and the instances."""
        async with AsyncExitStack() as stack:
            agent = await stack.enter_async_context(running_agent(processes.place / "consul"))
            instances = _Instances(processes, agent.address)
            for _ in range(_INSTANCES):
                await instances.start()
            target = f"consul://{SERVICE}"
            source = SourcesConfig(consul=ConsulConfig(address=agent.address))
            sides = []
            for name, balancer in (
                ("ejection", BalancerConfig()),
                ("discovery", BalancerConfig(outliers=_NO_EJECTION)),
            ):
                opened = meshed(source, target, MeshConfig(balancer=balancer))
                mesh, attempts = await stack.enter_async_context(opened)
                load = Load(mesh, target)
                await load.ready()
                trial = _Trial(instances, mesh, attempts)
                run = partial(_block, load, trial.kill)
                sides.append(Side(name=name, run=run, concurrencies=(1,)))
            yield sides


class _Instances:
    """The processes, the oldest first."""

    def __init__(self, processes: Processes, consul: str) -> None:
        self._processes = processes
        self._options = ("--instances", "1", "--consul", consul, "--ttl", f"{_TTL:g}")
        self._names = (f"instance-{number}" for number in count())
        self._running: list[Child] = []

    async def start(self) -> None:
        child = self._processes.start(next(self._names), "benchmarks.fleet.host", *self._options)
        await child.address()
        self._running.append(child)

    def kill_oldest(self) -> None:
        self._processes.kill(self._running.pop(0))


@dataclass(frozen=True, slots=True)
class _Trial:
    """One kill: who was called after it, how often, and until when."""

    instances: _Instances
    mesh: Mesh
    attempts: Attempts

    async def kill(self) -> tuple[float, int]:
        """Kill the oldest instance; return seconds until the last attempt there, and how many there were."""
        known = self._known()
        before = dict(self.attempts.count)
        killed = time.monotonic()
        self.instances.kill_oldest()
        await self._until(lambda: len(self._known()) < len(known), _WATCHED)
        await asyncio.sleep(max(0.0, killed + _WATCHED - time.monotonic()))
        (victim,) = known - self._known()
        made = self.attempts.count[victim] - before.get(victim, 0)
        last = max(0.0, self.attempts.last.get(victim, killed) - killed)
        await self.instances.start()
        await self._until(lambda: len(self._known()) == len(known), _WATCHED)
        return last, made

    def _known(self) -> set[str]:
        (route,) = self.mesh.states()
        return {instance["key"] for instance in route["instances"]}

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - the mesh tells its state, not its changes
                await asyncio.sleep(0.02)


async def _block(
    load: Load, kill: Callable[[], Awaitable[tuple[float, int]]], _: int, seconds: float
) -> Block:
    begun = time.monotonic()
    results = []
    async with load.running():
        for _kill in range(max(1, round(seconds / _WATCHED))):
            await asyncio.sleep(_BEFORE)
            results.append(await kill())
    last = percentile([result[0] for result in results], 95)
    made = sum(result[1] for result in results) / len(results)
    return load.block(time.monotonic() - begun, last=last, attempts=made)
