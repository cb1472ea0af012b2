"""Durations of Serverless Workflow: ISO 8601, or an object of units."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["as_text", "seconds_of"]

_ISO: Final = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS: Final = {
    "weeks": 604_800.0,
    "days": 86_400.0,
    "hours": 3_600.0,
    "minutes": 60.0,
    "seconds": 1.0,
    "milliseconds": 0.001,
}


def seconds_of(value: Any) -> float | None:
    """Return how many seconds a duration has; None: it is none, or not a fixed one."""
    if isinstance(value, str):
        found = _ISO.fullmatch(value.strip())
        if not found or value.strip() in {"P", "PT"}:
            return None
        return sum(float(number) * _SECONDS[unit] for unit, number in found.groupdict().items() if number)
    if not isinstance(value, dict) or not value or not value.keys() <= _SECONDS.keys():
        return None
    numbers = list(value.values())
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers):
        return None
    return float(sum(number * _SECONDS[unit] for unit, number in value.items()))


def as_text(seconds: float) -> str:
    """Write it as Weft does."""
    if seconds != int(seconds):
        return f"{round(seconds * 1000)}ms"
    rest, parts = int(seconds), ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"
