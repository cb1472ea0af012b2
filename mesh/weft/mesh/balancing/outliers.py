"""Outlier ejection: a node whose calls fail is left out for a while."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf
from statistics import fmean, pstdev

from weft.mesh.balancing.config import OutlierConfig
from weft.mesh.balancing.node import Node, Trial

__all__ = ["Outliers"]


class Outliers:
    """Decides which nodes are active, by how their calls ended.

    An ejected node comes back through one call: the first after its time is sent
    there as a probe, and only when that ends well is the node active again. With a
    policy that keeps calls together, where a call must not be sent elsewhere, it is
    active again at once, and a first failure ejects it again.

    Args:
        config: The limits; None: nothing is ever ejected.
        probes: Whether any call may be the probe.
    """

    def __init__(self, config: OutlierConfig | None, *, probes: bool) -> None:
        self._config = config or OutlierConfig(max_ejected=0)
        self._probes = probes
        self._threshold = self._config.consecutive_failures or inf
        self._interval = self._config.interval.total_seconds()
        self._nodes: Sequence[Node] = ()
        self._ejected: list[Node] = []
        self._next_sweep = -inf
        self.due = -inf
        """When ``advance`` is to be called."""

    def update(self, nodes: Sequence[Node], now: float) -> None:
        """Take the nodes of the rotation; when too many of them are ejected, the first to return do."""
        for gone in set(self._nodes).difference(nodes):
            gone.active = False
        self._nodes = nodes
        self._ejected = [node for node in nodes if node.ejected_until]
        self._ejected.sort(key=_end)
        while len(self._ejected) > self._allowed():
            self._restore(self._ejected[0])
        for node in nodes:
            node.active = not node.ejected_until
        if self._next_sweep == -inf:
            self._next_sweep = now + self._interval
        self._plan()

    def advance(self, now: float) -> bool:
        """Do what time brings; return whether a node became active or stopped being it."""
        changed = False
        if now >= self._next_sweep:
            changed = self._sweep(now)
            self._next_sweep = now + self._interval
        if not self._probes:
            for node in [node for node in self._ejected if node.ejected_until <= now]:
                self._restore(node)
                node.failures_in_row = self._config.consecutive_failures - 1
                changed = True
        self._plan()
        return changed

    def probe(self, tried: Collection[Node], now: float) -> Node | None:
        """Return a node whose time is over, to send it one call; the next one may follow in an interval."""
        for node in self._ejected:
            if node.ejected_until <= now and node not in tried:
                node.trial = Trial.PROBE
                node.ejected_until = now + self._interval
                self._plan()
                return node
        return None

    def last_resort(self, tried: Collection[Node]) -> Node | None:
        """Return the ejected node that returns first, for a call that has tried all others."""
        untried = (node for node in self._ejected if node not in tried)
        node = min(untried, key=_end, default=None)
        if node is not None and node.trial is Trial.NONE:
            node.trial = Trial.LAST_RESORT
        return node

    def done(self, node: Node, now: float, *, failed: bool) -> bool:
        """Take note of how a call ended; return whether the node became active or stopped being it."""
        node.requests += 1
        if not failed:
            node.failures_in_row = 0
            return False if node.active else self._answered(node)
        node.failures += 1
        node.failures_in_row += 1
        if node.active:
            return node.failures_in_row >= self._threshold and self._eject(node, now)
        return self._refused(node, now)

    def _answered(self, node: Node) -> bool:
        """Let a node back in whose trial ended well; an old call that ends now proves nothing."""
        if node.trial is Trial.NONE:
            return False
        self._restore(node)
        self._plan()
        return True

    def _refused(self, node: Node, now: float) -> bool:
        """Keep a node out; a failed probe makes it longer, a call that had no other choice does not."""
        if node.trial is Trial.PROBE:
            self._prolong(node, now)
            self._plan()
        node.trial = Trial.NONE
        return False

    def _eject(self, node: Node, now: float) -> bool:
        if len(self._ejected) >= self._allowed():
            return False
        node.active = False
        self._ejected.append(node)
        self._prolong(node, now)
        self._plan()
        return True

    def _prolong(self, node: Node, now: float) -> None:
        node.ejections += 1
        seconds = self._config.ejection_time.total_seconds() * node.ejections
        node.ejected_until = now + min(seconds, self._config.max_ejection_time.total_seconds())

    def _restore(self, node: Node) -> None:
        self._ejected.remove(node)
        node.active = True
        node.ejected_until = 0.0
        node.trial = Trial.NONE
        node.failures_in_row = 0

    def _allowed(self) -> int:
        return int(len(self._nodes) * self._config.max_ejected)

    def _plan(self) -> None:
        first = min(map(_end, self._ejected), default=inf)
        self.due = min(first, self._next_sweep)

    def _sweep(self, now: float) -> bool:
        """Compare success rates, forget old ejections by one, and begin a new interval."""
        found = [node for node in self._below() if self._eject(node, now)]
        for node in self._nodes:
            node.requests = node.failures = 0
            if node.active and node.ejections:
                node.ejections -= 1
        return bool(found)

    def _below(self) -> list[Node]:
        """Return the active nodes whose success rate is far below the mean, the worst first."""
        config = self._config
        counted = [node for node in self._nodes if node.active and node.requests >= config.min_requests]
        if not config.success_rate_factor or len(counted) < config.min_hosts:
            return []
        rates = [_success_rate(node) for node in counted]
        mean = fmean(rates)
        distance = max(config.success_rate_factor * pstdev(rates), config.success_rate_margin)
        return sorted((node for node in counted if _success_rate(node) < mean - distance), key=_success_rate)


def _end(node: Node) -> float:
    return node.ejected_until


def _success_rate(node: Node) -> float:
    return 1 - node.failures / node.requests
