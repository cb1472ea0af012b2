"""Slow start: a fresh instance's share grows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet
from weft.discovery.model import Endpoint, Health
from weft.mesh.balancing import BalancerConfig

WARMING = ["weighted_round_robin", "least_request", "peak_ewma"]


def warming(policy: str, endpoints: list[Endpoint]) -> World:
    config = BalancerConfig(policy=policy, slow_start=timedelta(seconds=30))
    world = World(config=config)
    world.update(endpoints)
    world.run(2_000, 16, lambda _: world.chance.uniform(0.0009, 0.0011))
    return world


def share(world: World, key: str, calls: int = 4_000) -> float:
    """Return a node's part of calls, in equal shares; they are too quick for time to go on."""
    counts = world.run(calls, 16, lambda _: world.chance.uniform(0.00009, 0.00011))
    return counts[key] / calls * len(world.balancer.states())


@pytest.mark.parametrize("policy", WARMING)
def test_a_fresh_node_warms_up(policy: str) -> None:
    """A tenth of its share at first, half of it after half of the time, all of it at the end."""
    world = warming(policy, fleet(3))
    world.update(fleet(4))
    assert share(world, "echo-3") == pytest.approx(0.13, abs=0.08)
    world.clock.turn(15)
    assert share(world, "echo-3") == pytest.approx(0.55, abs=0.25)
    world.clock.turn(15)
    share(world, "echo-3", 1_000)
    assert share(world, "echo-3") == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("policy", WARMING)
def test_nobody_warms_up_when_all_are_fresh(policy: str) -> None:
    """At start-up, and after all were replaced at once, there is nobody to take their share."""
    world = World(config=BalancerConfig(policy=policy, slow_start=timedelta(seconds=30)))
    world.update(fleet(4))
    assert [state.share for state in world.balancer.states()] == [0.25] * 4
    world.update([endpoint(number) for number in range(4, 8)])
    assert [state.share for state in world.balancer.states()] == [0.25] * 4


def test_a_node_that_was_sick_warms_up_again() -> None:
    """It may have been started anew behind the same address."""
    world = warming("weighted_round_robin", fleet(3))
    world.update([*fleet(2), endpoint(2, health=Health.CRITICAL)])
    assert len(world.balancer.states()) == 2
    world.update(fleet(3))
    assert [round(state.share, 2) for state in world.balancer.states()] == [0.48, 0.48, 0.05]


def test_it_is_off_by_default() -> None:
    """A fresh node has its share at once."""
    world = World("weighted_round_robin")
    world.update(fleet(3))
    world.update(fleet(4))
    assert [state.share for state in world.balancer.states()] == [0.25] * 4


def test_a_changed_endpoint_is_not_fresh() -> None:
    """Another weight or tag is no new instance."""
    world = warming("weighted_round_robin", fleet(2))
    world.update([endpoint(0, weight=3), endpoint(1)])
    assert [state.share for state in world.balancer.states()] == [0.75, 0.25]
