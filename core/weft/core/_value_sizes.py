"""How large a value is, level by level."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

__all__ = ["sizes_of", "work"]

_TEXT_UNIT: Final = 16
"""Characters of a text that count as one value."""


def sizes_of(value: object) -> list[int]:
    """Return how many values there are on each level of a value; a long text counts as several."""
    sizes: list[int] = []
    level: list[Any] = [value]
    while level:
        size = len(level)
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                size += len(item) // _TEXT_UNIT
            elif isinstance(item, dict):
                size += len(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        sizes.append(size)
        level = below
    return sizes


def work(sizes: Iterable[int], checks: tuple[int, ...]) -> int:
    """Return the work of a value of these sizes."""
    last = len(checks) - 1
    return sum(size * checks[min(level, last)] for level, size in enumerate(sizes))
