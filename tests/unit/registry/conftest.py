"""The registry over a real store that can be held up and broken."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from weft.core.testing import ManualClock
from weft.server.registry.instance_service import InstanceService
from weft.server.registry.model import Instance
from weft.server.registry.service import RegistryService
from weft.server.store.base import StoreUnavailableError
from weft.server.store.sqlite import SqliteStore


class TroubledStore(SqliteStore):
    """A real store whose writer can be held up, and whose removals of instances can fail."""

    refuses = False
    """Whether no instance can be removed."""
    loses = False
    """Whether an instance is stored, yet whoever stores it is told that it failed."""

    async def delete_instance(self, instance_id: str) -> bool:
        if self.refuses:
            raise StoreUnavailableError("broken")
        return await super().delete_instance(instance_id)

    async def put_instance(self, instance: Instance) -> None:
        await super().put_instance(instance)
        if self.loses:
            raise StoreUnavailableError("broken")

    @asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """Let nothing be committed meanwhile; what is asked for waits in the queue."""
        release, held = threading.Event(), threading.Event()

        def hold(_: object) -> None:
            held.set()
            release.wait(20)

        holding = self._write(hold)
        while not held.is_set():
            await self.get_service("none")  # takes a turn of the loop, and of the readers
        try:
            yield
        finally:
            release.set()
            await holding
            await self._write(lambda _: None)  # whatever was queued is committed and told

    @property
    def queued(self) -> bool:
        """Whether something waits for the writer."""
        return self._writer is not None and not self._writer._queue.empty()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[TroubledStore]:
    made = TroubledStore(tmp_path / "weft.db", clock)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def services(store: TroubledStore, clock: ManualClock) -> RegistryService:
    return RegistryService(store, clock)


@pytest.fixture
def instances(store: TroubledStore, clock: ManualClock, services: RegistryService) -> InstanceService:
    return InstanceService(store, clock, services)
