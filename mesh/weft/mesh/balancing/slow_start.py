"""Slow start: a fresh node's share grows from a tenth to all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from weft.mesh.balancing.node import Node

__all__ = ["SlowStart"]

_LEAST: Final = 0.1


class SlowStart:
    """Which part of its share a node takes.

    Args:
        window: Seconds that it takes to warm up; 0 turns slow start off.
    """

    __slots__ = ("_window",)

    def __init__(self, window: float) -> None:
        self._window = window

    def begin(self, node: Node, now: float) -> None:
        """Start to warm up a node that is fresh among others that are not."""
        node.warm_at = now + self._window

    def factor(self, node: Node, now: float) -> float:
        """Return 0.1 to 1, growing evenly over the window."""
        left = node.warm_at - now
        if left <= 0:
            return 1.0
        return max(_LEAST, 1 - left / self._window)

    def shares(self, nodes: Sequence[Node], now: float) -> dict[Node, float]:
        """Return which part each node is to get, by weight and warmth; together 1."""
        weights = {node: node.weight * self.factor(node, now) for node in nodes}
        total = sum(weights.values())
        return {node: weight / total for node, weight in weights.items()}
