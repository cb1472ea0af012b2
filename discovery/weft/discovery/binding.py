"""Services that are registered in one source, and whose instances are known to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final

from weft.core.clock import Clock, SystemClock
from weft.core.version import VersionRange
from weft.discovery.base import Resolver
from weft.discovery.model import Endpoint, Health, Snapshot
from weft.discovery.target import Target, parse_target
from weft.discovery.watch import Watch

__all__ = ["BoundResolver", "look_further"]

_CALLABLE: Final = frozenset({Health.PASSING, Health.WARNING})


def look_further(
    own: tuple[Endpoint, ...], location: Endpoint | Target | None
) -> tuple[tuple[Endpoint, ...], str]:
    """Return every instance of a registered service, and the target under which there are more.

    Where its registration points to counts while it has no instance of its own that can be called.

    Args:
        own: The instances that are registered themselves.
        location: Where the registration points to.
    """
    if location is None or any(it.health in _CALLABLE for it in own):
        return own, ""
    return ((*own, location), "") if isinstance(location, Endpoint) else (own, str(location))


class BoundResolver:
    """Follows a service on to where its registration points, such as ``consul://orders``.

    Args:
        resolver: Where services are registered; its snapshots say where they are bound to.
        follow: Makes the watch of the target that a service is bound to.
        clock: For pauses.
    """

    def __init__(
        self, resolver: Resolver, follow: Callable[[Target], Watch], *, clock: Clock | None = None
    ) -> None:
        self._resolver = resolver
        self._follow = follow
        self._clock = clock or SystemClock()

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield the service's own instances; those that it is bound to as well, while none can be called."""
        changed = asyncio.Event()
        own = Watch(self._resolver, service, clock=self._clock)
        own.subscribe(lambda _: changed.set())
        bound = _Bound(self._follow, changed)
        shown: Snapshot | None = None
        try:
            while True:
                await changed.wait()
                changed.clear()
                await bound.turn_to(own.snapshot.bound_to)
                newest = bound.snapshot(own.snapshot)
                if newest.version and (shown is None or not _alike(newest, shown)):
                    version = shown.version + 1 if shown else 1
                    shown = replace(newest, service=service, version=version, bound_to="")
                    yield shown
        finally:
            await bound.turn_to("")
            await own.close()


class _Bound:
    """The watch of the target that a service is bound to at the moment, if it is."""

    def __init__(self, follow: Callable[[Target], Watch], changed: asyncio.Event) -> None:
        self._follow = follow
        self._changed = changed
        self._text = ""
        self._target = Target(name="")
        self._watch: Watch | None = None

    async def turn_to(self, text: str) -> None:
        """Follow another target, or none."""
        if text == self._text:
            return
        self._text = text
        if self._watch is not None:
            await self._watch.close()
            self._watch = None
        if text:
            self._target = parse_target(text)
            self._watch = self._follow(self._target)
            self._watch.subscribe(lambda _: self._changed.set())

    def snapshot(self, own: Snapshot) -> Snapshot:
        """Return the service's own list, and that of the target behind it, as far as it fits."""
        if self._watch is None:
            return own
        found = self._watch.snapshot
        versions = VersionRange.parse(self._target.version)
        fitting = tuple(
            it
            for it in found.endpoints
            if set(self._target.tags) <= set(it.tags) and (versions.any or versions.admits(it.version))
        )
        return replace(found, endpoints=own.endpoints + fitting)


def _alike(one: Snapshot, other: Snapshot) -> bool:
    return (one.endpoints, one.problem) == (other.endpoints, other.problem)
