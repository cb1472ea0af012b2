"""Pick first: one node, until it fails."""

from __future__ import annotations

from collections import Counter

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet


def test_it_stays() -> None:
    """All calls go to one node, also after others came and went."""
    world = World("pick_first")
    world.update(fleet(5))
    first = world.call()
    assert world.calls(20) == {first: 20}
    world.update([*reversed(fleet(5)), endpoint(9)])
    assert world.call() == first


def test_it_moves_on_when_the_node_fails() -> None:
    """Once, however many calls of the old node fail together."""
    world = World("pick_first")
    world.update(fleet(5))
    open_calls = [world.pick() for _ in range(3)]
    expected = world.pick(tried=(open_calls[0],))
    for node in open_calls:
        world.balancer.done(node, failed=True, seconds=0.1)
    second = world.call()
    assert second == expected.endpoint.key
    assert world.calls(10) == {second: 10}


def test_it_moves_on_when_the_node_leaves() -> None:
    """To a node that is there."""
    world = World("pick_first")
    world.update(fleet(5))
    first = world.call()
    world.update([each for each in fleet(5) if each.key != first])
    second = world.call()
    assert second != first
    world.update(fleet(5))
    assert world.call() == second


def test_with_one_node_there_is_no_other() -> None:
    """A failure changes nothing."""
    world = World("pick_first")
    world.update(fleet(1))
    assert world.call(failed=True) == world.call() == "echo-0"


def test_clients_do_not_meet_at_one_node() -> None:
    """The start and the order after it are at random for each client."""
    starts: Counter[str] = Counter()
    for seed in range(400):
        world = World("pick_first", seed=seed)
        world.update(fleet(4))
        starts[world.call()] += 1
    assert len(starts) == 4
    assert min(starts.values()) > 60


def test_a_retry_goes_to_the_next() -> None:
    """And finds nobody when all were tried."""
    world = World("pick_first")
    world.update(fleet(3))
    first = world.pick()
    second = world.pick(tried=(first,))
    third = world.pick(tried=(first, second))
    assert len({first, second, third}) == 3
    assert world.balancer.pick(tried=(first, second, third)) is None
    assert world.pick() is first
