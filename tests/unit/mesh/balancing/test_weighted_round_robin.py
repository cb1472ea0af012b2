"""Weighted round robin: as often as it weighs, without bursts."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet
from weft.mesh.balancing import Node, weighted_round_robin
from weft.mesh.balancing.slow_start import SlowStart


def weighted(*weights: int, seed: int = 1) -> World:
    world = World("weighted_round_robin", seed=seed)
    world.update([endpoint(number, weight=weight) for number, weight in enumerate(weights)])
    return world


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 3))
def test_each_window_of_a_round_is_by_weight(weights: list[int], seed: int) -> None:
    """Among as many calls as all weigh together, each node has its weight, give or take one."""
    world = weighted(*weights, seed=seed)
    for _ in range(3):
        counts = world.calls(sum(weights))
        for number, weight in enumerate(weights):
            assert abs(counts[f"echo-{number}"] - weight) <= 1


def test_extreme_weights_are_kept() -> None:
    """1 beside 10,000 is one call of 10,001."""
    world = weighted(10_000, 1)
    assert world.calls(20_002) == {"echo-0": 20_000, "echo-1": 2}


def test_weights_out_of_range_are_taken_as_the_nearest() -> None:
    """A source that says 0 or a million does not break the others."""
    world = weighted(0, 1, 1_000_000)
    counts = world.calls(10_002)
    assert counts["echo-0"] == counts["echo-1"] == 1


def test_equal_weights_are_plain_turns() -> None:
    """Nobody is called twice before everybody was called once."""
    world = weighted(7, 7, 7, 7)
    first = [world.call() for _ in range(4)]
    assert len(set(first)) == 4
    assert [world.call() for _ in range(8)] == first * 2


def test_calls_of_a_heavy_node_are_spread_between_those_of_light_ones() -> None:
    """A hundred of weight 1 beside one of 100: hardly ever more than two calls in a row at the heavy one."""
    world = weighted(100, *[1] * 100)
    calls = [world.call() for _ in range(2_000)]
    runs = [len(list(group)) for key, group in groupby(calls) if key == "echo-0"]
    assert max(runs) <= 3


def test_a_new_weight_holds_from_the_next_call_on() -> None:
    """A light node that becomes heavy does not wait for its light turn."""
    world = weighted(1, 1_000)
    world.calls(100)
    world.update([endpoint(0, weight=1_000), endpoint(1, weight=1_000)])
    counts = world.calls(1_000)
    assert abs(counts["echo-0"] - 500) <= 2


def test_other_nodes_keep_their_turn_through_changes() -> None:
    """Updates that come faster than rounds do not starve anybody."""
    world = World("weighted_round_robin")
    counts: Counter[str] = Counter()
    for number in range(2_000):
        world.update([*fleet(5), endpoint(10 + number % 2)])
        counts[world.call()] += 1
    assert min(counts[f"echo-{number}"] for number in range(5)) > 250


def test_what_was_tried_keeps_its_turn() -> None:
    """A node that a retry passed over is next for the call after it."""
    world = weighted(1, 1, 1)
    first, second, third = (world.pick() for _ in range(3))
    assert world.pick(tried=(first, second)) is third
    assert world.pick() is first
    assert world.balancer.pick(tried=(first, second, third)) is None


def test_turns_hold_when_deadlines_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers behind it never grow so far that weights blur."""
    monkeypatch.setattr(weighted_round_robin, "_REBASE_AT", 2.0)
    chance, world_nodes = Random(1), [Node(endpoint(0, weight=3)), Node(endpoint(1))]
    policy = weighted_round_robin.WeightedRoundRobin(chance, SlowStart(0))
    for node in world_nodes:
        node.active = True
    policy.update(world_nodes, 0)
    counts = Counter(policy.pick("", (), 0) for _ in range(400))
    assert [counts[node] for node in world_nodes] == [300, 100]
    assert max(deadline for deadline, _, _ in policy._heap) < 4
