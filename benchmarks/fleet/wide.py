"""Benchmark ``wide``: a thousand services of ten instances each, watched by one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import orjson

from benchmarks.fleet.watcher import INSTANCES, SERVICES, name_of
from benchmarks.harness import Block, Figure, Side
from benchmarks.processes import Processes
from tests.support.consul import ConsulAgent, running_agent

__all__ = ["WideBenchmark"]

_OPERATIONS: Final = 60
"""In one transaction; Consul takes 64."""


def _figures() -> tuple[Figure, ...]:
    return tuple(
        Figure(name=f"wide.{side}.{metric}", unit=unit, side=side, concurrency=1, metric=metric)
        for side in ("consul", "memory")
        for metric, unit in (("seconds", "s"), ("megabytes", "MB"))
    )


class WideBenchmark:
    """All of them in Consul, with its default limits; and as a floor, in memory."""

    name = "wide"
    description = "1,000 services of 10 instances: until all are known to one process, and its memory"
    seconds = 1.0
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start Consul, and fill its catalogue."""
        async with running_agent(processes.place / "consul") as agent:
            await asyncio.to_thread(_fill, agent)
            yield (
                Side(
                    name="consul",
                    run=partial(_watch, processes, ("--consul", agent.address)),
                    concurrencies=(1,),
                ),
                Side(name="memory", run=partial(_watch, processes, ()), concurrencies=(1,)),
            )


async def _watch(processes: Processes, options: tuple[str, ...], _: int, __: float) -> Block:
    begun = time.monotonic()
    child = processes.start(f"watcher-{begun}", "benchmarks.fleet.watcher", *options)
    found: dict[str, float] = orjson.loads(await child.address())
    processes.kill(child)
    seconds = time.monotonic() - begun
    return Block(seconds=seconds, latencies=[seconds], extra=found)


def _fill(agent: ConsulAgent) -> None:
    """Register nodes that are not there with services of which each is at one of them."""
    for number in range(INSTANCES):
        agent.call("PUT", "/v1/catalog/register", {"Node": f"far-{number}", "Address": "127.0.0.1"})
    operations = list(_operations())
    for start in range(0, len(operations), _OPERATIONS):
        agent.call("PUT", "/v1/txn", operations[start : start + _OPERATIONS])


def _operations() -> Iterator[dict[str, Any]]:
    for number in range(INSTANCES):
        for service in range(SERVICES):
            definition = {
                "ID": f"{name_of(service)}-{number}",
                "Service": name_of(service),
                "Port": 20_000 + number,
            }
            yield {"Service": {"Verb": "set", "Node": f"far-{number}", "Service": definition}}
