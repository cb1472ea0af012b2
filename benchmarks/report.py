"""Figures for people, on standard error, and for machines, on standard output."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import grpc

from benchmarks.harness import Figure
from benchmarks.loops import LOOP
from benchmarks.stats import Summary

__all__ = ["environment", "json_line", "note", "table", "volatile"]

_VOLATILE = ("tmpfs", "ramfs")


def note(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def json_line(figure: Figure, summary: Summary) -> str:
    """Return a figure as one line of JSON; ``spread`` is the lowest and the highest round."""
    return json.dumps(
        {
            "figure": figure.name,
            "value": _rounded(summary.value),
            "unit": figure.unit,
            "runs": summary.runs,
            "spread": [_rounded(summary.low), _rounded(summary.high)],
        }
    )


def table(figures: Mapping[Figure, Summary]) -> str:
    """Return figures as lines with aligned columns."""
    rows: list[tuple[str, ...]] = [("figure", "median", "lowest", "highest", "unit", "goal")]
    rows += [_row(figure, summary) for figure, summary in figures.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _row(figure: Figure, summary: Summary) -> tuple[str, ...]:
    numbers = (f"{_rounded(number):g}" for number in (summary.value, summary.low, summary.high))
    return (figure.name, *numbers, figure.unit, _goal(figure, summary))


def _goal(figure: Figure, summary: Summary) -> str:
    if figure.at_most is not None:
        limit = figure.at_most
        return f"<= {limit:g} {_verdict(best=summary.low <= limit, worst=summary.high <= limit)}"
    if figure.at_least is not None:
        limit = figure.at_least
        return f">= {limit:g} {_verdict(best=summary.high >= limit, worst=summary.low >= limit)}"
    return ""


def _verdict(*, best: bool, worst: bool) -> str:
    """Judge only when every round says the same."""
    if best is not worst:
        return "unclear"
    return "met" if worst else "MISSED"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers, unit, goal = row
    middle = (number.rjust(width) for number, width in zip(numbers, widths[1:4], strict=True))
    return "  ".join((name.ljust(widths[0]), *middle, unit.ljust(widths[4]), goal)).rstrip()


def _rounded(number: float) -> float:
    """Keep four significant digits; more would claim what was not measured."""
    return float(f"{number:.4g}")


def environment(place: Path) -> str:
    """Say what the figures were measured on."""
    load = ", ".join(f"{number:.2f}" for number in os.getloadavg())
    parts = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"Python {platform.python_version()}",
        f"grpcio {grpc.__version__}",
        LOOP,
        f"{os.cpu_count()} cores",
        f"load {load}",
        f"data on {_file_system(place)}",
    )
    return " · ".join(parts)


def volatile(place: Path) -> bool:
    """Tell whether a directory is in memory, where an fsync costs nothing."""
    return _file_system(place) in _VOLATILE


def _file_system(place: Path) -> str:
    """Return the type of the file system that a directory is on."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "an unknown file system"
    path, best = place.resolve(), ("", "an unknown file system")
    for line in mounts.read_text(encoding="utf-8").splitlines():
        point, kind = line.split()[1:3]
        if path.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]
