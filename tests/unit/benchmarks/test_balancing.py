"""The benchmarks of balancing run, and give every figure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import run_benchmark
from benchmarks.fairness import FairnessBenchmark, simulate
from benchmarks.harness import Benchmark, Plan
from benchmarks.picks import PicksBenchmark


@pytest.mark.parametrize("benchmark", [PicksBenchmark(), FairnessBenchmark()], ids=lambda each: each.name)
async def test_every_figure_is_given(
    benchmark: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON line for each."""
    await run_benchmark(benchmark, Plan(rounds=1, stretch=0.001, warm_up=0.001), tmp_path)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["figure"] for line in lines] == [figure.name for figure in benchmark.figures]
    assert all(line["value"] >= 0 for line in lines)


def test_simulated_workers_make_every_call() -> None:
    """Calls overlap as there are workers: the time of all is that of each, by the concurrency."""
    counts, latencies, seconds = simulate("round_robin", 32, 1, seed=1)
    assert counts == [2_500] * 4
    assert len(latencies) == 10_000
    assert seconds == pytest.approx(sum(latencies) / 32, rel=0.05)
    assert simulate("round_robin", 32, 1, seed=1) == (counts, latencies, seconds)
