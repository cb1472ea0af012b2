"""The policies by name."""

from __future__ import annotations

from random import Random
from typing import Final

from weft.mesh.balancing.config import BalancerConfig
from weft.mesh.balancing.policy import Policy
from weft.mesh.balancing.round_robin import RoundRobin
from weft.mesh.balancing.slow_start import SlowStart

__all__ = ["AFFINE", "make_policy"]

AFFINE: Final = frozenset({"consistent_hash", "pick_first"})
"""Policies that keep calls together."""


def make_policy(config: BalancerConfig, chance: Random, slow_start: SlowStart) -> Policy:
    """Return a new policy of the configured name."""
    return RoundRobin(chance)
