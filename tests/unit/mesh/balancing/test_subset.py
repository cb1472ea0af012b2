"""Subsets: each client uses a few, all clients together use all evenly, and little moves."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet
from weft.discovery.model import Endpoint
from weft.mesh.balancing import BalancerConfig


def used(world: World) -> set[str]:
    return {state.key for state in world.balancer.states()}


def client(seed: str, endpoints: list[Endpoint], size: int = 10) -> World:
    world = World(config=BalancerConfig(subset_size=size, subset_seed=seed))
    world.update(endpoints)
    return world


def test_a_client_uses_so_many() -> None:
    """All of them get its calls, others do not."""
    world = client("one", fleet(100))
    assert len(used(world)) == 10
    assert set(world.calls(50)) == used(world)


def test_a_small_fleet_is_used_whole() -> None:
    """There is nothing to choose."""
    assert len(used(client("one", fleet(7)))) == 7


def test_a_seed_chooses_the_same_again() -> None:
    """After a restart, and in whatever order the source names them; another seed chooses others."""
    assert used(client("one", fleet(100))) == used(client("one", fleet(100)[::-1]))
    assert used(client("one", fleet(100))) != used(client("two", fleet(100)))


def test_clients_without_a_seed_differ() -> None:
    """It is drawn from the given randomness."""
    config = BalancerConfig(subset_size=5)
    worlds = [World(config=config, seed=seed) for seed in (1, 2)]
    for world in worlds:
        world.update(fleet(100))
    assert used(worlds[0]) != used(worlds[1])


@settings(max_examples=40, deadline=None)
@given(st.integers(12, 60), st.text(min_size=1, max_size=5), st.data())
def test_a_change_moves_at_most_one(count: int, seed: str, data: st.DataObject) -> None:
    """One that leaves is replaced by one; one that joins replaces at most one."""
    world = client(seed, fleet(count))
    before = used(world)
    gone = data.draw(st.sampled_from(fleet(count)))
    world.update([each for each in fleet(count) if each != gone])
    after = used(world)
    assert before - after == before & {gone.key}
    world.update([*fleet(count), endpoint(500)])
    assert len(used(world) - before) <= 1
    assert used(world) - before <= {"echo-500"}


def test_a_fleet_of_clients_uses_the_instances_evenly() -> None:
    """400 clients with 20 of 100 each: every instance is used by about 80."""
    counts: Counter[str] = Counter()
    for seed in range(400):
        counts.update(used(client(f"client-{seed}", fleet(100), size=20)))
    assert len(counts) == 100
    assert max(counts.values()) <= 80 * 1.4
    assert min(counts.values()) >= 80 * 0.6


def test_each_tier_has_its_own_subset() -> None:
    """A client always has instances in its own zone, when there are any."""
    world = World(config=BalancerConfig(subset_size=3, subset_seed="x", zone="a"))
    world.update([endpoint(0, zone="a"), *(endpoint(number, zone="b") for number in range(1, 200))])
    assert [state.tier for state in world.balancer.states()] == [0, 1, 1, 1]
    assert set(world.calls(20)) == {"echo-0"}
