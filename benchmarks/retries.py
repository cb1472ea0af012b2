"""Counts the retries that a client makes by itself: without it a refused call would look like a slow one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from benchmarks.harness import Block

__all__ = ["RetryCount"]


class RetryCount:
    """The source of a client's jitter, which it asks once before each retry."""

    METRIC: Final = "retries"
    """Name of the metric: retries for each 1000 operations."""

    def __init__(self) -> None:
        self._count = 0

    def uniform(self, a: float, b: float) -> float:
        """Return a number between the two, and count."""
        self._count += 1
        return random.uniform(a, b)

    def added_to(self, block: Block) -> Block:
        """Return a block with the retries since the last one, and count from zero again."""
        count, self._count = self._count, 0
        return replace(block, extra={**block.extra, self.METRIC: count * 1_000 / len(block.latencies)})
