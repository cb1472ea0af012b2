"""Policy ``least_request``: of two nodes drawn at random, the one with fewer calls in flight."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from weft.mesh.balancing.node import Node
from weft.mesh.balancing.slow_start import SlowStart
from weft.mesh.balancing.two_choices import TwoChoices

__all__ = ["LeastRequest"]


class LeastRequest:
    """Power of two choices by calls in flight for their weight (gRFC A48 names it so).

    Nodes are drawn by weight and a tie goes to the first drawn, so that idle nodes
    share calls by weight too.

    Args:
        chance: What draws.
        slow_start: How often a fresh node gives way to the other.
    """

    def __init__(self, chance: Random, slow_start: SlowStart) -> None:
        self._chance = chance
        self._slow_start = slow_start
        self._choices = TwoChoices(chance)

    def update(self, nodes: Sequence[Node], now: float) -> None:  # noqa: ARG002 - time plays no part
        """Take the nodes there are."""
        self._choices.update(nodes)

    def pick(self, hash_key: str, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002 - ignored
        """Return the less busy one of two."""
        drawn = self._choices.draw(tried)
        if drawn is None:
            return None
        node, other = drawn
        if other.in_flight * node.weight < node.in_flight * other.weight:
            node, other = other, node
        if node.warm_at > now and self._chance.random() >= self._slow_start.factor(node, now):
            return other
        return node

    def done(self, node: Node, failed: bool | None, seconds: float, now: float) -> None:  # noqa: FBT001 - a port
        """Do nothing: the balancer counts calls in flight."""

    def shares(self, now: float) -> dict[Node, float]:
        """Return shares by weight, as they are while the nodes answer equally fast."""
        return self._slow_start.shares(self._choices.nodes, now)
