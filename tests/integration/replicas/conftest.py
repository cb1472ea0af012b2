"""Several servers on one database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres import PostgresStore

OpenStore = Callable[..., Awaitable[PostgresStore]]


@pytest.fixture
async def url(place: Callable[[], Awaitable[str]]) -> str:
    """A database of its own."""
    return await place()


@pytest.fixture
async def open_store(url: str) -> AsyncIterator[OpenStore]:
    """Opens stores on one database, as servers do."""
    opened: list[PostgresStore] = []

    async def make(*, lease: float = 30, where: str = url) -> PostgresStore:
        store = PostgresStore(DatabaseConfig(url=where, lease=timedelta(seconds=lease)))
        await store.open()
        opened.append(store)
        return store

    yield make
    for store in opened:
        await store.close()
