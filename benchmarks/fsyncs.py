"""Benchmark ``fsyncs``: how often the server asks the disk to keep a workflow, counted, not timed."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Block, CannotRunError, Figure, Operation, Side, closed_loop
from benchmarks.processes import Processes
from benchmarks.work import add_workflow, execute
from benchmarks.workflow import LEVELS
from weft.client import connect

__all__ = ["FsyncsBenchmark"]

_CALLS = "fsync,fdatasync,msync,sync_file_range"
_ENDED = re.compile(r"\) += 0$", re.MULTILINE)
_GOALS = {1: 4.2, 32: 1.5, 128: 1.5}


class FsyncsBenchmark:
    """The workflow of benchmark ``workflow`` on a server under strace."""

    name = "fsyncs"
    description = "fsyncs of the server for each workflow of 3 steps, counted by strace"
    seconds = 2.0
    figures: Sequence[Figure] = tuple(
        Figure(
            name=f"fsyncs.workflow.c{c}",
            unit="fsyncs",
            side="traced",
            concurrency=c,
            metric="fsyncs",
            at_most=_GOALS[c],
        )
        for c in LEVELS
    )

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start a traced server and a provider.

        Raises:
            CannotRunError: There is no strace.
        """
        tracer = shutil.which("strace")
        if tracer is None:
            raise CannotRunError("strace is not installed; on Debian: apt-get install strace")
        trace = processes.place / "fsyncs.trace"
        options = ("-D", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={_CALLS}", "-o", str(trace))
        server = processes.start_server(prefix=(tracer, *options))
        address = await server.address()
        processes.start("provider", "benchmarks.provider", "--server", address)
        async with connect(address) as client:
            await add_workflow(client)
            yield (_side(execute(client), trace),)


def _side(operation: Operation, trace: Path) -> Side:
    async def block(concurrency: int, seconds: float) -> Block:
        before = _count(trace)
        result = await closed_loop(operation, concurrency, seconds)
        found = _count(trace) - before
        if not found:
            raise AssertionError("strace saw no fsync, though the server promises durability")
        return replace(result, extra={"fsyncs": found / len(result.latencies)})

    return Side(name="traced", run=block, concurrencies=LEVELS)


def _count(trace: Path) -> int:
    """Count calls that ended well; one that another thread interrupted stands on two lines."""
    return len(_ENDED.findall(trace.read_text(encoding="utf-8", errors="replace")))
