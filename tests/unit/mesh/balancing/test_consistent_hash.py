"""Consistent hashing: one key, one node, in every process, and few moves."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet
from weft.discovery.model import Endpoint
from weft.mesh.balancing import Node

KEYS = [f"customer-{number}" for number in range(4_000)]


def hashed(endpoints: list[Endpoint], seed: int = 1) -> World:
    world = World("consistent_hash", seed=seed)
    world.update(endpoints)
    return world


def owners(world: World) -> dict[str, str]:
    return {key: world.call(key) for key in KEYS}


def moved(before: dict[str, str], after: dict[str, str]) -> float:
    return sum(before[key] != after[key] for key in KEYS) / len(KEYS)


def test_a_key_has_the_same_node_in_every_process() -> None:
    """Neither the process nor the order in which the source names instances matters."""
    program = (
        "from tests.unit.mesh.balancing.fleet import *\n"
        "world = World('consistent_hash', seed=9)\n"
        "world.update(fleet(20))\n"
        "print(' '.join(world.call(f'customer-{n}') for n in range(50)))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    other = hashed(list(reversed(fleet(20))))
    assert output.split() == [other.call(key) for key in KEYS[:50]]


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 30), st.data())
def test_a_node_that_leaves_moves_its_keys_only(count: int, data: st.DataObject) -> None:
    """Every other key stays where it was, and all come back with the node."""
    world = hashed(fleet(count))
    before = owners(world)
    gone = data.draw(st.integers(0, count - 1))
    world.update([each for number, each in enumerate(fleet(count)) if number != gone])
    after = owners(world)
    assert all(after[key] == owner for key, owner in before.items() if owner != f"echo-{gone}")
    assert moved(before, after) <= 1.5 / count + 0.02
    world.update(fleet(count))
    assert owners(world) == before


def test_a_history_of_changes_leaves_no_trace() -> None:
    """After any changes the ring is that of a client who knows the last list only."""
    world = hashed(fleet(10))
    for first in range(0, 40, 3):
        world.update([endpoint(number, weight=1 + number % 5) for number in range(first, first + 12)])
    world.update(fleet(15))
    assert owners(world) == owners(hashed(fleet(15)))


def test_shares_are_even_and_by_weight() -> None:
    """A node of weight 3 has about three times the keys of one of weight 1."""
    even = Counter(owners(hashed(fleet(10))).values())
    assert max(even.values()) <= 1.25 * 400
    assert min(even.values()) >= 0.75 * 400
    heavy = Counter(owners(hashed([endpoint(0, weight=3), *fleet(10)[1:]])).values())
    assert heavy["echo-0"] / len(KEYS) == pytest.approx(3 / 12, abs=0.04)


def test_a_changed_weight_moves_about_its_difference() -> None:
    """From 1 of 10 to 2 of 11: one tenth moves, give or take."""
    world = hashed(fleet(10))
    before = owners(world)
    world.update([endpoint(0, weight=2), *fleet(10)[1:]])
    assert moved(before, owners(world)) <= 0.2


def test_keys_of_an_ejected_node_are_spread_and_come_back() -> None:
    """Only its keys move while it is out, and not all to one node."""
    world = hashed(fleet(10))
    before = owners(world)
    mine = [key for key, owner in before.items() if owner == "echo-3"]
    for _ in range(5):
        world.call(mine[0], failed=True)
    after = owners(world)
    assert {key for key in KEYS if before[key] != after[key]} == set(mine)
    assert len({after[key] for key in mine}) > 3
    world.clock.turn(30)
    assert owners(world) == before


def test_a_retry_has_a_stable_second_choice() -> None:
    """A key's other nodes have an order too, until all were tried."""
    world = hashed(fleet(5))
    tried: list[Node] = []
    for _ in range(5):
        tried.append(world.pick("customer-1", tuple(tried)))
    assert len(set(tried)) == 5
    assert world.balancer.pick("customer-1", tried) is None
    again = hashed(fleet(5))
    first = again.pick("customer-1")
    assert again.pick("customer-1", (first,)).endpoint.key == tried[1].endpoint.key


def test_calls_without_a_key_go_anywhere() -> None:
    """They are not all sent to the owner of the empty key."""
    world = hashed(fleet(4))
    assert len(world.calls(100)) == 4


def test_any_text_is_a_key() -> None:
    """Also what is no valid Unicode."""
    world = hashed(fleet(4))
    assert world.call("\ud800") == world.call("\ud800")


def test_one_change_among_a_thousand_moves_a_thousandth() -> None:
    """The ring of a large fleet is changed in place and stays right."""
    world = hashed(fleet(1_000))
    before = owners(world)
    world.update(fleet(1_001)[1:])
    after = owners(world)
    assert moved(before, after) <= 0.006
    assert after == owners(hashed(fleet(1_001)[1:]))
