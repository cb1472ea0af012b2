"""The policies by name."""

from __future__ import annotations

from random import Random
from typing import Final

from weft.mesh.balancing.config import BalancerConfig
from weft.mesh.balancing.consistent_hash import ConsistentHash
from weft.mesh.balancing.least_request import LeastRequest
from weft.mesh.balancing.peak_ewma import PeakEwma
from weft.mesh.balancing.pick_first import PickFirst
from weft.mesh.balancing.policy import Policy
from weft.mesh.balancing.round_robin import RoundRobin
from weft.mesh.balancing.slow_start import SlowStart
from weft.mesh.balancing.weighted_round_robin import WeightedRoundRobin

__all__ = ["AFFINE", "LEARNING", "make_policy"]

AFFINE: Final = frozenset({"consistent_hash", "pick_first"})
"""Policies that keep calls together."""

LEARNING: Final = frozenset({"peak_ewma", "pick_first"})
"""Policies that learn from how calls ended; to the others it makes no difference."""


def make_policy(config: BalancerConfig, chance: Random, slow_start: SlowStart) -> Policy:
    """Return a new policy of the configured name."""
    match config.policy:
        case "weighted_round_robin":
            return WeightedRoundRobin(chance, slow_start)
        case "least_request":
            return LeastRequest(chance, slow_start)
        case "peak_ewma":
            return PeakEwma(chance, slow_start, config.ewma_decay.total_seconds())
        case "consistent_hash":
            return ConsistentHash(chance)
        case "pick_first":
            return PickFirst(chance)
        case _:  # the config has checked the name
            return RoundRobin(chance)
