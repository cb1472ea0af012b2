"""What a load balancer tells people and metrics of a node."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NodeState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One node of the rotation, at one moment."""

    key: str
    """The endpoint's key."""
    address: str
    """``host:port``."""
    zone: str
    """Its zone; empty where none is known."""
    tier: int
    """How far it is: 0 the caller's zone, 1 its datacenter, 2 elsewhere."""
    in_flight: int
    """Calls of this process that are under way there."""
    latency_ms: float | None
    """Moving average of ``peak_ewma``; none with another policy, or before a call ended."""
    ejected_for: float
    """Seconds until it may be probed; 0 when it is not ejected."""
    ejections: int
    """How often it was ejected, less one for each interval that it has been well since."""
    share: float
    """Which part of the calls it is meant to get, 0 to 1."""
