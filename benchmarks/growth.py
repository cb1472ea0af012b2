"""Benchmark ``growth``: what a step costs in a long workflow, and a status with much in the store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.lists import fill
from benchmarks.payloads import Documents
from benchmarks.processes import Child, Processes
from benchmarks.work import WORKFLOW, add_workflow, execute
from weft.client import Client, connect

__all__ = ["GrowthBenchmark"]

_STEPS: Final = (3, 30, 300)
_LEVELS: Final = (1, 32)
_FULL: Final = 100_000
"""Executions in the store that is full."""
_UNITS: Final = {"step_time": "ms", "step_cpu": "s/1000"}


def _figures() -> tuple[Figure, ...]:
    ratio, one = partial(Figure, unit="ratio"), partial(Figure, concurrency=1, metric="p50")
    return (
        *(
            ratio(
                name=f"growth.{steps}/{base}.{metric}.c{c}",
                side=f"{steps}",
                base=f"{base}",
                concurrency=c,
                metric=metric,
                at_most=1.3,
            )
            for metric in _UNITS
            for c in _LEVELS
            for steps, base in ((30, 3), (300, 3), (300, 30))
        ),
        *(
            Figure(
                name=f"growth.{steps}.{metric}.c{c}", unit=unit, side=f"{steps}", concurrency=c, metric=metric
            )
            for metric, unit in _UNITS.items()
            for c in _LEVELS
            for steps in _STEPS
        ),
        one(name="growth.status.full/empty.p50", unit="ratio", side="full", base="empty"),
        one(name="growth.status.full.p50", unit="ms", side="full"),
        one(name="growth.status.empty.p50", unit="ms", side="empty"),
    )


class GrowthBenchmark:
    """Workflows of 3, 30 and 300 steps; GetExecution with 1 and with 100,001 executions in the store."""

    name = "growth"
    description = "the cost of a step in workflows of 3, 30 and 300, and of a status in a full store"
    seconds = 4.0
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start a server for the steps, and two for the status, one of them on a store that is full."""
        async with AsyncExitStack() as stack:
            server, provider, client = await _server(stack, processes, "steps")
            sides: list[Side] = []
            for steps in _STEPS:
                await add_workflow(client, f"steps-{steps}", steps=steps)
                work = execute(client, f"steps-{steps}", steps)
                sides.append(_steps_side(steps, work, (server, provider)))
            for name in ("empty", "full"):
                if name == "full":
                    await fill(processes.place / f"{name}-data" / "weft.db", _FULL)
                *_, client = await _server(stack, processes, name)
                await add_workflow(client)
                sides.append(_status_side(name, await _status(client)))
            yield sides


async def _server(stack: AsyncExitStack, processes: Processes, name: str) -> tuple[Child, Child, Client]:
    server = processes.start_server(name)
    address = await server.address()
    provider = processes.start(f"{name}-provider", "benchmarks.provider", "--server", address)
    return server, provider, await stack.enter_async_context(connect(address))


def _steps_side(steps: int, work: Operation, processes: Sequence[Child]) -> Side:
    def cpu() -> float:
        return time.process_time() + sum(process.cpu_seconds() for process in processes)

    async def block(concurrency: int, seconds: float) -> Block:
        before = cpu()
        result = await closed_loop(work, concurrency, seconds)
        done = len(result.latencies) * steps
        cost = {
            "step_time": result.seconds * 1_000 / done,
            "step_cpu": (cpu() - before) * 1_000 / done,
        }
        return replace(result, extra=cost)

    return Side(name=f"{steps}", run=block, concurrencies=_LEVELS)


async def _status(client: Client) -> Operation:
    """Return the reading of an execution that has ended."""
    documents = Documents()
    document = documents.next()
    done = await client.executions.execute(WORKFLOW, document)

    async def operation() -> None:
        found = await client.executions.get(done.id)
        if found.state != "COMPLETED" or found.result != documents.expected(document, 3):
            raise AssertionError(f"{found.id} is {found.state} with {found.result}")

    return operation


def _status_side(name: str, operation: Operation) -> Side:
    async def block(concurrency: int, seconds: float) -> Block:
        return await closed_loop(operation, concurrency, seconds)

    return Side(name=name, run=block, concurrencies=(1,))
