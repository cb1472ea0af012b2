"""Client-side load balancing: which instance of a service gets the next call.

Everything here is a pure state machine: it does no I/O, starts no tasks, and takes
its time and its randomness from outside.
"""

from __future__ import annotations

from weft.mesh.balancing.config import POLICIES, BalancerConfig, OutlierConfig
from weft.mesh.balancing.load_balancer import LoadBalancer
from weft.mesh.balancing.node import Node
from weft.mesh.balancing.state import NodeState

__all__ = ["POLICIES", "BalancerConfig", "LoadBalancer", "Node", "NodeState", "OutlierConfig"]
