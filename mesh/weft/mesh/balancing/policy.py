"""What a load balancing policy is: who of the active nodes gets the next call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from weft.mesh.balancing.node import Node

__all__ = ["Policy", "equal_shares"]


class Policy(Protocol):
    """Picks a node and learns how the call went. A pure state machine.

    Time is given with every call, so that one call reads the clock once.
    """

    def update(self, nodes: Sequence[Node], now: float) -> None:
        """Take the nodes there are; called again whenever one of them starts or stops being active."""
        ...

    def pick(self, hash_key: str, tried: Collection[Node], now: float) -> Node | None:
        """Return an active node that is not in ``tried``; none when there is none."""
        ...

    def done(self, node: Node, failed: bool | None, seconds: float, now: float) -> None:  # noqa: FBT001 - a port
        """Take note of how a call at a picked node ended; ``failed`` is None when that says nothing."""
        ...

    def shares(self, now: float) -> dict[Node, float]:
        """Return which part of the calls each active node is meant to get; together 1."""
        ...


def equal_shares(nodes: Sequence[Node]) -> dict[Node, float]:
    """Return the same share for each node."""
    return {node: 1 / len(nodes) for node in nodes}
