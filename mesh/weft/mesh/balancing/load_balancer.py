"""Which instance of a service gets the next call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from random import Random
from typing import Final

from weft.core.clock import Clock
from weft.discovery.model import Endpoint, Health
from weft.mesh.balancing._policies import AFFINE, LEARNING, make_policy
from weft.mesh.balancing.config import BalancerConfig
from weft.mesh.balancing.node import Node, NodeId, node_id
from weft.mesh.balancing.outliers import Outliers
from weft.mesh.balancing.slow_start import SlowStart
from weft.mesh.balancing.state import NodeState
from weft.mesh.balancing.subset import Subset
from weft.mesh.balancing.tiers import Tiers

__all__ = ["LoadBalancer"]

_MOST_PEERS: Final = 8
"""How many nodes are looked at for one that can take a call at once."""


class LoadBalancer:
    """Balances the calls of one service. A pure state machine: no I/O, no tasks.

    Of the endpoints that a source names, the passing ones are used, else those with
    a warning. They are sorted into tiers by zone; of each tier a subset is used;
    ejected ones are left out; the policy picks among the rest.

    Args:
        config: How.
        clock: Its monotonic time is used.
        chance: The source of randomness.
    """

    def __init__(self, config: BalancerConfig, clock: Clock, chance: Random) -> None:
        self.policy = config.policy
        """Name of the policy."""
        self._interchangeable = config.policy not in AFFINE
        self._learning = config.policy in LEARNING
        self._chance = chance
        self._clock = clock
        self._endpoints: tuple[Endpoint, ...] = ()
        self._known: dict[NodeId, Node] = {}
        self._callable: set[Node] = set()
        self._warming = config.slow_start.total_seconds() > 0
        self._slow_start = SlowStart(config.slow_start.total_seconds())
        self._outliers = Outliers(config.outliers, probes=config.policy not in AFFINE)
        subset = Subset(config.subset_size, config.subset_seed or f"{chance.getrandbits(64):x}")
        self._tiers = Tiers(config, subset, lambda: make_policy(config, chance, self._slow_start), chance)

    def update(self, endpoints: Iterable[Endpoint]) -> None:
        """Take every endpoint that the source names now, also those that must not be called."""
        given = tuple(endpoints)
        if given == self._endpoints:
            return
        self._endpoints = given
        now = self._clock.monotonic()
        self._known = self._nodes(given)
        chosen = _callable(self._known.values())
        self._begin_slow_start(chosen, now)
        rotation = self._tiers.arrange(self._known.values(), chosen)
        self._outliers.update(rotation, now)
        self._tiers.refresh(now)

    def pick(self, hash_key: str = "", tried: Collection[Node] = (), now: float | None = None) -> Node | None:
        """Return the node for the next call, and count the call as in flight.

        An ejected node is returned when its probe is due, or when the call has tried
        every other one.

        Args:
            hash_key: What ``consistent_hash`` keeps together; other policies ignore it.
            tried: Nodes that this call must not get again.
            now: The time, where the caller has just read the clock.

        Returns:
            None when there is no node, or all are in ``tried``.
        """
        if now is None:
            now = self._clock.monotonic()
        if now >= self._outliers.due:
            if self._outliers.advance(now):
                self._tiers.refresh(now)
            node = self._outliers.probe(tried, now)
            if node is not None:
                node.in_flight += 1
                return node
        node = self._tiers.pick(hash_key, tried, now) or self._outliers.last_resort(tried)
        if node is not None:
            node.in_flight += 1
        return node

    def instead(
        self, node: Node, usable: Callable[[Node], bool], tried: Collection[Node] = ()
    ) -> Node | None:
        """Return another node that is as good as the one picked, and count a call as in flight there.

        Args:
            node: The one that was picked; its own call stays counted.
            usable: Whether a node can take the call at once.
            tried: Nodes that the call must not get again.

        Returns:
            None when the policy keeps calls together, or none of some active nodes of
            the same tier is usable.
        """
        if not self._interchangeable:
            return None
        peers = self._tiers.peers(node)
        start = self._chance.randrange(len(peers) or 1)
        for number in range(min(len(peers), _MOST_PEERS)):
            other = peers[(start + number) % len(peers)]
            if other is not node and other.active and other not in tried and usable(other):
                other.in_flight += 1
                return other
        return None

    def done(
        self,
        node: Node,
        failed: bool | None,  # noqa: FBT001 - said by name or not
        seconds: float,
        now: float | None = None,
    ) -> None:
        """Take note of how a call at a picked node ended.

        Args:
            node: Where.
            failed: Whether that speaks against the node: it could not be reached, or
                was overloaded, or did not answer; not what it answered. None when the
                end says nothing of the node, such as a caller who gave up.
            seconds: How long it took.
            now: The time, where the caller has just read the clock.
        """
        if node.in_flight > 0:
            node.in_flight -= 1
        if node.tier < 0:
            return
        if now is None:
            now = self._clock.monotonic()
        if self._learning:
            self._tiers.done(node, failed, seconds, now)
        if failed is not None and self._outliers.done(node, now, failed=failed):
            self._tiers.refresh(now)

    def nodes(self) -> list[Node]:
        """Return a node for each endpoint that the source names; any thread may ask."""
        return list(self._known.values())

    def states(self) -> list[NodeState]:
        """Return what there is to say of each node that may be picked."""
        now = self._clock.monotonic()
        shares = self._tiers.shares(now)
        return [_state(node, shares.get(node, 0.0), now) for node in self._tiers.nodes()]

    def _nodes(self, endpoints: Iterable[Endpoint]) -> dict[NodeId, Node]:
        """Return a node per endpoint, the same as before where there was one; duplicates count once."""
        nodes: dict[NodeId, Node] = {}
        for endpoint in endpoints:
            identity = node_id(endpoint)
            if identity in nodes:
                continue
            node = self._known.get(identity)
            if node is None:
                node = Node(endpoint)
            elif node.endpoint is not endpoint:
                node.refresh(endpoint)
            nodes[identity] = node
        return nodes

    def _begin_slow_start(self, chosen: list[Node], now: float) -> None:
        """Warm up nodes that join others; when all are fresh there is nobody to take their share."""
        before, self._callable = self._callable, set(chosen)
        if self._warming and not before.isdisjoint(self._callable):
            for node in self._callable - before:
                self._slow_start.begin(node, now)


def _callable(nodes: Iterable[Node]) -> list[Node]:
    """Return the passing ones, else those with a warning."""
    found: dict[Health, list[Node]] = {Health.PASSING: [], Health.WARNING: []}
    for node in nodes:
        if node.endpoint.health in found:
            found[node.endpoint.health].append(node)
    return found[Health.PASSING] or found[Health.WARNING]


def _state(node: Node, share: float, now: float) -> NodeState:
    return NodeState(
        key=node.endpoint.key,
        address=node.endpoint.address,
        zone=node.endpoint.zone,
        tier=node.tier,
        in_flight=node.in_flight,
        latency_ms=node.latency * 1_000 if node.latency >= 0 else None,
        ejected_for=max(0.0, node.ejected_until - now) if node.ejected_until else 0.0,
        ejections=node.ejections,
        share=share,
    )
