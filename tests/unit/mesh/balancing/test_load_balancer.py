"""The load balancer as a whole: what is picked, what is kept, what is told."""

from __future__ import annotations

import pytest

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet
from weft.discovery.model import Endpoint, Health
from weft.mesh.balancing import POLICIES, BalancerConfig, NodeState


@pytest.mark.parametrize("policy", POLICIES)
def test_without_endpoints_there_is_no_node(policy: str) -> None:
    """Before the first update, and after the last instance left."""
    world = World(policy)
    assert world.balancer.pick() is None
    world.update(fleet(2))
    assert world.balancer.pick() is not None
    world.update([])
    assert world.balancer.pick("key") is None
    assert world.balancer.states() == []


@pytest.mark.parametrize("policy", POLICIES)
def test_only_passing_instances_are_called_else_those_with_a_warning(policy: str) -> None:
    """Critical and draining ones never are."""
    sick = [
        endpoint(0, health=Health.CRITICAL),
        endpoint(1, health=Health.WARNING),
        endpoint(2, health=Health.DRAINING),
    ]
    world = World(policy)
    world.update([*sick, endpoint(3)])
    assert {world.call(f"key {n}") for n in range(20)} == {"echo-3"}
    world.update(sick)
    assert {world.call(f"key {n}") for n in range(20)} == {"echo-1"}
    world.update([sick[0], sick[2]])
    assert world.balancer.pick("key") is None


def test_a_node_is_kept_while_its_endpoint_changes() -> None:
    """Calls in flight and what was learned stay; what the source says is replaced."""
    world = World()
    world.update([endpoint(0)])
    node = world.pick()
    world.update([endpoint(0, weight=7, zone="z")])
    assert world.pick() is node
    assert (node.endpoint.weight, node.endpoint.zone, node.in_flight) == (7, "z", 2)


def test_a_node_is_kept_while_it_is_critical() -> None:
    """A late end of a call still finds it."""
    world = World()
    world.update([endpoint(0), endpoint(1)])
    node = world.at("echo-1")
    world.update([endpoint(0), endpoint(1, health=Health.CRITICAL)])
    world.balancer.done(node, failed=True, seconds=1)
    world.update([endpoint(0), endpoint(1)])
    assert world.at("echo-1") is node
    assert node.in_flight == 1


def test_another_address_is_another_node() -> None:
    """With fresh state; the old one ends its calls without touching the new one."""
    world = World()
    world.update([endpoint(0)])
    old = world.pick()
    world.update([Endpoint(host="10.9.9.9", port=7000, instance_id="echo-0")])
    new = world.pick()
    assert new is not old
    world.balancer.done(old, failed=True, seconds=1)
    assert (old.in_flight, new.in_flight) == (0, 1)


def test_two_instances_with_one_id_are_both_called() -> None:
    """Ids are unique at an agent of Consul, not everywhere; a plain repeat counts once."""
    world = World()
    twin = Endpoint(host="10.9.9.9", port=7000, instance_id="echo-0")
    world.update([endpoint(0), twin, endpoint(0)])
    assert {world.pick().endpoint.address for _ in range(4)} == {endpoint(0).address, twin.address}
    assert len(world.balancer.states()) == 2


def test_done_is_safe_to_repeat() -> None:
    """Calls in flight never go below none."""
    world = World("least_request")
    world.update(fleet(1))
    node = world.pick()
    for _ in range(3):
        world.balancer.done(node, failed=False, seconds=0.1)
    assert node.in_flight == 0


def test_states_tell_what_there_is_to_know() -> None:
    """One line per node that is used."""
    world = World(config=BalancerConfig(policy="peak_ewma", zone="a"))
    world.update([endpoint(0, zone="a"), endpoint(1, zone="b")])
    node = world.pick()
    world.balancer.done(node, failed=False, seconds=0.02)
    world.pick()
    near, far = world.balancer.states()
    assert near == NodeState(
        key="echo-0",
        address="10.0.0.1:7000",
        zone="a",
        tier=0,
        in_flight=1,
        latency_ms=20,
        ejected_for=0,
        ejections=0,
        share=1,
    )
    assert (far.key, far.tier, far.latency_ms, far.share) == ("echo-1", 1, None, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_shares_are_what_nodes_get(policy: str) -> None:
    """They add up to one, and calls follow them."""
    world = World(policy)
    world.update([endpoint(number, weight=1 + number % 2) for number in range(4)])
    states = world.balancer.states()
    assert sum(state.share for state in states) == pytest.approx(1)
    counts = world.run(6_000, 12, lambda _: world.chance.uniform(0.009, 0.011))
    for state in states:
        assert counts[state.key] / 6_000 == pytest.approx(state.share, abs=0.06)


@pytest.mark.parametrize("policy", ["round_robin", "weighted_round_robin", "least_request", "peak_ewma"])
def test_another_node_is_as_good(policy: str) -> None:
    """One that can take the call at once, is active, near, and was not tried; both calls are counted."""
    world = World(policy)
    world.update(fleet(4))
    picked, tried = world.at("echo-0"), world.at("echo-1")
    usable = {world.at("echo-2"), tried}
    others = {world.balancer.instead(picked, usable.__contains__, {tried}) for _ in range(20)}
    assert others == {world.at("echo-2")}
    assert world.at("echo-2").in_flight == 20 + 3
    assert picked.in_flight == 1
    assert world.balancer.instead(picked, lambda _: False) is None
    world.update([])
    assert world.balancer.instead(picked, lambda _: True) is None


@pytest.mark.parametrize("policy", ["consistent_hash", "pick_first"])
def test_no_other_node_is_as_good_where_calls_stay_together(policy: str) -> None:
    """They wait for their own."""
    world = World(policy)
    world.update(fleet(4))
    node = world.pick()
    assert world.balancer.instead(node, lambda _: True) is None
