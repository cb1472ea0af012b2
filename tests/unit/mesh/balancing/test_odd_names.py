"""Names that no honest source gives do not keep a service from being balanced."""

from __future__ import annotations

import random

import pytest

from weft.core.testing import ManualClock
from weft.discovery.model import Endpoint
from weft.mesh.balancing import POLICIES, BalancerConfig, LoadBalancer


@pytest.mark.parametrize("policy", POLICIES)
def test_an_id_that_utf8_cannot_say(policy: str) -> None:
    """JSON can hold half a character."""
    config = BalancerConfig(policy=policy, subset_size=1, subset_seed="\ud800")
    balancer = LoadBalancer(config, ManualClock(), random.Random(1))
    balancer.update([Endpoint(host="10.0.0.1", port=port, instance_id=f"\ud800{port}") for port in (1, 2)])
    assert balancer.pick("\ud800") is not None
