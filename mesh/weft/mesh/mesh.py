"""The mesh of a process: its sources of instances, its routes, its connections, its channels."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import timedelta
from operator import itemgetter
from typing import Any, Final, Protocol
from weakref import WeakSet

import grpc

from weft.core.clock import Clock, SystemClock
from weft.core.version import VersionRange
from weft.discovery.base import Resolver
from weft.discovery.model import Endpoint
from weft.discovery.model import Protocol as Speaks
from weft.discovery.target import Target, parse_target
from weft.discovery.watch import Watch
from weft.mesh._calls.origin import Origin
from weft.mesh.balancing import BalancerConfig, LoadBalancer
from weft.mesh.call_options import CallOptions
from weft.mesh.channel import MeshChannel
from weft.mesh.policies.budget import BudgetConfig, RetryBudget
from weft.mesh.pool import ChannelPool
from weft.mesh.route import Route
from weft.mesh.tracing.port import NO_TRACING, CallTracer

__all__ = ["Mesh", "MeshConfig", "OneResolver", "Sources"]

_log = logging.getLogger("weft.mesh")

_HOUSEKEEPING: Final = 30.0
"""Seconds between looks for what is idle."""


class Sources(Protocol):
    """Where a mesh learns of instances."""

    def watch(self, target: Target) -> Watch:
        """Begin to follow the service of a target.

        Raises:
            ValidationError: There is no source of its scheme.
        """
        ...

    async def close(self) -> None:
        """Let go of every source."""
        ...


class OneResolver:
    """Asks one resolver for every target, whatever its scheme."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def watch(self, target: Target) -> Watch:
        """Begin to follow the service of a target, by its name."""
        return Watch(self._resolver, target.name)

    async def close(self) -> None:
        """Do nothing: the resolver is its owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig:
    """How a mesh calls."""

    calls: CallOptions = field(default_factory=CallOptions)
    """Deadlines and retries of every channel that does not say otherwise."""
    balancer: BalancerConfig = field(default_factory=BalancerConfig)
    """How calls are spread over instances."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """How many retries there may be, for each service."""
    connect_timeout: timedelta = timedelta(seconds=5)
    """How long one connection may take to be made."""
    idle_timeout: timedelta = timedelta(minutes=5)
    """After how long without a call a connection is closed, and a service is not watched any more."""
    max_routes: int = 4_096
    """Beyond so many routes, a new one takes the place of the one that nobody used for longest."""
    credentials: grpc.ChannelCredentials | None = None
    """For instances that are dialled with TLS; None: the roots of the system."""
    channel_options: tuple[tuple[str, str | int], ...] = ()
    """Of every gRPC channel, such as ``(("grpc.keepalive_time_ms", 10_000),)``."""


_RouteKey = tuple[Target, Speaks | None, VersionRange | None, BalancerConfig | None]
"""Without a balancer of its own it has that of the mesh, whose parts need not be hashed for every call."""


class Mesh:
    """Finds instances of services and makes channels to them.

    One watch, one balancer and one budget serve all channels of a target; one
    connection serves all calls to an instance.

    Args:
        sources: Where instances are; closed with the mesh.
        config: How it calls.
        tracer: What happens around each attempt of a call.
        clock: For idleness and balancing.
        chance: For balancing and jitter.
    """

    def __init__(
        self,
        sources: Sources,
        config: MeshConfig | None = None,
        *,
        tracer: CallTracer = NO_TRACING,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.config = config or MeshConfig()
        self.tracer = tracer
        self.clock: Clock = clock or SystemClock()
        self.chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self.pool = ChannelPool(
            self.clock,
            connect_timeout=self.config.connect_timeout,
            idle_timeout=self.config.idle_timeout,
            credentials=self.config.credentials,
            options=self.config.channel_options,
        )
        self._sources = sources
        self._routes: dict[_RouteKey, Route] = {}
        self._past_retries: Counter[tuple[str, str]] = Counter()
        self._origins: WeakSet[Origin] = WeakSet()
        self._housekeeper: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    def channel(
        self,
        target: str | Target,
        *,
        options: CallOptions | None = None,
        balancer: BalancerConfig | None = None,
    ) -> MeshChannel:
        """Make a channel to a service, for generated stubs.

        Args:
            target: Such as ``consul://orders?version=^1.2``; see ``weft.discovery.target``.
            options: Deadlines and retries; by default those of the mesh.
            balancer: How calls are spread; by default as in the rest of the mesh.

        Raises:
            ValidationError: The target is wrong.
        """
        parsed = parse_target(target) if isinstance(target, str) else target
        origin = Origin(
            lambda: self.route(parsed, balancer=balancer),
            self.pool,
            options or self.config.calls,
            self.tracer,
            self.clock,
            self.chance,
        )
        self._origins.add(origin)
        return MeshChannel(origin)

    def route(
        self,
        target: str | Target,
        *,
        protocol: Speaks | None = Speaks.GRPC,
        versions: VersionRange | None = None,
        balancer: BalancerConfig | None = None,
    ) -> Route:
        """Return the route to a service, which everybody who names the same target shares.

        A route that nobody used for long is closed; do not keep one across calls.

        Args:
            target: Such as ``consul://orders``.
            protocol: What instances must speak; None: anything.
            versions: Which versions will do; by default those that the target names.
            balancer: How calls are spread; by default as in the rest of the mesh.

        Raises:
            ValidationError: The target is wrong, or there is no source of its scheme.
        """
        if self._closed:
            raise RuntimeError("this mesh is closed")
        parsed = parse_target(target) if isinstance(target, str) else target
        key = (parsed, protocol, versions, None if balancer == self.config.balancer else balancer)
        route = self._routes.get(key)
        if route is None:
            self._make_room()
            route = self._routes[key] = self._open(key)
        route.last_used = self.clock.monotonic()
        return route

    def routes(self) -> list[Route]:
        """Return the routes there are now; any thread may ask."""
        return list(self._routes.values())

    def retries(self) -> Counter[tuple[str, str]]:
        """Return how many retries were made, by source and service; any thread may ask."""
        found = Counter(self._past_retries)
        for route in self.routes():
            found[route.target.scheme, route.service] += route.budget.taken
        return found

    def states(self) -> list[dict[str, Any]]:
        """Return what people and metrics want to know: of each route what is known, and how instances are."""
        return [route.states() for route in self._routes.values()]

    async def close(self) -> None:
        """Close every connection, and stop following services; calls in flight are cancelled."""
        for origin in list(self._origins):
            origin.close()
        self._closed = True
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._housekeeper
        await asyncio.gather(*self._leaving)
        routes = list(self._routes.values())
        self._routes.clear()
        for route in routes:
            await route.close()
        await self.pool.close()
        await self._sources.close()

    async def forget_idle(self) -> None:
        """Close what nobody used for long: routes, and connections."""
        since = self.clock.monotonic() - self.config.idle_timeout.total_seconds()
        for key, route in list(self._routes.items()):
            if route.running == 0 and route.last_used <= since:
                await self._let_go(self._take_out(key))
        self.pool.sweep()

    def _take_out(self, key: _RouteKey) -> Route:
        route = self._routes.pop(key)
        if route.budget.taken:
            self._past_retries[route.target.scheme, route.service] += route.budget.taken
        return route

    async def _let_go(self, route: Route) -> None:
        await route.close()
        self.pool.keep(route, ())

    def _make_room(self) -> None:
        """Let go of a route when there are as many as may be: who calls may name any range of versions."""
        if len(self._routes) < self.config.max_routes:
            return
        idle = [(route.last_used, key) for key, route in self._routes.items() if route.running == 0]
        if idle:
            _, key = min(idle, key=itemgetter(0))
            leaving = self._let_go(self._take_out(key))
            task = asyncio.create_task(leaving, name="a route that leaves", context=Context())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _open(self, key: _RouteKey) -> Route:
        target, protocol, versions, balancer = key
        config = balancer or self.config.balancer
        if versions is None:
            versions = VersionRange.parse(target.version)
        if self._housekeeper is None:
            self._housekeeper = asyncio.create_task(
                self._keep_house(), name="housekeeping of the mesh", context=Context()
            )
        if target.zone:
            config = replace(config, zone=target.zone)
        return Route(
            target,
            self._sources.watch(target),
            LoadBalancer(config, self.clock, self.chance),
            protocol=protocol,
            versions=versions,
            budget=RetryBudget(self.config.budget),
            on_change=self._keep,
        )

    def _keep(self, route: Route, endpoints: tuple[Endpoint, ...]) -> None:
        self.pool.keep(route, endpoints)

    async def _keep_house(self) -> None:
        while True:
            await self.clock.sleep(_HOUSEKEEPING)
            try:
                await self.forget_idle()
            except Exception:  # the next look must come
                _log.exception("housekeeping failed")
