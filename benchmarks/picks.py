"""Benchmark ``picks``: what the choice of an instance costs, in this process and without any call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from time import perf_counter

from benchmarks.harness import Block, Figure, Side
from benchmarks.processes import Processes
from weft.core.clock import SystemClock
from weft.discovery.model import Endpoint
from weft.mesh.balancing import POLICIES, BalancerConfig, LoadBalancer

__all__ = ["PicksBenchmark"]

_GOALS = {10: 3.0, 1_000: 6.0}
"""Microseconds of a pick, with or without the end of its call, by the number of instances."""
_BATCH = 1_000
_KEYS = [f"customer-{number}" for number in range(_BATCH)]


class PicksBenchmark:
    """Every policy, among few and among many instances, with everything that stands before it."""

    name = "picks"
    description = "microseconds to pick an instance, for each policy, among 10 and among 1,000"
    seconds = 0.2
    figures: Sequence[Figure] = tuple(
        Figure(
            name=f"picks.{policy}.{metric}.n{count}",
            unit="us",
            side=f"{policy}.{count}",
            concurrency=1,
            metric=metric,
            at_most=None if metric == "update" else goal,
        )
        for policy in POLICIES
        for count, goal in _GOALS.items()
        for metric in ("pick", "pick+done", "update")
    )

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:  # noqa: ARG002 - needs none
        """Yield a side for each policy and number of instances."""
        yield [_side(policy, count) for policy in POLICIES for count in _GOALS]


def endpoints(count: int) -> list[Endpoint]:
    """Return that many instances, of different weights."""
    return [
        Endpoint(
            host=f"10.0.{number // 250}.{number % 250 + 1}",
            port=7000,
            instance_id=f"echo-{number}",
            weight=1 + number % 3,
        )
        for number in range(count)
    ]


def _side(policy: str, count: int) -> Side:
    balancer = LoadBalancer(BalancerConfig(policy=policy), SystemClock(), Random(1))
    fleet = endpoints(count)

    async def block(_: int, seconds: float) -> Block:
        balancer.update(fleet)
        begun = perf_counter()
        picks: list[float] = []
        pairs: list[float] = []
        while not picks or perf_counter() - begun < seconds:
            picks.append(_picks(balancer))
            pairs.append(_pairs(balancer))
        updates = [_update(balancer, fleet) for _ in range(3)]
        return Block(
            seconds=perf_counter() - begun,
            latencies=picks,
            extra={"pick": _middle(picks), "pick+done": _middle(pairs), "update": _middle(updates)},
        )

    return Side(name=f"{policy}.{count}", run=block, concurrencies=(1,))


def _picks(balancer: LoadBalancer) -> float:
    """Return seconds of one pick; the calls end after the measurement."""
    begun = perf_counter()
    nodes = [balancer.pick(key) for key in _KEYS]
    taken = perf_counter() - begun
    for node in nodes:
        assert node is not None
        balancer.done(node, failed=False, seconds=0.01)
    return taken / _BATCH


def _pairs(balancer: LoadBalancer) -> float:
    """Return seconds of one pick and the end of its call."""
    begun = perf_counter()
    for key in _KEYS:
        node = balancer.pick(key)
        if node is not None:
            balancer.done(node, failed=False, seconds=0.01)
    return (perf_counter() - begun) / _BATCH


def _update(balancer: LoadBalancer, fleet: Sequence[Endpoint]) -> float:
    """Return seconds of an update by which one instance leaves; it comes back after the measurement."""
    begun = perf_counter()
    balancer.update(fleet[1:])
    taken = perf_counter() - begun
    balancer.update(fleet)
    return taken


def _middle(values: Sequence[float]) -> float:
    """Return the median, in microseconds."""
    return sorted(values)[len(values) // 2] * 1e6
