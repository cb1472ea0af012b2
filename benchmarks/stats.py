"""The arithmetic of figures: percentiles, ratios within a round, medians over rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Summary", "percentile", "ratios", "summarize"]


@dataclass(frozen=True, slots=True)
class Summary:
    """One value per round, in short."""

    value: float
    """The median."""
    low: float
    """The lowest."""
    high: float
    """The highest."""
    runs: int
    """How many there are."""


def summarize(values: Sequence[float]) -> Summary:
    """Return median and range.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("no values to summarize")
    return Summary(median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that ``percent`` of the values do not exceed (nearest rank).

    Raises:
        ValueError: There are no values, or the percentage is not above 0 and up to 100.
    """
    if not values:
        raise ValueError("no values to take a percentile of")
    if not 0 < percent <= 100:
        raise ValueError(f"{percent} is not a percentage above 0 and up to 100")
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[rank - 1]


def ratios(values: Sequence[float], bases: Sequence[float]) -> list[float]:
    """Divide round by round: drift between rounds cancels out, drift between medians does not.

    Raises:
        ValueError: The rounds do not match, or a base is zero.
    """
    if len(values) != len(bases):
        raise ValueError(f"{len(values)} rounds against {len(bases)}")
    if not all(bases):
        raise ValueError("a base is zero")
    return [value / base for value, base in zip(values, bases, strict=True)]
