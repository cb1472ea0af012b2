"""Policy ``consistent_hash``: calls with one key go to one node."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from weft.mesh.balancing.hashing import point_of
from weft.mesh.balancing.node import Node
from weft.mesh.balancing.ring import HashRing

__all__ = ["ConsistentHash"]


class ConsistentHash:
    """Finds a node on a hash ring that looks the same in every process.

    The keys of a node that is ejected or was tried are spread over the others, and
    come back with it. A call without a key goes anywhere.

    Args:
        chance: Where a call without a key goes.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._ring = HashRing()
        self._active: list[Node] = []

    def update(self, nodes: Sequence[Node], now: float) -> None:  # noqa: ARG002 - time plays no part
        """Take the nodes there are; those that are ejected keep their place."""
        self._ring.update(nodes)
        self._active = [node for node in nodes if node.active]

    def pick(self, hash_key: str, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002 - see above
        """Return the first node from the key's point on that takes calls."""
        if not self._active:
            return None
        passed: set[Node] = set()
        for node in self._ring.walk(point_of(hash_key) if hash_key else self._chance.getrandbits(64)):
            if node.active and node not in tried:
                return node
            if node.active:
                passed.add(node)
                if len(passed) == len(self._active):
                    break
        return None

    def done(self, node: Node, failed: bool | None, seconds: float, now: float) -> None:  # noqa: FBT001 - a port
        """Ignore it: a key stays where it belongs."""

    def shares(self, now: float) -> dict[Node, float]:  # noqa: ARG002 - time plays no part
        """Return shares by weight, as they are for many different keys."""
        total = sum(node.weight for node in self._active)
        return {node: node.weight / total for node in self._active}
