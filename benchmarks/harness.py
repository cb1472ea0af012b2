"""What a benchmark is, and how its sides are measured: in blocks, in turn, round after round.

The speed of a shared machine drifts within minutes, so sides that are compared
run within one round, in the order A B, B A, A B, …, and their ratio is taken
within it.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from benchmarks.processes import Processes
from benchmarks.stats import Summary, percentile, ratios, summarize

__all__ = [
    "Benchmark",
    "Block",
    "CannotRunError",
    "Figure",
    "Operation",
    "Plan",
    "Samples",
    "Side",
    "closed_loop",
    "compute",
    "measure",
]

Operation = Callable[[], Awaitable[None]]
"""Does one unit of work, checks its result, and raises when it is wrong."""

_PATIENCE = 60.0
"""Seconds that a block may take beyond its length."""


class CannotRunError(Exception):
    """A part that a benchmark needs is missing; the message says how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one uninterrupted run of one side gave."""

    seconds: float
    """From the first start to the last end."""
    latencies: Sequence[float]
    """Seconds of each operation."""
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further metrics of the side's own, by name."""

    def metrics(self) -> dict[str, float]:
        """Return what figures refer to: ``p50`` and ``p99`` in ms, ``rate`` a second, and the extras."""
        return {
            "p50": percentile(self.latencies, 50) * 1_000,
            "p99": percentile(self.latencies, 99) * 1_000,
            "rate": len(self.latencies) / self.seconds,
            **self.extra,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the things that are compared."""

    name: str
    """Short; figures refer to it."""
    run: Callable[[int, float], Awaitable[Block]]
    """Runs one block at a concurrency for about that many seconds."""
    concurrencies: tuple[int, ...] = (1, 32, 128)
    """Where it is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number that a benchmark gives, as the median over its rounds."""

    name: str
    """Unique among all benchmarks."""
    unit: str
    """Of the value."""
    side: str
    """Which side it is about."""
    concurrency: int
    """Where on that side."""
    metric: str
    """What of its blocks."""
    base: str = ""
    """The side that it is a ratio to, in the same round; empty for an absolute figure."""
    at_most: float | None = None
    """The goal, where there is one."""
    at_least: float | None = None
    """The goal, where there is one."""


class Benchmark(Protocol):
    """Something that is measured; ``benchmarks.suite`` lists all of them."""

    name: str
    """What ``--only`` takes."""
    description: str
    """One line."""
    seconds: float
    """How long one block is."""
    figures: Sequence[Figure]
    """What it gives."""

    def setup(self, processes: Processes) -> AbstractAsyncContextManager[Sequence[Side]]:
        """Start what is measured and yield its sides, in order; the end of the block is the teardown.

        Raises:
            CannotRunError: A part is missing.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    """Each gives one value per figure."""
    stretch: float = 1.0
    """Multiplies the length of every block."""
    warm_up: float = 0.3
    """Seconds of a block of each side, before the first round, that do not count."""


Samples = dict[tuple[str, int], list[dict[str, float]]]
"""The metrics of each round, by side and concurrency."""


async def closed_loop(operation: Operation, concurrency: int, seconds: float) -> Block:
    """Let workers do one operation after the other; each finishes the one it is at when time is up.

    Raises:
        Exception: What an operation raised; then the block counts for nothing.
    """
    latencies: list[float] = []
    started = perf_counter()
    end = started + seconds

    async def work() -> None:
        begun = started
        while begun < end:
            await operation()
            done = perf_counter()
            latencies.append(done - begun)
            begun = done

    workers = [asyncio.create_task(work()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    return Block(seconds=perf_counter() - started, latencies=latencies)


async def measure(
    sides: Sequence[Side], seconds: float, plan: Plan, progress: Callable[[str], None]
) -> Samples:
    """Measure all sides at all their concurrencies, in alternating order.

    Raises:
        TimeoutError: A block did not end.
        Exception: An operation failed.
    """
    samples: Samples = {}
    for side, concurrency in _blocks(sides, 0):
        await _run(side, concurrency, plan.warm_up)
    gc.freeze()  # what is loaded by now is not looked through by every collection to come
    try:
        for number in range(plan.rounds):
            progress(f"round {number + 1} of {plan.rounds}")
            for side, concurrency in _blocks(sides, number):
                block = await _run(side, concurrency, seconds * plan.stretch)
                samples.setdefault((side.name, concurrency), []).append(block.metrics())
    finally:
        gc.unfreeze()
    return samples


def _blocks(sides: Sequence[Side], number: int) -> list[tuple[Side, int]]:
    """Return the blocks of a round; every other round turns the order of the sides."""
    ordered = list(reversed(sides)) if number % 2 else list(sides)
    levels = sorted({concurrency for side in sides for concurrency in side.concurrencies})
    return [(side, level) for level in levels for side in ordered if level in side.concurrencies]


async def _run(side: Side, concurrency: int, seconds: float) -> Block:
    # The garbage of one block must not be collected in the next one. Within a block
    # the collector works as always: what a client leaves behind is part of its cost.
    gc.collect()
    async with asyncio.timeout(seconds + _PATIENCE):
        return await side.run(concurrency, seconds)


def compute(figure: Figure, samples: Samples) -> Summary:
    """Return a figure: the median of its rounds and their range."""
    values = _values(samples, figure.side, figure)
    if figure.base:
        values = ratios(values, _values(samples, figure.base, figure))
    return summarize(values)


def _values(samples: Samples, side: str, figure: Figure) -> list[float]:
    return [metrics[figure.metric] for metrics in samples[side, figure.concurrency]]
