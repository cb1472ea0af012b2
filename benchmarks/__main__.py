"""``python -m benchmarks``: run benchmarks, and print figures."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Benchmark, CannotRunError, Plan, compute, measure
from benchmarks.loops import run
from benchmarks.processes import Processes, StartError
from benchmarks.report import environment, json_line, note, table, volatile
from benchmarks.suite import BENCHMARKS

__all__ = ["main"]

_QUICK = Plan(rounds=2, stretch=0.1, warm_up=0.1)
_CANNOT_RUN = 1
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for and return the exit code."""
    options = _parser().parse_args(arguments)
    if options.list:
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:17} {benchmark.description}")
        return 0
    try:
        return run(_run_until_signal(options))
    except StartError as error:
        note(f"Error: {error}")
        return _CANNOT_RUN
    except asyncio.CancelledError:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Weft beside what it is compared with. A table for people goes to standard "
        "error, one JSON line per figure to standard output.",
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--only", metavar="NAME", choices=names, help=f"run one of {', '.join(names)}")
    parser.add_argument("--rounds", metavar="N", type=_positive, help="measured rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="short rounds: proves that it runs, no more")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and end")
    parser.add_argument(
        "--place",
        metavar="DIR",
        type=_directory,
        help="where data is written (default: the system's temporary)",
    )
    parser.add_argument(
        "--profile",
        metavar="DIR",
        type=_directory,
        help="write a cProfile of each process there; the figures then mean nothing",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def _directory(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no directory")
    return path


def _plan(options: argparse.Namespace) -> Plan:
    plan = _QUICK if options.quick else Plan()
    rounds = options.rounds or plan.rounds
    return Plan(rounds=rounds, stretch=plan.stretch, warm_up=plan.warm_up)


async def _run_until_signal(options: argparse.Namespace) -> int:
    """Run; a signal ends it after the processes are stopped."""
    task = asyncio.ensure_future(_run(options))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    return await task


async def _run(options: argparse.Namespace) -> int:
    chosen = [each for each in BENCHMARKS if options.only in {None, each.name}]
    missing = 0
    for benchmark in chosen:
        try:
            await run_benchmark(benchmark, _plan(options), options.place, options.profile)
        except CannotRunError as error:
            note(f"{benchmark.name} was NOT measured: {error}\n")
            missing += 1
    return _CANNOT_RUN if missing == len(chosen) else 0


async def run_benchmark(
    benchmark: Benchmark, plan: Plan, place: Path | None = None, profiles: Path | None = None
) -> None:
    """Run one benchmark and print its figures.

    Args:
        benchmark: Which one.
        plan: How much is measured.
        place: Where a directory for its data is made, and removed.
        profiles: Where a profile of each of its processes goes, if anywhere.

    Raises:
        CannotRunError: A part is missing.
        StartError: One of its processes did not come up.
    """
    with tempfile.TemporaryDirectory(prefix="weft-benchmark-", dir=place) as directory:
        root = Path(directory)
        note(f"{benchmark.name}: {benchmark.description}\n{environment(root)}")
        if volatile(root):
            note(f"Warning: {root} is in memory, where durability costs nothing; see --place")
        async with (
            Processes(root, profiles) as processes,
            benchmark.setup(processes) as sides,
        ):
            samples = await measure(sides, benchmark.seconds, plan, note)
    figures = {figure: compute(figure, samples) for figure in benchmark.figures}
    note(f"{table(figures)}\n")
    for figure, summary in figures.items():
        print(json_line(figure, summary), flush=True)


if __name__ == "__main__":
    sys.exit(main())
