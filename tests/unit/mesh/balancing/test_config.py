"""The configuration: every fault at once."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from tests.unit.mesh.balancing.fleet import Hands
from weft.core.errors import ValidationError
from weft.core.reasons import Rule
from weft.mesh.balancing import POLICIES, BalancerConfig, LoadBalancer, OutlierConfig


@pytest.mark.parametrize("policy", POLICIES)
def test_every_name_is_a_policy(policy: str) -> None:
    """And the balancer says which one it uses."""
    assert LoadBalancer(BalancerConfig(policy=policy), Hands(), Random(1)).policy == policy


def test_an_unknown_policy_gets_a_hint() -> None:
    """The closest name, or all of them."""
    with pytest.raises(ValidationError, match="did you mean 'round_robin'"):
        BalancerConfig(policy="roundrobin")
    with pytest.raises(ValidationError, match="known: consistent_hash, least_request, peak_ewma"):
        BalancerConfig(policy="xyz")


def test_all_faults_are_named_at_once() -> None:
    """By their fields."""
    with pytest.raises(ValidationError) as raised:
        BalancerConfig(
            policy="magic",
            overprovisioning=0.5,
            subset_size=-1,
            slow_start=timedelta(seconds=-1),
            ewma_decay=timedelta(0),
            outliers=OutlierConfig(
                consecutive_failures=-1,
                interval=timedelta(0),
                success_rate_factor=float("nan"),
                success_rate_margin=-1,
                min_hosts=0,
                min_requests=0,
                ejection_time=timedelta(0),
                max_ejection_time=timedelta(0),
                max_ejected=0.9,
            ),
        )
    faults = {violation.field: violation.reason for violation in raised.value.violations}
    assert faults.pop("policy") == Rule.INVALID
    assert set(faults.values()) == {Rule.OUT_OF_RANGE}
    assert set(faults) == {
        "overprovisioning",
        "subset_size",
        "slow_start",
        "ewma_decay",
        "outliers.consecutive_failures",
        "outliers.interval",
        "outliers.success_rate_factor",
        "outliers.success_rate_margin",
        "outliers.min_hosts",
        "outliers.min_requests",
        "outliers.ejection_time",
        "outliers.max_ejection_time",
        "outliers.max_ejected",
    }
