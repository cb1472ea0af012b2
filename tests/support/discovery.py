"""Reading what a resolver says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

from weft.discovery import Endpoint, Resolver, Snapshot


@asynccontextmanager
async def following(resolver: Resolver, service: str) -> AsyncIterator[AsyncGenerator[Snapshot, None]]:
    """Open a resolver's stream, and close it in the end."""
    stream = cast("AsyncGenerator[Snapshot, None]", resolver.watch(service))
    async with aclosing(stream):
        yield stream


async def first(resolver: Resolver, service: str) -> tuple[Endpoint, ...]:
    """Return what a resolver says at once."""
    async with following(resolver, service) as stream:
        return (await anext(stream)).endpoints
