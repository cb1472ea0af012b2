"""A ring of hash points: a key belongs to the node of the first point after it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import shake_128
from struct import iter_unpack
from typing import Final

from weft.mesh.balancing.node import Node

__all__ = ["HashRing"]

_POINTS: Final = 256
"""Points of a node of mean weight: shares then differ by about 6 % (1 / √256)."""
_SLOT_BITS: Final = 16
_SLOT_MASK: Final = (1 << _SLOT_BITS) - 1
_HASH_MASK: Final = (1 << 64) - 1 - _SLOT_MASK


class HashRing:
    """Places nodes so that a change of one moves about its own share of the keys.

    A point is 48 bits of hash and, below them, the number of the node, so that the
    ring is one sorted list of integers. A change drops and adds the points of the
    changed nodes only.
    """

    def __init__(self) -> None:
        self._ring: list[int] = []
        self._nodes: list[Node | None] = []
        self._slots: dict[Node, int] = {}
        self._counts: dict[Node, int] = {}

    def update(self, nodes: Sequence[Node]) -> None:
        """Take the nodes there are."""
        wanted = _point_counts(nodes)
        if wanted == self._counts:
            return
        stale = {node for node, count in self._counts.items() if wanted.get(node) != count}
        fresh = [node for node, count in wanted.items() if self._counts.get(node) != count]
        self._drop(stale)
        for node in fresh:
            self._place(node, wanted[node])
        self._ring.sort()
        self._counts = wanted

    def _drop(self, stale: set[Node]) -> None:
        if not stale:
            return
        slots = {self._slots.pop(node) for node in stale}
        for slot in slots:
            self._nodes[slot] = None
        self._ring = [point for point in self._ring if point & _SLOT_MASK not in slots]

    def _place(self, node: Node, count: int) -> None:
        slot = self._free_slot()
        self._nodes[slot] = node
        self._slots[node] = slot
        name = f"{node.endpoint.key} {node.endpoint.address}"
        digest = shake_128(name.encode()).digest(8 * count)
        self._ring.extend((point & _HASH_MASK) | slot for (point,) in iter_unpack("<Q", digest))

    def _free_slot(self) -> int:
        if len(self._slots) == len(self._nodes):
            self._nodes.append(None)
            return len(self._nodes) - 1
        return self._nodes.index(None)

    def walk(self, point: int) -> Iterator[Node]:
        """Yield the nodes from a point on, once around; a node comes as often as it has points."""
        ring, nodes = self._ring, self._nodes
        start = bisect_left(ring, point & _HASH_MASK)
        for index in range(start - len(ring), start):
            node = nodes[ring[index] & _SLOT_MASK]
            assert node is not None
            yield node


def _point_counts(nodes: Sequence[Node]) -> dict[Node, int]:
    """Return how many points each node has, by its weight to the mean: about 256 for each node in all."""
    total = sum(node.weight for node in nodes)
    scale = _POINTS * len(nodes) / total if total else 0.0
    return {node: max(1, round(node.weight * scale)) for node in nodes}
