"""Two nodes at random, for policies that take the better one (power of two choices)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate
from random import Random
from typing import Final

from weft.mesh.balancing.node import Node

__all__ = ["TwoChoices"]

_DRAWS: Final = 4


class TwoChoices:
    """Draws two different nodes, each as often as it weighs.

    Args:
        chance: What draws.
    """

    def __init__(self, chance: Random) -> None:
        self._random = chance.random
        self.nodes: list[Node] = []
        """The active nodes."""
        self._sums: list[int] = []
        self._even = True

    def update(self, nodes: Sequence[Node]) -> None:
        """Take the nodes there are."""
        self.nodes = [node for node in nodes if node.active]
        self._even = len({node.weight for node in self.nodes}) <= 1
        self._sums = list(accumulate(node.weight for node in self.nodes))

    def draw(self, tried: Collection[Node] = ()) -> tuple[Node, Node] | None:
        """Return two nodes that are not in ``tried``: twice the same when there is one; none when none is."""
        count = len(self.nodes)
        if tried:
            return self._untried(tried)
        if count < 2:
            return (self.nodes[0], self.nodes[0]) if count else None
        if not self._even:
            return self._weighted()
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        return self.nodes[first], self.nodes[second + (second >= first)]

    def _weighted(self) -> tuple[Node, Node]:
        """Draw by weight; the second among the others."""
        sums, total = self._sums, self._sums[-1]
        first = self._at(self._random() * total)
        node = self.nodes[first]
        point = self._random() * (total - node.weight)
        if point >= sums[first] - node.weight:
            point += node.weight
        return node, self.nodes[self._at(point)]

    def _at(self, point: float) -> int:
        return min(bisect_right(self._sums, point), len(self._sums) - 1)

    def _untried(self, tried: Collection[Node]) -> tuple[Node, Node] | None:
        """Draw again while a node was tried, and look at all of them only when that does not help."""
        for _ in range(_DRAWS if len(self.nodes) > 2 else 0):
            first, second = self._weighted()
            if first not in tried and second not in tried:
                return first, second
        left = [node for node in self.nodes if node not in tried]
        if not left:
            return None
        sums = list(accumulate(node.weight for node in left))
        first, second = (left[bisect_right(sums, self._random() * sums[-1])] for _ in range(2))
        return first, second
