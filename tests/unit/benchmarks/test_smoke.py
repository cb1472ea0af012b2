"""A benchmark of tiny blocks, with its real processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks.__main__ import run_benchmark
from benchmarks.bare import BareBenchmark
from benchmarks.harness import Benchmark, Plan
from benchmarks.processes import Processes, StartError
from benchmarks.rpc import RpcBenchmark

pytestmark = pytest.mark.integration


def children() -> set[str]:
    """Return the ids of the processes that this one has started and that are still there."""
    task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return set(task.read_text(encoding="utf-8").split())


def files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


@pytest.mark.parametrize("benchmark", [RpcBenchmark(), BareBenchmark()], ids=lambda it: it.name)
async def test_a_benchmark_gives_every_figure_and_leaves_nothing_behind(
    benchmark: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON line per figure on standard output; no process and no file stays."""
    before = children()
    await run_benchmark(benchmark, Plan(rounds=1, stretch=0.01, warm_up=0.01), tmp_path)
    output, table = capsys.readouterr()
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["figure"] for line in lines] == [figure.name for figure in benchmark.figures]
    assert all(line["value"] > 0 for line in lines if line["unit"] not in {"1/1000", "s/1000"})
    assert all(figure.name in table for figure in benchmark.figures)
    assert children() == before
    assert not files(tmp_path)


async def test_a_process_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The message has the last words of the process."""
    async with Processes(tmp_path) as processes:
        child = processes.start("echo", "benchmarks.echo", "no-such-stack")
        with pytest.raises(StartError, match="invalid choice: 'no-such-stack'"):
            await child.address()
