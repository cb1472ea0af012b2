"""Benchmark ``workflow``: three steps end to end, durably, against the floor of the same hops and commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import grpc.aio

from benchmarks.echo import echo_method
from benchmarks.floor import floor, hops, journal
from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.payloads import Documents
from benchmarks.processes import Child, Processes, StartError
from benchmarks.provider import ACTIONS, SERVICE
from benchmarks.retries import RetryCount
from weft.client import Client, connect

__all__ = ["LEVELS", "WorkflowBenchmark", "execute", "ready"]

LEVELS = (1, 32, 128)
"""How many workflows are under way at once."""

_NAME = "benchmark"
_WAIT = timedelta(seconds=30)
_UNITS = {"p50": "ms", "p99": "ms", "rate": "1/s"}
_CPU = ("server", "provider", "driver")


def _figures() -> tuple[Figure, ...]:
    return (
        _ratio("workflow/floor.p50.c1", "floor", 1, "p50", at_most=1.5),
        _ratio("workflow/hops.rate.c32", "hops", 32, "rate"),
        _ratio("workflow/hops.rate.c128", "hops", 128, "rate"),
        *(_absolute("workflow", c, metric, unit) for c in LEVELS for metric, unit in _UNITS.items()),
        *(_absolute("workflow", c, f"cpu_{of}", "s/1000") for c in LEVELS for of in (*_CPU, "all")),
        *(_absolute("workflow", c, RetryCount.METRIC, "1/1000") for c in LEVELS),
        _absolute("floor", 1, "p50", "ms"),
        *(_absolute("hops", c, "rate", "1/s") for c in LEVELS[1:]),
    )


def _ratio(name: str, base: str, concurrency: int, metric: str, at_most: float | None = None) -> Figure:
    return Figure(
        name=f"workflow.{name}",
        unit="ratio",
        side="workflow",
        base=base,
        concurrency=concurrency,
        metric=metric,
        at_most=at_most,
    )


def _absolute(side: str, concurrency: int, metric: str, unit: str) -> Figure:
    name = f"workflow.{side}.{metric}.c{concurrency}"
    return Figure(name=name, unit=unit, side=side, concurrency=concurrency, metric=metric)


class WorkflowBenchmark:
    """ExecuteWorkflow in a closed loop; every result is checked."""

    name = "workflow"
    description = "a durable workflow of 3 steps over a hop each, against its floor of hops and commits"
    seconds = 2.0
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start server, provider and echo, and create the workflow."""
        echo = processes.start("echo-raw", "benchmarks.echo", "raw")
        server = processes.start_server()
        address, retries = await server.address(), RetryCount()
        provider = processes.start("provider", "benchmarks.provider", "--server", address)
        async with (
            connect(address, chance=retries) as client,
            grpc.aio.insecure_channel(await echo.address()) as channel,
        ):
            await ready(client)
            method = echo_method(channel)
            watched = {"server": server, "provider": provider}
            with journal(processes.place / "floor.db") as connection:
                yield (
                    _workflow_side(execute(client), watched, retries),
                    _side("floor", floor(method, connection), (1,)),
                    _side("hops", hops(method), LEVELS[1:]),
                )


def _side(name: str, operation: Operation, concurrencies: tuple[int, ...]) -> Side:
    async def block(concurrency: int, seconds: float) -> Block:
        return await closed_loop(operation, concurrency, seconds)

    return Side(name=name, run=block, concurrencies=concurrencies)


def _workflow_side(operation: Operation, watched: Mapping[str, Child], retries: RetryCount) -> Side:
    async def block(concurrency: int, seconds: float) -> Block:
        before = _cpu_seconds(watched)
        result = await closed_loop(operation, concurrency, seconds)
        after = _cpu_seconds(watched)
        per_1000 = 1_000 / len(result.latencies)
        used = {f"cpu_{name}": (after[name] - before[name]) * per_1000 for name in after}
        result = replace(result, extra={**used, "cpu_all": sum(used.values())})
        return retries.added_to(result)

    return Side(name="workflow", run=block, concurrencies=LEVELS)


def _cpu_seconds(watched: Mapping[str, Child]) -> dict[str, float]:
    children = {name: child.cpu_seconds() for name, child in watched.items()}
    return {**children, "driver": time.process_time()}


def execute(client: Client) -> Operation:
    """Return one workflow from start to checked result."""
    documents = Documents()

    async def operation() -> None:
        document = documents.next()
        execution = await client.executions.execute(_NAME, document, wait=_WAIT)
        expected = documents.expected(document, len(ACTIONS))
        if execution.state != "COMPLETED" or execution.result != expected:
            raise AssertionError(f"{execution.id} is {execution.state} with {execution.result}")

    return operation


async def ready(client: Client) -> None:
    """Wait for the provider, then create the workflow.

    Raises:
        StartError: The provider did not register.
    """
    try:
        async with asyncio.timeout(20):
            async for instances in client.registry.watch_instances(SERVICE):
                if any(instance.health == "PASSING" for instance in instances):
                    break
    except TimeoutError:
        raise StartError("the provider did not register within 20 s") from None
    await client.workflows.create(_NAME, _steps())


def _steps() -> list[dict[str, str]]:
    following = (*ACTIONS[1:], "")
    return [
        {"id": action, "service": SERVICE, "action": action, "next": after}
        for action, after in zip(ACTIONS, following, strict=True)
    ]
