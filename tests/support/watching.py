"""Follows a resolver, and waits for what it should say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from weft.discovery.base import Resolver
from weft.discovery.model import Endpoint, Snapshot

__all__ = ["Follower", "eventually", "following"]


class Follower:
    """Everything that a resolver said of a service."""

    def __init__(self) -> None:
        self.seen: list[Snapshot] = []
        self._changed = asyncio.Event()

    @property
    def newest(self) -> Snapshot:
        return self.seen[-1]

    def endpoint(self, key: str) -> Endpoint:
        return next(endpoint for endpoint in self.newest.endpoints if endpoint.key == key)

    async def until(self, holds: Callable[[Snapshot], bool], within: float = 8.0) -> Snapshot:
        """Wait until the newest snapshot is as wanted."""
        try:
            async with asyncio.timeout(within):
                while not self.seen or not holds(self.newest):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {within} s; last seen: {self.seen[-3:]}") from None
        return self.newest

    async def keys(self, *keys: str, within: float = 8.0) -> Snapshot:
        """Wait until exactly these instances are known."""
        return await self.until(lambda s: {e.key for e in s.endpoints} == set(keys), within)

    async def follow(self, resolver: Resolver, service: str) -> None:
        async for snapshot in resolver.watch(service):
            self.seen.append(snapshot)
            self._changed.set()


@asynccontextmanager
async def following(resolver: Resolver, service: str) -> AsyncIterator[Follower]:
    """Follow a service for as long as the block runs."""
    follower = Follower()
    task = asyncio.create_task(follower.follow(resolver, service))
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(holds: Callable[[], bool], within: float = 5.0) -> None:
    """Wait for what sends no event."""
    ends = asyncio.get_running_loop().time() + within
    while not holds():
        assert asyncio.get_running_loop().time() < ends, f"not within {within} s"
        await asyncio.sleep(0.02)
