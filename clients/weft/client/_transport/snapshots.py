"""Where a service is, as its target wants it: now, and after every change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import timedelta

from weft.core.version import VersionRange
from weft.discovery.model import Snapshot
from weft.discovery.target import Target
from weft.discovery.watch import Watch
from weft.mesh.route import Route

__all__ = ["first_snapshot", "snapshots"]


async def first_snapshot(route: Route, target: Target, limit: timedelta) -> Snapshot:
    """Return what is known; wait for the first answer of the source, but not longer than the limit."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit.total_seconds()
    route.running += 1  # nobody closes it meanwhile
    try:
        while not route.known and (left := end - loop.time()) > 0:
            await route.moment(left)
    finally:
        route.running -= 1
    return _fitting(route.snapshot, target)


async def snapshots(follow: Callable[[Target], Watch], target: Target) -> AsyncGenerator[Snapshot, None]:
    """Yield what fits a target, now and after every change; of several changes at once the last."""
    watch = follow(target)
    changed = asyncio.Event()
    watch.subscribe(lambda _: changed.set())
    shown: Snapshot | None = None
    try:
        while True:
            await changed.wait()
            changed.clear()
            found = _fitting(watch.snapshot, target)
            if found.version and (shown is None or _alike(found) != _alike(shown)):
                shown = found
                yield found
    finally:
        await watch.close()


def _fitting(snapshot: Snapshot, target: Target) -> Snapshot:
    versions = VersionRange.parse(target.version)
    fitting = tuple(
        it
        for it in snapshot.endpoints
        if set(target.tags) <= set(it.tags) and (versions.any or versions.admits(it.version))
    )
    return replace(snapshot, endpoints=fitting)


def _alike(snapshot: Snapshot) -> object:
    return snapshot.endpoints, snapshot.problem
