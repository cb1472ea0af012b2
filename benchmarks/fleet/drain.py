"""Benchmark ``drain``: instances are stopped and started under load; nobody may notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import grpc.aio
import orjson

from benchmarks.fleet.host import CONTROL, SERVICE
from benchmarks.fleet.load import Attempts, Load, meshed
from benchmarks.harness import Block, Figure, Side
from benchmarks.processes import Processes
from tests.support.consul import running_agent
from weft.discovery.consul import ConsulConfig
from weft.discovery.resolvers import SourcesConfig

__all__ = ["DrainBenchmark"]

_Method = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]

_INSTANCES: Final = 4
_PAUSE: Final = 0.25
"""Seconds between two deregistrations."""
_REMOVALS: Final = 40
"""In each round; five rounds make 200."""
_TOO_LATE: Final = 2.0
_WATCHED: Final = 3.0
"""Seconds after the last one in which calls are still looked at."""


def _figures() -> tuple[Figure, ...]:
    return tuple(
        Figure(
            name=f"drain.{side}.{metric}", unit=unit, side=side, concurrency=1, metric=metric, at_most=at_most
        )
        for side in ("consul", "weft")
        for metric, unit, at_most in (
            ("failed", "calls", 0.0),
            ("late", "calls", 0.0),
            ("lag", "s", _TOO_LATE),
            ("removals", "instances", None),
            ("calls", "calls", None),
        )
    )


class DrainBenchmark:
    """A service of four instances, of which the oldest is always replaced."""

    name = "drain"
    description = "graceful stops of instances under 500 calls/s: failed calls, and calls after the removal"
    seconds = _REMOVALS * _PAUSE
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start Consul, a Weft server, and a process of instances for each."""
        async with AsyncExitStack() as stack:
            agent = await stack.enter_async_context(running_agent(processes.place / "consul"))
            address = await processes.start_server().address()
            sources = {
                "consul": SourcesConfig(consul=ConsulConfig(address=agent.address)),
                "weft": SourcesConfig(registry=address),
            }
            where = {"consul": ("--consul", agent.address), "weft": ("--server", address)}
            sides = []
            for name, source in sources.items():
                child = processes.start(
                    f"fleet-{name}", "benchmarks.fleet.host", "--instances", "0", *where[name]
                )
                control = await stack.enter_async_context(grpc.aio.insecure_channel(await child.address()))
                mesh, attempts = await stack.enter_async_context(meshed(source, f"{name}://{SERVICE}"))
                fleet = _Fleet(control)
                for _ in range(_INSTANCES):
                    await fleet.start()
                load = Load(mesh, f"{name}://{SERVICE}")
                await load.ready()
                sides.append(Side(name=name, run=_rounds(fleet, load, attempts), concurrencies=(1,)))
            yield sides


class _Fleet:
    """The instances of the other process, the oldest first."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._start: _Method = channel.unary_unary(f"/{CONTROL}/Start")
        self._stop: _Method = channel.unary_unary(f"/{CONTROL}/Stop")
        self._ids: list[str] = []

    async def start(self) -> None:
        self._ids.append(orjson.loads(await self._start(b""))["id"])

    async def stop_oldest(self) -> tuple[str, float]:
        """Stop one; return which, and when that began."""
        chosen = self._ids.pop(0)
        answer: dict[str, Any] = orjson.loads(await self._stop(orjson.dumps({"id": chosen})))
        return chosen, answer["begun"]


def _rounds(fleet: _Fleet, load: Load, attempts: Attempts) -> Any:
    async def block(_: int, seconds: float) -> Block:
        begun = time.monotonic()
        removed: dict[str, float] = {}
        async with load.running():
            for _ in range(max(1, round(seconds / _PAUSE))):
                await fleet.start()
                instance, when = await fleet.stop_oldest()
                removed[instance] = when
                await asyncio.sleep(_PAUSE)
            await asyncio.sleep(min(_WATCHED, seconds))
        lags = [attempts.last.get(key, when) - when for key, when in removed.items()]
        late = sum(lag > _TOO_LATE for lag in lags)
        extra = {"removals": len(removed), "late": late, "lag": max(0.0, *lags)}
        return load.block(time.monotonic() - begun, **extra)

    return block
