"""Calls an action by name: finds an instance, connects, fails over, gives up in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from weft.core.errors import PreconditionError, ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.core.version import VersionRange, sort_versions
from weft.discovery.base import Resolver
from weft.discovery.model import Endpoint, Protocol, Snapshot
from weft.mesh.actions import ActionCall, ActionReply, ActionTransport, UnreachableError
from weft.mesh.balancer import Balancer, RoundRobin

__all__ = ["ActionCaller"]

_log = logging.getLogger("weft.mesh")

_FIRST_PAUSE = 0.1
_LAST_PAUSE = 1.0
"""Seconds between rounds of dialling the endpoints that could not be connected."""

_IDLE_SECONDS: Final = 300.0
"""How long a service is watched after its last call."""

_WATCH_AGAIN_SECONDS: Final = 0.5


class _Watched:
    """The newest snapshot of one service, kept up to date by a task."""

    def __init__(self, resolver: Resolver, service: str, balancer: Balancer) -> None:
        self.balancer = balancer
        self.snapshot: Snapshot | None = None
        self.changed = asyncio.Event()
        self.users = 0
        self.last_used = 0.0
        self.task = asyncio.create_task(self._follow(resolver, service), name=f"watch {service}")

    async def _follow(self, resolver: Resolver, service: str) -> None:
        """Follow the source for good: one that fails is asked again, and what it said last still holds."""
        while True:
            try:
                async for snapshot in resolver.watch(service):
                    self.snapshot = snapshot
                    self.changed.set()
                    self.changed = asyncio.Event()
            except Exception as error:  # whatever a source raises must not end the watch
                _log.warning("the source of instances of %s failed: %s", service, error)
            await asyncio.sleep(_WATCH_AGAIN_SECONDS)

    async def moment(self, seconds: float) -> None:
        """Wait for a change, but not longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self.changed.wait()

    def untried(self, versions: VersionRange, tried: set[Endpoint]) -> tuple[Endpoint, ...]:
        if self.snapshot is None:
            return ()
        fitting = self.snapshot
        if not versions.any:
            fitting = replace(
                fitting, endpoints=tuple(e for e in fitting.endpoints if versions.admits(e.version))
            )
        return tuple(endpoint for endpoint in fitting.callable() if endpoint not in tried)

    def other_versions(self, versions: VersionRange) -> list[str] | None:
        """Return the versions that there are when none of them, however healthy, is in the range."""
        endpoints = self.snapshot.endpoints if self.snapshot else ()
        if not endpoints or any(versions.admits(endpoint.version) for endpoint in endpoints):
            return None
        return sort_versions({endpoint.version for endpoint in endpoints if endpoint.version})


class ActionCaller:
    """Calls actions over whatever their instances speak.

    An endpoint that cannot be connected is passed over within the same call:
    nothing was sent, so nothing can run twice. When none can be connected, or
    there is none, the call waits for one to come (back). After a request was sent
    there is no second try here; that is the business of who knows whether it is
    safe.

    Args:
        resolver: Where instances are.
        transports: How to reach them, by protocol.
        balancer: Makes the balancer of each service.
        instance_wait: How long a call waits for an instance that can be connected.
    """

    def __init__(
        self,
        resolver: Resolver,
        transports: Mapping[Protocol, ActionTransport],
        *,
        balancer: Callable[[], Balancer] = RoundRobin,
        instance_wait: timedelta = timedelta(seconds=10),
    ) -> None:
        self._resolver = resolver
        self._transports = transports
        self._balancer = balancer
        self._instance_wait = instance_wait.total_seconds()
        self._watched: dict[str, _Watched] = {}

    async def call(self, call: ActionCall, timeout: float) -> ActionReply:
        """Run an action at one of its service's instances.

        Args:
            call: What to run.
            timeout: Seconds that it may take in all.

        Raises:
            ServiceUnavailableError: NO_INSTANCE, or ACTION_UNAVAILABLE.
            PreconditionError: VERSION_NOT_AVAILABLE, at once: there are instances, all of other versions.
            WeftError: As ``ActionTransport.invoke``.
        """
        watched = self._watch(call.service)
        watched.users += 1
        try:
            return await self._call(watched, call, timeout)
        finally:
            watched.users -= 1
            watched.last_used = asyncio.get_running_loop().time()

    async def _call(self, watched: _Watched, call: ActionCall, timeout: float) -> ActionReply:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        give_up = loop.time() + min(self._instance_wait, timeout)
        tried: set[Endpoint] = set()
        unreachable: UnreachableError | None = None
        pause = _FIRST_PAUSE
        while True:
            endpoints = watched.untried(call.versions, tried)
            if not endpoints:
                if (others := watched.other_versions(call.versions)) is not None:
                    raise unreachable or _no_version(call, others)
                if loop.time() >= give_up:
                    raise unreachable or self._no_instance(watched, call)
                left = give_up - loop.time()
                await watched.moment(min(pause, left) if tried else left)
                pause = min(pause * 2, _LAST_PAUSE)
                tried.clear()
                continue
            endpoint = watched.balancer.pick(endpoints)
            try:
                return await self._invoke(watched, endpoint, call, max(0.001, deadline - loop.time()))
            except UnreachableError as error:
                _log.debug("%s", error)
                tried.add(endpoint)
                unreachable = error

    async def _invoke(
        self, watched: _Watched, endpoint: Endpoint, call: ActionCall, timeout: float
    ) -> ActionReply:
        try:
            output = await self._transports[endpoint.protocol].invoke(endpoint, call, timeout)
        except WeftError as error:
            error.metadata.setdefault("instance_id", endpoint.instance_id)
            watched.balancer.done(endpoint, error)
            raise
        except BaseException as error:
            watched.balancer.done(endpoint, error)
            raise
        watched.balancer.done(endpoint, None)
        return ActionReply(output=output, instance_id=endpoint.instance_id)

    def _no_instance(self, watched: _Watched, call: ActionCall) -> ServiceUnavailableError:
        known = len(watched.snapshot.endpoints) if watched.snapshot else 0
        return ServiceUnavailableError(
            call.service,
            f"no healthy instance of {call.service} within {self._instance_wait:g} s ({known} known)",
            reason=Reason.NO_INSTANCE,
            metadata={"action": call.action},
        )

    def _watch(self, service: str) -> _Watched:
        watched = self._watched.get(service)
        if watched is None:
            self._forget_idle()
            watched = self._watched[service] = _Watched(self._resolver, service, self._balancer())
        return watched

    def _forget_idle(self) -> None:
        """Stop watching services that nobody called for long, whenever a new one is called."""
        since = asyncio.get_running_loop().time() - _IDLE_SECONDS
        for name, watched in list(self._watched.items()):
            if watched.users == 0 and watched.last_used < since:
                self._watched.pop(name).task.cancel()

    async def close(self) -> None:
        """Stop watching and close every connection."""
        tasks = [watched.task for watched in self._watched.values()]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for transport in self._transports.values():
            await transport.close()


def _no_version(call: ActionCall, available: list[str]) -> PreconditionError:
    known = ", ".join(available)
    there = f"there are {known}" if available else "its instances say no version"
    return PreconditionError(
        f"no instance of {call.service} has a version in {call.versions}; {there}",
        reason=Reason.VERSION_NOT_AVAILABLE,
        metadata={"service": call.service, "required": str(call.versions), "available": known},
    )
