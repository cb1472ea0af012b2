"""A ring of hash points: a key belongs to the node of the first point after it."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import shake_128
from struct import unpack
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
    ring is one sorted array of integers. A change cuts out and puts in the points of
    the changed nodes only.
    """

    def __init__(self) -> None:
        self._ring = array("Q")
        self._nodes: list[Node | None] = []
        self._slots: dict[Node, int] = {}
        self._counts: dict[Node, int] = {}

    def update(self, nodes: Sequence[Node]) -> None:
        """Take the nodes there are."""
        wanted = _point_counts(nodes)
        if wanted == self._counts:
            return
        changed = [node for node in {**self._counts, **wanted} if self._counts.get(node) != wanted.get(node)]
        drops = [point for node in changed if node in self._counts for point in self._remove(node)]
        adds = [point for node in changed if node in wanted for point in self._place(node, wanted[node])]
        self._ring = _spliced(self._ring, drops, adds)
        self._counts = wanted

    def _remove(self, node: Node) -> list[int]:
        slot = self._slots.pop(node)
        self._nodes[slot] = None
        return _points(node, self._counts[node], slot)

    def _place(self, node: Node, count: int) -> list[int]:
        slot = self._free_slot()
        self._nodes[slot] = node
        self._slots[node] = slot
        return _points(node, count, slot)

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


def _points(node: Node, count: int, slot: int) -> list[int]:
    """Return a node's points; fewer of them are the first of more."""
    name = f"{node.endpoint.key} {node.endpoint.address}"
    digest = shake_128(name.encode(errors="surrogatepass")).digest(8 * count)
    return [(point & _HASH_MASK) | slot for point in unpack(f"<{count}Q", digest)]


def _spliced(ring: array[int], drops: list[int], adds: list[int]) -> array[int]:
    """Return a ring without some points and with others; a few changes cost little more than a copy."""
    if 8 * (len(drops) + len(adds)) > len(ring):
        gone = set(drops)
        return array("Q", sorted([point for point in ring if point not in gone] + adds))
    edits = sorted([(point, False) for point in drops] + [(point, True) for point in adds])
    result, start = array("Q"), 0
    for point, add in edits:
        place = bisect_left(ring, point, start)
        result.extend(ring[start:place])
        if add:
            result.append(point)
        start = place if add else place + 1
    result.extend(ring[start:])
    return result


def _point_counts(nodes: Sequence[Node]) -> dict[Node, int]:
    """Return how many points each node has, by its weight to the mean: about 256 for each node in all."""
    total = sum(node.weight for node in nodes)
    scale = _POINTS * len(nodes) / total if total else 0.0
    return {node: max(1, round(node.weight * scale)) for node in nodes}
