"""Zones: close by while enough is healthy there, elsewhere for the rest, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mesh.balancing.fleet import World, endpoint
from weft.discovery.model import Endpoint, Health
from weft.mesh.balancing import POLICIES, BalancerConfig, Node
from weft.mesh.balancing.zones import tier_loads, tier_of

HERE = BalancerConfig(zone="a", datacenter="dc1")


def places(sick: int = 0) -> list[Endpoint]:
    """Return ten instances in the caller's zone, of which some are critical, ten beside it, ten far away."""
    own = [
        endpoint(n, zone="a", datacenter="dc1", health=Health.CRITICAL if n < sick else Health.PASSING)
        for n in range(10)
    ]
    near = [endpoint(n, zone="b", datacenter="dc1") for n in range(10, 20)]
    far = [endpoint(n, zone="a", datacenter="dc2") for n in range(20, 30)]
    return own + near + far


def spread(world: World, calls: int = 4_000) -> list[float]:
    """Return which part of the calls each tier got."""
    counts = [0, 0, 0]
    for number in range(calls):
        key = world.call(f"key {number}")
        counts[int(key.removeprefix("echo-")) // 10] += 1
    return [count / calls for count in counts]


def world_with(sick: int, config: BalancerConfig = HERE) -> World:
    world = World(config=config)
    world.update(places(sick))
    return world


@pytest.mark.parametrize(
    ("sick", "loads"),
    [
        (0, [1, 0, 0]),
        (2, [1, 0, 0]),
        (3, [0.98, 0.02, 0]),
        (5, [0.7, 0.3, 0]),
        (9, [0.14, 0.86, 0]),
        (10, [0, 1, 0]),
    ],
)
def test_calls_leave_the_zone_by_what_is_missing_there(sick: int, loads: list[float]) -> None:
    """Seven of ten can nearly do it all (98 %); five of ten do 70 %, and the next zone does the rest."""
    assert spread(world_with(sick)) == pytest.approx(loads, abs=0.03)


def test_calls_come_back_with_the_zone() -> None:
    """Failover and return, without a restart."""
    world = world_with(10)
    assert spread(world, 100)[0] == 0
    world.update(places(0))
    assert spread(world, 100)[0] == 1


def test_other_datacenters_are_last() -> None:
    """They take calls when own zone and datacenter together cannot."""
    world = World(config=HERE)
    world.update(places(10)[:10] + places(0)[20:])
    assert spread(world, 100) == [0, 0, 1]


def test_ejection_counts_as_missing() -> None:
    """Five of ten in the zone that fail their calls make 30 % go elsewhere."""
    world = World(config=HERE)
    world.update(places())
    for number in range(5):
        world.fail(f"echo-{number}", 5)
    assert spread(world) == pytest.approx([0.7, 0.3, 0], abs=0.03)


def test_a_retry_leaves_the_zone_when_all_there_were_tried() -> None:
    """One call may see every instance."""
    world = World(config=HERE)
    world.update(places())
    tried: list[Node] = []
    for _ in range(30):
        tried.append(world.pick(tried=tuple(tried)))
    assert [node.tier for node in tried] == sorted(node.tier for node in tried)
    assert world.balancer.pick(tried=tried) is None


@pytest.mark.parametrize("policy", ["consistent_hash", "pick_first"])
def test_calls_that_stay_together_go_to_one_tier(policy: str) -> None:
    """A key, or with pick-first every call, is not thrown between zones."""
    world = world_with(5, BalancerConfig(policy=policy, zone="a", datacenter="dc1"))
    for key in ("x", "y", "z"):
        assert len({world.call(key) for _ in range(50)}) == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_prefers_the_zone(policy: str) -> None:
    """The preference stands before the policy."""
    world = world_with(0, BalancerConfig(policy=policy, zone="a", datacenter="dc1"))
    assert spread(world, 300) == [1, 0, 0]


@pytest.mark.parametrize(
    ("zone", "datacenter", "place", "tier"),
    [
        ("", "", ("b", "dc2"), 0),
        ("a", "", ("a", "dc2"), 0),
        ("a", "", ("b", "dc1"), 1),
        ("a", "dc1", ("a", ""), 0),
        ("a", "dc1", ("a", "dc1"), 0),
        ("a", "dc1", ("b", "dc1"), 1),
        ("a", "dc1", ("", ""), 1),
        ("a", "dc1", ("a", "dc2"), 2),
        ("", "dc1", ("b", "dc1"), 0),
        ("", "dc1", ("b", "dc2"), 2),
    ],
)
def test_what_is_not_known_sets_nothing_apart(
    zone: str, datacenter: str, place: tuple[str, str], tier: int
) -> None:
    """A zone's name belongs to its datacenter, where both are known."""
    assert tier_of(endpoint(1, zone=place[0], datacenter=place[1]), zone, datacenter) == tier


@given(st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=4), st.floats(1, 3))
def test_loads_add_up_to_all_calls(health: list[float], factor: float) -> None:
    """Whatever is healthy, every call goes somewhere; with nothing healthy, nowhere."""
    loads = tier_loads(health, factor)
    assert all(load >= 0 for load in loads)
    assert all(load == 0 for load, part in zip(loads, health, strict=True) if part == 0)
    assert sum(loads) == pytest.approx(1 if any(health) else 0)


def test_what_nobody_can_take_is_shared_by_ability() -> None:
    """10 % and 30 % healthy: a quarter and three quarters."""
    assert tier_loads([0.1, 0.3], 1.4) == pytest.approx([0.25, 0.75])
