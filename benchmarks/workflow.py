"""Benchmark ``workflow``: three steps end to end, durably, against raw echoes and against their floor."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import grpc.aio

from benchmarks.echo import echo_method
from benchmarks.floor import echo, floor
from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.processes import Processes
from benchmarks.provider import UNARY_SERVICE
from benchmarks.retries import RetryCount
from benchmarks.stores import SQLITE, StoreKind
from benchmarks.work import add_workflow, execute
from weft.client import connect

__all__ = ["LEVELS", "WorkflowBenchmark", "costed_side"]

LEVELS: Final = (1, 32, 128)
"""How many operations are under way at once."""

_BUSY: Final = LEVELS[1:]
_UNARY_WORKFLOW: Final = "benchmark-unary"
_UNITS: Final = {"p50": "ms", "p99": "ms", "rate": "1/s"}
_LEVELS_OF: Final = {"workflow": LEVELS, "unary": _BUSY, "echo": LEVELS, "floor": (1,)}
_CPU_OF: Final = {
    "workflow": ("server", "provider", "store", "driver"),
    "unary": ("server", "provider", "store", "driver"),
    "echo": ("server", "driver"),
}

CpuClock = Callable[[], float]


def _figures(name: str, goal: float) -> tuple[Figure, ...]:
    ratio, rate = partial(Figure, unit="ratio"), f"{name}.workflow/echo.rate"
    return (
        *(
            ratio(
                name=f"{rate}.c{c}",
                side="workflow",
                base="echo",
                concurrency=c,
                metric="rate",
                at_least=goal if c == LEVELS[-1] else None,
            )
            for c in LEVELS
        ),
        *(
            ratio(
                name=f"{name}.unary/echo.rate.c{c}",
                side="unary",
                base="echo",
                concurrency=c,
                metric="rate",
                at_least=0.15 if c == LEVELS[-1] else None,
            )
            for c in _BUSY
        ),
        *(
            ratio(
                name=f"{name}.workflow/{base}.p50.c1",
                side="workflow",
                base=base,
                concurrency=1,
                metric="p50",
                at_most=at_most,
            )
            for base, at_most in (("echo", 8.0), ("floor", 1.5))
        ),
        *(
            ratio(
                name=f"{name}.control/echo.rate.c{c}",
                side="control",
                base="echo",
                concurrency=c,
                metric="rate",
            )
            for c in LEVELS
        ),
        *(
            Figure(name=f"{name}.{side}.{metric}.c{c}", unit=unit, side=side, concurrency=c, metric=metric)
            for side, levels in _LEVELS_OF.items()
            for c in levels
            for metric, unit in _metrics(side).items()
        ),
    )


def _metrics(side: str) -> Mapping[str, str]:
    cpu = _CPU_OF.get(side, ())
    used = {f"cpu_{of}": "s/1000" for of in (*cpu, "all")} if cpu else {}
    retries = {RetryCount.METRIC: "1/1000"} if side in {"workflow", "unary"} else {}
    return {**_UNITS, **used, **retries}


class WorkflowBenchmark:
    """ExecuteWorkflow in a closed loop, over a stream and by unary calls; every result is checked.

    Args:
        store: Where the server keeps everything.
        goal: Workflows for each raw call, at least, with 128 under way.
    """

    seconds = 2.0

    def __init__(self, store: StoreKind = SQLITE, goal: float = 0.40) -> None:
        self._store = store
        self.name = f"workflow{store.suffix}"
        self.description = f"durable workflows of 3 steps against raw calls and their floor, on {store.title}"
        self.figures: Sequence[Figure] = _figures(self.name, goal)

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start server, both providers and both echoes, and make the workflows.

        Raises:
            CannotRunError: A part of the store is missing.
        """
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(self._store.opened(processes))
            server = processes.start_server(options=store.options)
            address, retries = await server.address(), RetryCount()
            streaming = processes.start("provider", "benchmarks.provider", "--server", address)
            unary = processes.start("unary", "benchmarks.provider", "--server", address, "--unary")
            echoes = [processes.start(name, "benchmarks.echo", "raw") for name in ("echo", "control")]
            client = await stack.enter_async_context(connect(address, chance=retries))
            await add_workflow(client)
            await add_workflow(client, _UNARY_WORKFLOW, UNARY_SERVICE)
            hop, control = [
                echo(echo_method(await stack.enter_async_context(_channel(await each.address()))))
                for each in echoes
            ]
            clocks = {"server": server.cpu_seconds, "store": store.cpu_seconds}
            over_stream = {**clocks, "provider": streaming.cpu_seconds}
            by_calls = {**clocks, "provider": unary.cpu_seconds}
            yield (
                costed_side("workflow", execute(client), over_stream, retries),
                costed_side("unary", execute(client, _UNARY_WORKFLOW), by_calls, retries),
                costed_side("echo", hop, {"server": echoes[0].cpu_seconds}),
                costed_side("control", control, {"server": echoes[1].cpu_seconds}),
                costed_side("floor", floor(hop, store.commit), {}),
            )


def _channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address)


def costed_side(
    name: str, operation: Operation, clocks: Mapping[str, CpuClock], retries: RetryCount | None = None
) -> Side:
    """Return a side with the processor time of what takes part in it.

    Args:
        name: Of the side.
        operation: What is done.
        clocks: Processor time of the processes, by what they are; the driver's own is added.
        retries: Counts those of the client.
    """
    every: Mapping[str, CpuClock] = {**clocks, "driver": time.process_time}

    async def block(concurrency: int, seconds: float) -> Block:
        before = {of: clock() for of, clock in every.items()}
        result = await closed_loop(operation, concurrency, seconds)
        per_1000 = 1_000 / len(result.latencies)
        used = {f"cpu_{of}": (clock() - before[of]) * per_1000 for of, clock in every.items()}
        result = replace(result, extra={**used, "cpu_all": sum(used.values())})
        return retries.added_to(result) if retries else result

    return Side(name=name, run=block, concurrencies=_LEVELS_OF.get(name, LEVELS))
