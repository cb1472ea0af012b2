"""Policy ``peak_ewma``: of two nodes drawn at random, the one that will answer sooner."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import exp
from random import Random
from typing import Final

from weft.mesh.balancing.node import Node
from weft.mesh.balancing.slow_start import SlowStart
from weft.mesh.balancing.two_choices import TwoChoices

__all__ = ["PeakEwma"]

_FAILURE_FACTOR: Final = 3.0
"""A failed call counts as so many times the average: failing fast must not attract calls."""
_LEAST_FAILURE: Final = 0.001
_MOST_FAILURE: Final = 5.0
"""Seconds between which a failed call counts, if it did not take longer."""

_MOST_KEPT: Final = 0.95
"""A faster call lowers the average by at least 5 % of the difference. By time alone, at thousands of
calls a second, equal nodes would be told apart for long by their slowest call (measured)."""


class PeakEwma:
    """Power of two choices by moving average of latency, times the calls in flight and the next one.

    A call that was slower than the average raises it at once; faster ones lower it
    with time and number. While a node is idle its average fades, so that it is looked at again.

    Args:
        chance: What draws.
        slow_start: How often a fresh node gives way to the other.
        decay: Seconds after which an old latency counts for 1/e.
    """

    def __init__(self, chance: Random, slow_start: SlowStart, decay: float) -> None:
        self._chance = chance
        self._slow_start = slow_start
        self._decay = decay
        self._choices = TwoChoices(chance)
        self._mean_weight = 1.0

    def update(self, nodes: Sequence[Node], now: float) -> None:
        """Take the nodes there are."""
        before = set(self._choices.nodes)
        self._choices.update(nodes)
        active = self._choices.nodes
        self._mean_weight = sum(node.weight for node in active) / max(1, len(active))
        for node in active:
            if node not in before:
                node.picked_at = now

    def pick(self, hash_key: str, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002 - ignored
        """Return the one of two with the lower cost, or the other one when it was left out for long."""
        drawn = self._choices.draw(tried)
        if drawn is None:
            return None
        node, other = drawn
        if self._cost(other, now) < self._cost(node, now):
            node, other = other, node
        if now - other.picked_at > self._decay or (
            node.warm_at > now and self._chance.random() >= self._slow_start.factor(node, now)
        ):
            node = other
        node.picked_at = now
        return node

    def _cost(self, node: Node, now: float) -> float:
        """Return seconds until a call sent now would be answered, by what is known."""
        latency, waiting = node.latency, node.in_flight
        if latency < 0:  # never measured: one call finds out, others wait for that
            return _MOST_FAILURE * waiting
        if not waiting:
            return latency * exp((node.measured_at - now) / self._decay)
        return latency * (1 + waiting * self._mean_weight / node.weight)

    def done(self, node: Node, failed: bool | None, seconds: float, now: float) -> None:  # noqa: FBT001 - a port
        """Take the latency of a call into the average."""
        latency = node.latency
        if failed:
            seconds = max(seconds, min(_MOST_FAILURE, _FAILURE_FACTOR * max(latency, _LEAST_FAILURE)))
        elif failed is None and seconds <= max(latency, _LEAST_FAILURE):
            return  # it would have taken longer, nobody knows how much
        if seconds < latency:
            kept = min(_MOST_KEPT, exp((node.measured_at - now) / self._decay))
            seconds += (latency - seconds) * kept
        node.latency = seconds
        node.measured_at = now

    def shares(self, now: float) -> dict[Node, float]:
        """Return shares by weight, as they are while the nodes answer equally fast."""
        return self._slow_start.shares(self._choices.nodes, now)
