"""Peak EWMA: the node that will answer sooner."""

from __future__ import annotations

import pytest

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet
from weft.mesh.balancing import BalancerConfig


@pytest.mark.parametrize("concurrency", [8, 32, 128])
def test_equal_nodes_get_equal_shares(concurrency: int) -> None:
    """Of 10,000 calls with scattered latencies at four nodes: busiest to quietest at most 1.2."""
    world = World("peak_ewma")
    world.update(fleet(4))
    counts = world.run(10_000, concurrency, lambda _: world.chance.expovariate(100))
    assert max(counts.values()) <= 1.2 * min(counts.values())


@pytest.mark.parametrize("concurrency", [1, 8, 32, 128])
def test_a_slow_node_gets_less_than_a_quarter_of_an_equal_share(concurrency: int) -> None:
    """One of four is ten times slower; it is noticed even when calls never overlap."""
    world = World("peak_ewma")
    world.update(fleet(4))
    counts = world.run(10_000, concurrency, lambda key: 0.1 if key == "echo-0" else 0.01)
    assert 0 < counts["echo-0"] < 0.25 * 2_500


def test_a_node_that_is_fast_again_gets_its_share_again() -> None:
    """What was slow is looked at again while time goes by."""
    world = World("peak_ewma")
    world.update(fleet(4))
    world.run(2_000, 8, lambda key: 0.1 if key == "echo-0" else 0.01)
    world.run(40_000, 8, lambda _: world.chance.uniform(0.008, 0.012))
    counts = world.run(10_000, 8, lambda _: world.chance.uniform(0.008, 0.012))
    assert counts["echo-0"] > 0.75 * 2_500


def test_a_fresh_node_is_tried_with_one_call_first() -> None:
    """It is taken when it is drawn, and not again before that call has ended."""
    world = World("peak_ewma")
    world.update(fleet(2))
    world.run(100, 4, lambda _: 0.01)
    world.update(fleet(3))
    fresh = [world.pick() for _ in range(60)]
    assert [node.endpoint.key for node in fresh].count("echo-2") == 1


def test_failing_fast_does_not_attract_calls() -> None:
    """A node that fails every other call at once gets less than its share."""
    world = World(config=BalancerConfig(policy="peak_ewma", outliers=None))
    world.update(fleet(3))
    counts: dict[str, int] = {}
    for number in range(3_000):
        node = world.pick()
        key = node.endpoint.key
        counts[key] = counts.get(key, 0) + 1
        bad = key == "echo-0"
        world.clock.turn(0.01)
        world.balancer.done(node, failed=bad and number % 2 == 0, seconds=0.001 if bad else 0.01)
    assert counts["echo-0"] < 0.25 * 1_000


def test_a_caller_who_gave_up_tells_only_that_it_took_at_least_so_long() -> None:
    """A cancelled call raises the average when it was slower, and never lowers it."""
    world = World("peak_ewma")
    world.update(fleet(1))
    world.call(failed=None, seconds=0)
    assert world.balancer.states()[0].latency_ms is None
    world.call(seconds=0.1)
    world.call(failed=None, seconds=0.001)
    assert world.balancer.states()[0].latency_ms == 100
    world.call(failed=None, seconds=0.3)
    assert world.balancer.states()[0].latency_ms == 300


def test_a_slow_node_is_probed_after_a_while() -> None:
    """What nobody has called for longer than the decay is taken when it is drawn, however slow it was."""
    world = World("peak_ewma")
    world.update(fleet(2))
    slow = world.pick()
    world.balancer.done(slow, failed=False, seconds=60)
    for _ in range(20):
        assert world.call() != slow.endpoint.key
    world.clock.turn(10.1)
    assert world.call() == slow.endpoint.key


def test_weights_count() -> None:
    """Twice the weight is about twice the calls, under load."""
    world = World("peak_ewma")
    world.update([endpoint(0, weight=2), endpoint(1, weight=1), endpoint(2, weight=1)])
    counts = world.run(10_000, 64, lambda _: world.chance.uniform(0.009, 0.011))
    assert counts["echo-0"] / 10_000 == pytest.approx(0.5, abs=0.05)
