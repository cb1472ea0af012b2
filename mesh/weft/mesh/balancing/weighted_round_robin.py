"""Policy ``weighted_round_robin``: the nodes in turn, as often as they weigh."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from random import Random
from typing import Final

from weft.mesh.balancing.node import Node
from weft.mesh.balancing.slow_start import SlowStart

__all__ = ["WeightedRoundRobin"]

_REBASE_AT: Final = 2.0**30
"""Where deadlines start again at 0: a float this high still tells 1 in 10,000 apart."""


class WeightedRoundRobin:
    """Earliest deadline first: a node of weight w is due every 1/w of a round.

    A pick costs O(log n) whatever the weights, and calls of a heavy node are spread
    between those of light ones. (Stride scheduling by skipping, gRFC A58, is O(1) only
    while weights are alike.)

    Args:
        chance: Where in its first round a node is due, so that many clients are not in step.
        slow_start: Which part of its weight a fresh node has.
    """

    def __init__(self, chance: Random, slow_start: SlowStart) -> None:
        self._chance = chance
        self._slow_start = slow_start
        self._heap: list[tuple[float, int, Node]] = []
        self._weights: dict[Node, int] = {}
        self._round = 0.0
        self._serial = 0

    def update(self, nodes: Sequence[Node], now: float) -> None:  # noqa: ARG002 - a node's own turn looks at it
        """Keep each node's turn, nearer or farther by its new weight; new ones are spread over a round."""
        wanted = {node: node.weight for node in nodes if node.active}
        heap = [
            (self._turn(deadline, node), serial, node)
            for deadline, serial, node in self._heap
            if node in wanted
        ]
        fresh = [node for node in wanted if node not in self._weights]
        self._chance.shuffle(fresh)
        for number, node in enumerate(fresh):
            self._serial += 1
            wait = (number + self._chance.random()) / len(fresh) / node.weight
            heap.append((self._round + wait, self._serial, node))
        heapify(heap)
        self._heap, self._weights = heap, wanted

    def _turn(self, deadline: float, node: Node) -> float:
        before = self._weights[node]
        if before == node.weight:
            return deadline
        return self._round + (deadline - self._round) * before / node.weight

    def pick(self, hash_key: str, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002 - ignored
        """Return the node that is due first."""
        heap = self._heap
        passed: list[tuple[float, int, Node]] = []
        while heap and heap[0][2] in tried:
            passed.append(heappop(heap))
        node = self._take(now) if heap else None
        for entry in passed:
            heappush(heap, entry)
        return node

    def _take(self, now: float) -> Node:
        deadline, serial, node = self._heap[0]
        self._round = max(self._round, deadline)
        step = 1 / node.weight
        if node.warm_at > now:
            step /= self._slow_start.factor(node, now)
        heapreplace(self._heap, (deadline + step, serial, node))
        if deadline > _REBASE_AT:
            self._rebase()
        return node

    def _rebase(self) -> None:
        self._heap = [(deadline - self._round, serial, node) for deadline, serial, node in self._heap]
        self._round = 0.0

    def done(self, node: Node, failed: bool | None, seconds: float, now: float) -> None:  # noqa: FBT001 - a port
        """Ignore it: a turn is a turn."""

    def shares(self, now: float) -> dict[Node, float]:
        """Return shares by weight."""
        return self._slow_start.shares(list(self._weights), now)
