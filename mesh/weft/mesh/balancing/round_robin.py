"""Policy ``round_robin``: the nodes in turn, whatever they weigh."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from weft.mesh.balancing.node import Node
from weft.mesh.balancing.policy import equal_shares

__all__ = ["RoundRobin"]


class RoundRobin:
    """Takes the nodes in turn; each gets exactly one of n calls.

    Args:
        chance: Where the first turn falls, so that many clients do not start at one node.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._nodes: list[Node] = []
        self._next = 0

    def update(self, nodes: Sequence[Node], now: float) -> None:  # noqa: ARG002 - time plays no part
        """Keep the order and the turn; new nodes come last."""
        wanted = dict.fromkeys(node for node in nodes if node.active)
        kept = [node for node in self._nodes if node in wanted]
        if kept:
            self._next = sum(node in wanted for node in self._nodes[: self._next])
        else:
            self._next = self._chance.randrange(len(wanted)) if wanted else 0
        known = set(kept)
        self._nodes = kept + [node for node in wanted if node not in known]

    def pick(self, hash_key: str, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002 - see above
        """Return the next node in turn."""
        nodes = self._nodes
        count = len(nodes)
        for _ in range(count):
            index = self._next
            if index >= count:
                index = 0
            self._next = index + 1
            node = nodes[index]
            if node not in tried:
                return node
        return None

    def done(self, node: Node, failed: bool | None, seconds: float, now: float) -> None:  # noqa: FBT001 - a port
        """Ignore it: a turn is a turn."""

    def shares(self, now: float) -> dict[Node, float]:  # noqa: ARG002 - time plays no part
        """Return equal shares."""
        return equal_shares(self._nodes)
