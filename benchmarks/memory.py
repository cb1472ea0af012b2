"""Benchmark ``memory``: what stays in the server's memory of workflows that have ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import Final

from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.processes import Child, Processes
from benchmarks.work import add_workflow, execute
from weft.client import connect

__all__ = ["MemoryBenchmark"]

_WORKFLOWS: Final = 20_000
"""In each round; five rounds make 100,000 on one server."""
_UNDER_WAY: Final = 32
_SLICE: Final = 0.5
"""Seconds between two looks at how many are done."""


class MemoryBenchmark:
    """Workflows of 3 steps, 32 under way, with the server's memory before, half way and after."""

    name = "memory"
    description = "resident memory of one server over 100 thousand workflows, 20 thousand a round"
    seconds = 300.0
    figures: Sequence[Figure] = (
        Figure(
            name="memory.resident",
            unit="MB",
            side="server",
            concurrency=_UNDER_WAY,
            metric="resident",
            at_most=200.0,
        ),
        Figure(
            name="memory.growth",
            unit="MB/10k",
            side="server",
            concurrency=_UNDER_WAY,
            metric="growth",
            at_most=1.0,
        ),
        Figure(name="memory.done", unit="", side="server", concurrency=_UNDER_WAY, metric="done"),
    )

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start server and provider, and make the workflow."""
        server = processes.start_server()
        address = await server.address()
        processes.start("provider", "benchmarks.provider", "--server", address)
        async with connect(address) as client:
            await add_workflow(client)
            run = partial(_block, _Count(server, execute(client)))
            yield (Side(name="server", run=run, concurrencies=(_UNDER_WAY,)),)


class _Count:
    """One server, and how many workflows it has done."""

    def __init__(self, server: Child, work: Operation) -> None:
        self.done = 0
        self._server = server
        self._work = work

    async def run(self, count: int, concurrency: int) -> list[float]:
        """Do at least so many more; return how long each took."""
        latencies: list[float] = []
        while len(latencies) < count:
            latencies += (await closed_loop(self._work, concurrency, _SLICE)).latencies
        self.done += len(latencies)
        return latencies

    def resident(self) -> float:
        """Return the server's memory in MB."""
        return self._server.resident_megabytes()


async def _block(server: _Count, concurrency: int, seconds: float) -> Block:
    """Do a round's share; its growth is between half way and the end, for each 10,000 done."""
    half = max(1, round(_WORKFLOWS / 2 * seconds / MemoryBenchmark.seconds))
    begun = perf_counter()
    latencies = await server.run(half, concurrency)
    middle = server.resident()
    last = await server.run(half, concurrency)
    end = server.resident()
    return Block(
        seconds=perf_counter() - begun,
        latencies=[*latencies, *last],
        extra={
            "resident": end,
            "growth": (end - middle) * 10_000 / len(last),
            "done": float(server.done),
        },
    )
