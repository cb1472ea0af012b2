"""Round robin: a turn for each, whatever happens around it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet


@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 5))
def test_each_node_gets_exactly_one_call_of_each_round(count: int, rounds: int, seed: int) -> None:
    """After k·n calls every one of n nodes had k."""
    world = World(seed=seed)
    world.update(fleet(count))
    assert set(world.calls(rounds * count).values()) == {rounds}


def test_weights_do_not_count() -> None:
    """That is what the weighted one is for."""
    world = World()
    world.update([endpoint(0, weight=100), endpoint(1)])
    assert set(world.calls(10).values()) == {5}


@given(st.integers(2, 8), st.data())
def test_a_change_keeps_the_turn(count: int, data: st.DataObject) -> None:
    """Who stays and has not had its turn in this round has it next, in whatever order the source names."""
    world = World()
    world.update(fleet(count))
    served = [world.call() for _ in range(data.draw(st.integers(0, count - 1)))]
    left = data.draw(st.permutations(fleet(count)))[: data.draw(st.integers(1, count))]
    world.update(left)
    waiting = [each.key for each in left if each.key not in served]
    assert Counter(world.call() for _ in waiting) == Counter(waiting)


def test_clients_start_at_different_nodes() -> None:
    """Many clients that start at once do not meet at the first instance."""
    starts = set()
    for seed in range(40):
        world = World(seed=seed)
        world.update(fleet(4))
        starts.add(world.call())
    assert len(starts) == 4


def test_what_was_tried_is_passed_over() -> None:
    """A retry goes elsewhere, and finds nobody when all were tried."""
    world = World()
    world.update(fleet(3))
    first = world.pick()
    second = world.pick(tried=(first,))
    third = world.pick(tried=(first, second))
    assert len({first, second, third}) == 3
    assert world.balancer.pick(tried=(first, second, third)) is None
