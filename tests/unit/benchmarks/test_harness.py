"""How sides are measured, without anything to measure."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from benchmarks.harness import Block, Figure, Plan, Samples, Side, closed_loop, compute, measure
from benchmarks.report import json_line, table
from benchmarks.retries import RetryCount
from benchmarks.stats import Summary
from benchmarks.suite import BENCHMARKS

RATIO = Figure(name="x", unit="ratio", side="b", base="a", concurrency=1, metric="rate", at_least=0.9)


def side(name: str, log: list[str], concurrencies: tuple[int, ...] = (1,)) -> Side:
    async def run(concurrency: int, seconds: float) -> Block:
        log.append(f"{name}{concurrency} {seconds:g}")
        return Block(seconds=1.0, latencies=[0.001, 0.002])

    return Side(name=name, run=run, concurrencies=concurrencies)


async def test_sides_take_turns_in_alternating_order() -> None:
    """Warm-up, then A B, B A, A B: no side always runs after the other."""
    log: list[str] = []
    sides = (side("a", log), side("b", log))
    await measure(sides, 2.0, Plan(rounds=3, stretch=0.5, warm_up=0.1), lambda _: None)
    assert log == ["a1 0.1", "b1 0.1", "a1 1", "b1 1", "b1 1", "a1 1", "a1 1", "b1 1"]


async def test_a_side_runs_only_at_its_concurrencies() -> None:
    log: list[str] = []
    sides = (side("a", log, (1, 32)), side("b", log, (32,)))
    samples = await measure(sides, 1.0, Plan(rounds=1, warm_up=1.0), lambda _: None)
    assert log == ["a1 1", "a32 1", "b32 1"] * 2
    assert list(samples) == [("a", 1), ("a", 32), ("b", 32)]


async def test_the_warm_up_does_not_count() -> None:
    samples = await measure((side("a", []),), 1.0, Plan(rounds=4), lambda _: None)
    assert len(samples["a", 1]) == 4


def test_metrics_of_a_block() -> None:
    """Milliseconds, operations a second, and what the side adds."""
    block = Block(seconds=2.0, latencies=[0.001, 0.003, 0.002, 0.004], extra={"cpu": 5.0})
    assert block.metrics() == {"p50": 2.0, "p99": 4.0, "rate": 2.0, "cpu": 5.0}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """The ratio of the medians would be 20 / 20; each round says 2, 1, 0.5 or so."""
    rates = {"a": [10.0, 40.0, 20.0], "b": [20.0, 20.0, 18.0]}
    samples: Samples = {(name, 1): [{"rate": rate} for rate in rates[name]] for name in rates}
    assert compute(RATIO, samples) == Summary(0.9, 0.5, 2.0, 3)


async def test_a_closed_loop_keeps_its_concurrency() -> None:
    """Never more operations at once than workers, and each of them timed."""
    running = most = 0

    async def operation() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    block = await closed_loop(operation, 3, 0.01)
    assert most == 3
    assert running == 0
    assert len(block.latencies) >= 3
    assert block.seconds >= 0.01


async def test_a_wrong_result_ends_the_benchmark() -> None:
    """An operation that fails is never counted as a fast one; its neighbours are stopped."""
    stopped = asyncio.Event()
    calls = 0

    async def operation() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise AssertionError("wrong result")
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(AssertionError, match="wrong result"):
        await closed_loop(operation, 2, 60)
    await stopped.wait()


def test_retries_are_counted_for_each_block() -> None:
    retries, block = RetryCount(), Block(seconds=1.0, latencies=[0.1] * 100, extra={"cpu": 1.0})
    assert 0.8 <= retries.uniform(0.8, 1.2) <= 1.2
    assert retries.added_to(block).extra == {"cpu": 1.0, "retries": 10.0}
    assert retries.added_to(block).extra["retries"] == 0.0


def test_the_json_line_has_what_is_promised() -> None:
    line = json.loads(json_line(RATIO, Summary(0.912345, 0.5, 1.0, 5)))
    assert line == {"figure": "x", "value": 0.9123, "unit": "ratio", "runs": 5, "spread": [0.5, 1.0]}


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.92, 1.1, "met"), (0.5, 0.85, "MISSED"), (0.85, 1.1, "unclear")]
)
def test_the_table_judges_a_goal_only_when_all_rounds_agree(low: float, high: float, verdict: str) -> None:
    """A median beside a goal proves nothing while rounds lie on both sides of it."""
    assert re.search(rf">= 0.9 {verdict}$", table({RATIO: Summary((low + high) / 2, low, high, 5)}))


def test_names_of_benchmarks_and_figures_are_unique() -> None:
    """A figure can be followed over time by its name alone."""
    names = [benchmark.name for benchmark in BENCHMARKS]
    figures = [figure.name for benchmark in BENCHMARKS for figure in benchmark.figures]
    assert len(set(names)) == len(names)
    assert len(set(figures)) == len(figures)
    assert all(
        figure.name.startswith(f"{benchmark.name}.")
        for benchmark in BENCHMARKS
        for figure in benchmark.figures
    )
