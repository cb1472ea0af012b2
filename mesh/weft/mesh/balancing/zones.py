"""Zones: calls stay close while enough instances there are healthy, and spill over when not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from weft.discovery.model import Endpoint

__all__ = ["TIERS", "tier_loads", "tier_of"]

TIERS: Final = 3
"""The caller's zone, the rest of its datacenter, all others."""


def tier_of(endpoint: Endpoint, zone: str, datacenter: str) -> int:
    """Return how far an endpoint is: 0 in the caller's zone, 1 in its datacenter, 2 elsewhere.

    What the caller does not know of itself, or the source not of the endpoint,
    sets nothing apart: without zone and datacenter every endpoint is at 0.
    """
    elsewhere = datacenter and endpoint.datacenter and endpoint.datacenter != datacenter
    if elsewhere:
        return 2
    return 0 if not zone or endpoint.zone == zone else 1


def tier_loads(health: Sequence[float], overprovisioning: float) -> list[float]:
    """Return which part of the calls each tier gets, the nearest first.

    A tier takes what it can: its healthy part times the factor, so that with 1.4
    it takes all calls until more than 2 of 7 instances are missing. What is left
    goes to the next tier. When all together cannot take everything, each takes its
    part of what they can.

    Args:
        health: The healthy part of each tier, 0 to 1.
        overprovisioning: By how much more the healthy ones can take.
    """
    capacity = [min(1.0, part * overprovisioning) for part in health]
    together = min(1.0, sum(capacity))
    left, loads = 1.0, []
    for part in capacity:
        load = min(left, part / together) if together else 0.0
        loads.append(load)
        left -= load
    return loads
