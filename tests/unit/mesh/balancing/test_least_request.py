"""Least request: the less busy one of two."""

from __future__ import annotations

import pytest

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet
from weft.mesh.balancing import Node


@pytest.mark.parametrize("concurrency", [8, 32, 128])
def test_equal_nodes_get_equal_shares(concurrency: int) -> None:
    """Of 10,000 calls at four nodes, the busiest gets at most 1.2 times what the quietest gets."""
    world = World("least_request")
    world.update(fleet(4))
    counts = world.run(10_000, concurrency, lambda _: world.chance.expovariate(100))
    assert max(counts.values()) <= 1.2 * min(counts.values())


@pytest.mark.parametrize("concurrency", [8, 32, 128])
def test_a_slow_node_gets_less_than_a_quarter_of_an_equal_share(concurrency: int) -> None:
    """One of four is ten times slower."""
    world = World("least_request")
    world.update(fleet(4))
    counts = world.run(10_000, concurrency, lambda key: 0.1 if key == "echo-0" else 0.01)
    assert counts["echo-0"] < 0.25 * 2_500


def test_idle_nodes_share_by_weight() -> None:
    """Calls that never overlap are spread by weight too."""
    world = World("least_request")
    world.update([endpoint(0, weight=1), endpoint(1, weight=4), endpoint(2, weight=5)])
    counts = world.calls(20_000)
    for number, weight in enumerate((1, 4, 5)):
        assert counts[f"echo-{number}"] == pytest.approx(2_000 * weight, rel=0.1)


def test_busy_nodes_share_by_weight() -> None:
    """Of many calls that are open at once, each node has its weight's part."""
    world = World("least_request")
    world.update([endpoint(0, weight=1), endpoint(1, weight=3), endpoint(2, weight=6)])
    for _ in range(1_000):
        world.pick()
    open_calls = {state.key: state.in_flight for state in world.balancer.states()}
    assert open_calls == pytest.approx({"echo-0": 100, "echo-1": 300, "echo-2": 600}, rel=0.1)


def test_two_nodes_are_always_compared() -> None:
    """With two nodes the busier one is never taken."""
    world = World("least_request")
    world.update(fleet(2))
    busy = world.pick()
    for _ in range(50):
        other = world.pick()
        assert other is not busy
        world.balancer.done(other, failed=False, seconds=0.01)


def test_what_was_tried_is_passed_over() -> None:
    """Among few nodes and among many; none when all were tried."""
    for count in (1, 2, 3, 50):
        world = World("least_request")
        world.update(fleet(count))
        tried: list[Node] = []
        for _ in range(count):
            node = world.pick(tried=tuple(tried))
            assert node not in tried
            tried.append(node)
        assert world.balancer.pick(tried=tried) is None


def test_a_seed_repeats_its_picks() -> None:
    """Randomness comes from the given source alone."""

    def picks(seed: int) -> list[str]:
        world = World("least_request", seed=seed)
        world.update(fleet(10))
        return [world.call() for _ in range(50)]

    assert picks(3) == picks(3)
    assert picks(3) != picks(4)
