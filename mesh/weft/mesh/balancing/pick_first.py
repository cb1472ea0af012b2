"""Policy ``pick_first``: one node for all calls, until it fails."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from weft.mesh.balancing.node import Node

__all__ = ["PickFirst"]


class PickFirst:
    """Stays with one node, and moves on to the next when that fails or leaves.

    Args:
        chance: The order of the nodes, so that many clients do not meet at one.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._order: list[Node] = []
        self._current: Node | None = None

    def update(self, nodes: Sequence[Node], now: float) -> None:  # noqa: ARG002 - time plays no part
        """Keep the order; new nodes go to places at random."""
        wanted = {node for node in nodes if node.active}
        if self._current not in wanted:
            self._current = next((node for node in self._others() if node in wanted), None)
        known = set(self._order)
        fresh = [node for node in nodes if node in wanted and node not in known]
        self._order = [node for node in self._order if node in wanted]
        for node in fresh:
            self._order.insert(self._chance.randrange(len(self._order) + 1), node)
        if self._current is None and self._order:
            self._current = self._order[0]

    def _others(self) -> list[Node]:
        """Return the other nodes, from the current one on."""
        if self._current is None:
            return []
        place = self._order.index(self._current)
        return self._order[place + 1 :] + self._order[:place]

    def pick(self, hash_key: str, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002 - ignored
        """Return the current node, or the first one after it that was not tried."""
        node = self._current
        if node is None or node not in tried:
            return node
        return next((other for other in self._others() if other not in tried), None)

    def done(self, node: Node, failed: bool | None, seconds: float, now: float) -> None:  # noqa: ARG002, FBT001 - a port
        """Move on when the current node failed."""
        if failed and node is self._current:
            self._current = next(iter(self._others()), node)

    def shares(self, now: float) -> dict[Node, float]:  # noqa: ARG002 - time plays no part
        """Return all for the current node."""
        return {self._current: 1.0} if self._current else {}
