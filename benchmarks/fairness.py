"""Benchmark ``fairness``: how evenly the policies spread calls, in simulated time.

Four instances answer in times that are drawn anew for each call, and workers call
one after the other. Nothing is measured but counted, so the machine plays no part; the
rounds differ by their seeds.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from random import Random

from benchmarks.harness import Block, Figure, Side
from benchmarks.processes import Processes
from weft.core.testing import ManualClock
from weft.discovery.model import Endpoint
from weft.mesh.balancing import BalancerConfig, LoadBalancer, Node

__all__ = ["FairnessBenchmark", "simulate"]

_CALLS = 10_000
_INSTANCES = 4
_SECONDS = 0.01
"""How long a call takes on average."""
_SLOWER = 10
_LEVELS = (8, 32, 128)
_EVEN = ("round_robin", "weighted_round_robin", "least_request", "peak_ewma")
_ADAPTIVE = ("least_request", "peak_ewma")


class FairnessBenchmark:
    """Four equal instances, and three with one that is ten times slower."""

    name = "fairness"
    description = "how 10,000 calls spread over 4 instances: all alike, and one 10 times slower (simulated)"
    seconds = 0.01
    figures: Sequence[Figure] = (
        *(
            Figure(
                name=f"fairness.{policy}.busiest/quietest.c{level}",
                unit="ratio",
                side=f"{policy}.equal",
                concurrency=level,
                metric="uneven",
                at_most=1.2,
            )
            for policy in _EVEN
            for level in _LEVELS
        ),
        *(
            Figure(
                name=f"fairness.{policy}.slow_share.c{level}",
                unit="of an equal share",
                side=f"{policy}.slow",
                concurrency=level,
                metric="slow",
                at_most=0.25,
            )
            for policy in _ADAPTIVE
            for level in _LEVELS
        ),
    )

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:  # noqa: ARG002 - needs none
        """Yield a side for each policy and kind of fleet."""
        yield [
            *(_side(f"{policy}.equal", policy, 1) for policy in _EVEN),
            *(_side(f"{policy}.slow", policy, _SLOWER) for policy in _ADAPTIVE),
        ]


def _side(name: str, policy: str, slower: float) -> Side:
    seeds = count(1)

    async def block(concurrency: int, _: float) -> Block:
        counts, latencies, seconds = simulate(policy, concurrency, slower, next(seeds))
        return Block(
            seconds=seconds,
            latencies=latencies,
            extra={
                "uneven": max(counts) / max(1, min(counts)),
                "slow": counts[0] * _INSTANCES / _CALLS,
            },
        )

    return Side(name=name, run=block, concurrencies=_LEVELS)


def simulate(
    policy: str, concurrency: int, slower: float, seed: int
) -> tuple[Sequence[int], Sequence[float], float]:
    """Let workers call in simulated time.

    Args:
        policy: Who chooses.
        concurrency: How many workers there are.
        slower: How much slower the first instance is.
        seed: Of everything that is drawn.

    Returns:
        The calls of each instance, the seconds of each call, and the seconds of all.
    """
    chance = Random(seed)
    fleet = [Endpoint(host="10.0.0.1", port=7000 + number) for number in range(_INSTANCES)]
    clock = _SetClock()
    balancer = LoadBalancer(BalancerConfig(policy=policy), clock, Random(seed))
    balancer.update(fleet)
    means = {each.key: _SECONDS for each in fleet} | {fleet[0].key: _SECONDS * slower}
    counts: Counter[str] = Counter()
    latencies = _play(balancer, clock, concurrency, counts, lambda key: chance.expovariate(1 / means[key]))
    return [counts[each.key] for each in fleet], latencies, clock.monotonic()


def _play(
    balancer: LoadBalancer,
    clock: _SetClock,
    concurrency: int,
    counts: Counter[str],
    takes: Callable[[str], float],
) -> list[float]:
    """Play the events in the order of their moments: an end of a call is the start of the next one."""
    ends: list[tuple[float, int, Node, float]] = []
    latencies: list[float] = []

    def start() -> None:
        node = balancer.pick()
        assert node is not None
        counts[node.endpoint.key] += 1
        seconds = takes(node.endpoint.key)
        latencies.append(seconds)
        heapq.heappush(ends, (clock.monotonic() + seconds, len(latencies), node, seconds))

    for _ in range(concurrency):
        start()
    while ends:
        moment, _, node, seconds = heapq.heappop(ends)
        clock.set(moment)
        balancer.done(node, failed=False, seconds=seconds)
        if len(latencies) < _CALLS:
            start()
    return latencies


class _SetClock(ManualClock):
    """A clock that jumps from event to event; nobody sleeps by it."""

    def __init__(self) -> None:
        super().__init__()
        self._moment = 0.0

    def set(self, moment: float) -> None:
        self._moment = moment

    def monotonic(self) -> float:
        return self._moment
