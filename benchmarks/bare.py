"""Benchmark ``bare``: how near a durable workflow is to the same steps without an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import grpc.aio
import orjson

from benchmarks.bare_parts import STEPS, Execute, execute_method
from benchmarks.echo import echo_method
from benchmarks.floor import echo
from benchmarks.harness import Figure, Operation, Side
from benchmarks.payloads import Documents
from benchmarks.processes import Processes
from benchmarks.work import add_workflow, execute
from benchmarks.workflow import LEVELS, costed_side
from weft.api.common.v1.payload_pb2 import Payload
from weft.client import connect

__all__ = ["BareBenchmark"]

_SIDES: Final = ("workflow", "bare", "echo")
_PAIRS: Final = (("bare", "echo"), ("workflow", "bare"), ("workflow", "echo"))
_CPU_OF: Final = {
    "workflow": ("server", "provider", "driver", "all"),
    "bare": ("server", "provider", "driver", "all"),
    "echo": ("server", "driver", "all"),
}


def _figures() -> tuple[Figure, ...]:
    ratio = partial(Figure, unit="ratio")
    return (
        *(
            ratio(name=f"bare.{side}/{base}.rate.c{c}", side=side, base=base, concurrency=c, metric="rate")
            for side, base in _PAIRS
            for c in LEVELS
        ),
        *(
            ratio(name=f"bare.{side}/{base}.p50.c1", side=side, base=base, concurrency=1, metric="p50")
            for side, base in _PAIRS
        ),
        *(
            Figure(name=f"bare.{side}.{metric}.c{c}", unit=unit, side=side, concurrency=c, metric=metric)
            for side in _SIDES
            for c in LEVELS
            for metric, unit in (
                ("rate", "1/s"),
                ("p50", "ms"),
                *((f"cpu_{of}", "s/1000") for of in _CPU_OF[side]),
            )
        ),
    )


class BareBenchmark:
    """Three durable steps in another process: by Weft, by hand, and an echo beside them."""

    name = "bare"
    description = "durable workflows of 3 steps against the same steps without an engine, and raw calls"
    seconds = 2.0
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start all three, and make the workflow."""
        async with AsyncExitStack() as stack:
            server = processes.start_server()
            address = await server.address()
            provider = processes.start("provider", "benchmarks.provider", "--server", address)
            bare_provider = processes.start("bare-provider", "benchmarks.bare_parts", "provider")
            rows, there = processes.place / "bare.db", await bare_provider.address()
            engine = processes.start(
                "bare", "benchmarks.bare_parts", "engine", "--journal", str(rows), "--provider", there
            )
            raw = processes.start("echo", "benchmarks.echo", "raw")
            client = await stack.enter_async_context(connect(address))
            await add_workflow(client)
            to_engine, to_raw = [
                await stack.enter_async_context(grpc.aio.insecure_channel(await each.address()))
                for each in (engine, raw)
            ]
            yield (
                costed_side(
                    "workflow",
                    execute(client),
                    {"server": server.cpu_seconds, "provider": provider.cpu_seconds},
                ),
                costed_side(
                    "bare",
                    _steps(execute_method(to_engine)),
                    {"server": engine.cpu_seconds, "provider": bare_provider.cpu_seconds},
                ),
                costed_side("echo", echo(echo_method(to_raw)), {"server": raw.cpu_seconds}),
            )


def _steps(method: Execute) -> Operation:
    """Return one call of all steps, with its result checked."""
    documents = Documents()

    async def operation() -> None:
        document = documents.next()
        answer = await method(Payload(json=orjson.dumps(document)))
        if orjson.loads(answer.json) != documents.expected(document, STEPS):
            raise AssertionError(f"{document} became {answer.json!r}")

    return operation
