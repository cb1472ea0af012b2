"""The long run: ``make faults``. Prints its seed and figures, and fails when anything does not hold."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.faults.rig.faults import FAILPOINTS
from tests.faults.rig.plan import LANGUAGE, Wanted, expand
from tests.faults.rig.postgres import PostgresStoreAdapter
from tests.faults.rig.report import Report
from tests.faults.rig.run import run
from tests.faults.rig.stores import SqliteStoreAdapter, StoreAdapter

KILLS: Final = {"kill-server": 8, "kill-worker": 4, **dict.fromkeys(map("kill-at-{}".format, FAILPOINTS), 1)}
"""How kills are shared out."""

STORES: Final[dict[str, Callable[[Path], StoreAdapter]]] = {
    "sqlite": lambda folder: SqliteStoreAdapter(folder / "data"),
    "postgres": lambda _: PostgresStoreAdapter(),
}

GOAL: Final = {"sqlite": 5.0, "postgres": 10.0}
"""The most seconds from a kill to the next progress, for 95 of 100 kills."""

_TIMES: Final = ("kill_to_next_progress_seconds", "kill_to_all_gone_on_seconds")


def shared_out(kills: int) -> dict[str, int]:
    """Return how many kills of each kind make so many."""
    all_ = sum(KILLS.values())
    counts = {kind: kills * share // all_ for kind, share in KILLS.items()}
    counts["kill-server"] += kills - sum(counts.values())
    return counts


def wanted(options: argparse.Namespace) -> Wanted:
    network = {"cut": options.kills // 20, "drop-replies": options.kills // 20, "delay": options.kills // 20}
    kills = shared_out(options.kills)
    if options.store == "postgres":
        kills["kill-database"] = kills["kill-server"] // 6
        kills["kill-server"] -= kills["kill-database"]
        network["pause-server"] = options.kills // 20
    return Wanted(
        sessions=options.executions,
        faults={**kills, **{kind: count for kind, count in network.items() if count}},
        workflows=("chain-5",),
        weights={"watch": 5, "execute": 5, "poll": 4, "cancel": 1, "timeout": 1, "repeat": 1, **LANGUAGE},
        concurrency=options.concurrency,
        workers=3,
        patience=120,
    )


def main() -> int:
    options = _options()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    folder = Path(tempfile.mkdtemp(prefix="weft-faults-"))
    store: StoreAdapter = STORES[options.store](folder)
    report = asyncio.run(run(expand(seed, wanted(options)), store, folder / "run"))
    problems = [*report.problems, *_too_slow(report)]
    _write(report, problems, options.out)
    for problem in problems[:50]:
        print("PROBLEM", problem)
    if problems:
        print(f"{len(problems)} problems; everything is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    options.add_argument("--store", choices=sorted(STORES), default="sqlite")
    options.add_argument("--executions", type=int, default=10_000)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--concurrency", type=int, default=24)
    options.add_argument("--seed", type=int)
    options.add_argument("--out", type=Path, default=Path("dist/faults"))
    return options.parse_args()


def _too_slow(report: Report) -> list[str]:
    goal = GOAL[report.store]
    took = {name: report.figures()[name].get("p95", 0.0) for name in _TIMES}
    return [f"p95 of {name} is {p95}, the goal is {goal}" for name, p95 in took.items() if p95 > goal]


def _write(report: Report, problems: list[str], out: Path) -> None:
    """Write the summary for programs and for people."""
    out.mkdir(parents=True, exist_ok=True)
    figures = {**report.figures(), "cores": os.cpu_count(), "problems": len(problems)}
    (out / f"{report.store}.json").write_text(json.dumps(figures, indent=2) + "\n")
    table = "\n".join(_rows(figures))
    (out / f"{report.store}.md").write_text(f"| figure | value |\n|---|---|\n{table}\n")
    print(json.dumps(figures, indent=2))


def _rows(figures: Mapping[str, Any], prefix: str = "") -> list[str]:
    rows: list[str] = []
    for name, value in figures.items():
        label = f"{prefix}{name}".replace("_", " ")
        rows += _rows(value, f"{label}: ") if isinstance(value, Mapping) else [f"| {label} | {value} |"]
    return rows


if __name__ == "__main__":
    sys.exit(main())
