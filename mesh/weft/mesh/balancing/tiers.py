"""The nodes of a service by how far they are, with one policy for each tier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from random import Random

from weft.mesh.balancing.config import BalancerConfig
from weft.mesh.balancing.hashing import fraction
from weft.mesh.balancing.node import Node
from weft.mesh.balancing.policy import Policy
from weft.mesh.balancing.subset import Subset
from weft.mesh.balancing.zones import TIERS, tier_loads, tier_of

__all__ = ["Tiers"]


class Tiers:
    """Spreads calls over tiers by their health, and within a tier by the policy.

    Args:
        config: Where the caller is, and how far a tier can be stretched.
        subset: Which nodes of a tier are used.
        make: Makes the policy of a tier.
        chance: Which tier a call goes to, when several take calls.
    """

    def __init__(
        self, config: BalancerConfig, subset: Subset, make: Callable[[], Policy], chance: Random
    ) -> None:
        self._config = config
        self._subset = subset
        self._chance = chance
        self._fixed = chance.random() if config.policy == "pick_first" else None
        self._by_key = config.policy == "consistent_hash"
        self._nodes: list[list[Node]] = [[] for _ in range(TIERS)]
        self._policies = [make() for _ in range(TIERS)]
        self._reachable = [0.0] * TIERS
        self._loads = [1.0] + [0.0] * (TIERS - 1)
        self._only: Policy | None = self._policies[0]

    def arrange(self, known: Iterable[Node], chosen: Iterable[Node]) -> list[Node]:
        """Sort nodes into tiers and return those that are used.

        Args:
            known: Every node of the service.
            chosen: Those that may be called.
        """
        for node in self.nodes():
            node.tier = -1
        sizes = Counter(self._tier(node) for node in known)
        tiers: list[list[Node]] = [[] for _ in range(TIERS)]
        for node in chosen:
            tiers[self._tier(node)].append(node)
        self._reachable = [len(nodes) / sizes[tier] if nodes else 0.0 for tier, nodes in enumerate(tiers)]
        self._nodes = self._subset.choose(tiers)
        for tier, nodes in enumerate(self._nodes):
            for node in nodes:
                node.tier = tier
        return self.nodes()

    def refresh(self, now: float) -> None:
        """Take note of which nodes are active now."""
        health = [
            reachable * sum(node.active for node in nodes) / len(nodes) if nodes else 0.0
            for reachable, nodes in zip(self._reachable, self._nodes, strict=True)
        ]
        self._loads = tier_loads(health, self._config.overprovisioning)
        whole = [policy for policy, load in zip(self._policies, self._loads, strict=True) if load >= 1]
        self._only = whole[0] if whole else None
        for policy, nodes in zip(self._policies, self._nodes, strict=True):
            policy.update(nodes, now)

    def pick(self, hash_key: str, tried: Collection[Node], now: float) -> Node | None:
        """Return an active node: of the tier whose turn it is, else of any."""
        first = self._only or self._draw(hash_key)
        node = first.pick(hash_key, tried, now)
        if node is not None:
            return node
        for policy in self._policies:
            if policy is not first:
                node = policy.pick(hash_key, tried, now)
                if node is not None:
                    return node
        return None

    def _draw(self, hash_key: str) -> Policy:
        """Return the policy of a tier by the tiers' loads; calls that stay together get the same one."""
        point = self._fixed
        if point is None:
            point = fraction(hash_key) if self._by_key and hash_key else self._chance.random()
        for policy, load in zip(self._policies, self._loads, strict=True):
            if point < load:
                return policy
            point -= load
        return self._policies[0]

    def done(self, node: Node, failed: bool | None, seconds: float, now: float) -> None:  # noqa: FBT001 - a port
        """Tell the policy of the node's tier how a call ended."""
        self._policies[node.tier].done(node, failed, seconds, now)

    def peers(self, node: Node) -> list[Node]:
        """Return the nodes of the tier that a node is in."""
        return self._nodes[node.tier] if node.tier >= 0 else []

    def nodes(self) -> list[Node]:
        """Return the nodes that are used, the nearest first."""
        return [node for nodes in self._nodes for node in nodes]

    def shares(self, now: float) -> dict[Node, float]:
        """Return which part of all calls each active node is meant to get."""
        return {
            node: load * share
            for policy, load in zip(self._policies, self._loads, strict=True)
            for node, share in policy.shares(now).items()
        }

    def _tier(self, node: Node) -> int:
        return tier_of(node.endpoint, self._config.zone, self._config.datacenter)
