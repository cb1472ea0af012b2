"""Subsetting: in a large fleet each client uses only some of the instances.

Of each tier of zones so many are used, not of all together: a client prefers its own
zone, so a choice among all zones could leave it nobody there. Connections are made when
they are needed, so tiers that take no calls cost none.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from heapq import nlargest

from weft.mesh.balancing.node import Node

__all__ = ["Subset"]


class Subset:
    """Chooses by rendezvous hashing: the nodes that score highest with the client's seed.

    A node that leaves is replaced by one other, a node that joins takes the place of at most
    one; nothing else moves. Over many clients with different seeds, each node is used by
    about the same number of them.

    Args:
        size: How many nodes of a tier are used; 0: all.
        seed: What tells this client from others.
    """

    def __init__(self, size: int, seed: str) -> None:
        self._size = size
        self._key = blake2b(seed.encode(errors="surrogatepass"), digest_size=16).digest()
        self._scores: dict[Node, bytes] = {}

    def choose(self, tiers: Sequence[Sequence[Node]]) -> list[list[Node]]:
        """Return the nodes that this client uses of each tier, in their order."""
        if not self._size:
            return [list(nodes) for nodes in tiers]
        given = (node for nodes in tiers for node in nodes)
        self._scores = {node: self._scores.get(node) or self._score(node) for node in given}
        return [self._best(nodes) for nodes in tiers]

    def _best(self, nodes: Sequence[Node]) -> list[Node]:
        if len(nodes) <= self._size:
            return list(nodes)
        chosen = set(nlargest(self._size, nodes, key=self._scores.__getitem__))
        return [node for node in nodes if node in chosen]

    def _score(self, node: Node) -> bytes:
        name = f"{node.endpoint.key} {node.endpoint.address}"
        return blake2b(name.encode(errors="surrogatepass"), digest_size=8, key=self._key).digest()
