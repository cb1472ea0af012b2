"""One instance as a load balancer sees it: where it is, and what calls there have been like."""

from __future__ import annotations

from enum import Enum, unique
from typing import Final

from weft.discovery.model import Endpoint

__all__ = ["MAX_WEIGHT", "Node", "NodeId", "Trial", "node_id"]

MAX_WEIGHT: Final = 10_000
"""The highest weight that is told apart; the lowest is 1."""

NodeId = tuple[str, str, int]
"""What makes it the same node: the instance's id, its host and its port."""


@unique
class Trial(Enum):
    """Why an ejected node was given a call."""

    NONE = "none"
    """It was not."""
    PROBE = "probe"
    """Its time is over."""
    LAST_RESORT = "last resort"
    """The call had tried every other node."""


def node_id(endpoint: Endpoint) -> NodeId:
    """Return what a node is kept by.

    The address belongs to it: an instance that comes back elsewhere has lost what
    was warm, and two instances with one id (ids of Consul are unique only at their
    agent) are two nodes.
    """
    return (endpoint.instance_id, endpoint.host, endpoint.port)


class Node:
    """One instance, kept for as long as its source names it. Equal only to itself.

    Attributes:
        endpoint: What the source says of it now.
        in_flight: Calls that were picked and are not done.
        weight: The endpoint's, between 1 and ``MAX_WEIGHT``.
        tier: Which tier of zones it is in; -1 when it is in no rotation.
        active: Whether it takes calls: in the rotation, and not ejected.
        warm_at: When its slow start ends, in seconds of the clock.
        failures_in_row: Failed calls since the last good one.
        ejections: How often it was ejected; goes down while it is well.
        ejected_until: When its ejection ends, or its next probe is due; 0 when not ejected.
        trial: Why it was given a call while it was ejected.
        requests: Calls that ended since the last sweep.
        failures: How many of them failed.
        latency: Moving average in seconds; negative before the first call ended.
        measured_at: When the average was brought up to date.
        picked_at: When it was last picked, for policies that look at it.
    """

    __slots__ = (
        "active",
        "ejected_until",
        "ejections",
        "endpoint",
        "failures",
        "failures_in_row",
        "in_flight",
        "latency",
        "measured_at",
        "picked_at",
        "requests",
        "tier",
        "trial",
        "warm_at",
        "weight",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.weight = _weight(endpoint)
        self.in_flight = 0
        self.tier = -1
        self.active = False
        self.warm_at = 0.0
        self.failures_in_row = 0
        self.ejections = 0
        self.ejected_until = 0.0
        self.trial = Trial.NONE
        self.requests = 0
        self.failures = 0
        self.latency = -1.0
        self.measured_at = 0.0
        self.picked_at = 0.0

    def refresh(self, endpoint: Endpoint) -> None:
        """Take what the source says now of the same instance at the same address."""
        self.endpoint = endpoint
        self.weight = _weight(endpoint)

    def __repr__(self) -> str:
        return f"Node({self.endpoint.key!r}, {self.endpoint.address}, in_flight={self.in_flight})"


def _weight(endpoint: Endpoint) -> int:
    return min(max(endpoint.weight, 1), MAX_WEIGHT)
