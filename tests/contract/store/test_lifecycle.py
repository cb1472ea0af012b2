"""What every store promises of its life."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.contract.store.adapters import ADAPTERS, Place
from tests.contract.store.samples import execution, first_events, key, service, workflow
from weft.core.testing import ManualClock
from weft.server.store.base import Page, Store, StoreState, StoreUnavailableError


async def test_an_open_store_is_healthy(store: Store) -> None:
    """It says what it is, and its check passes, once and many at a time."""
    assert store.name
    assert store.state is StoreState.HEALTHY
    await store.check()
    await asyncio.gather(*(store.check() for _ in range(10)))


async def test_close_finishes_what_waits(store: Store) -> None:
    """Writes that were asked for before are answered, not dropped."""
    made = [execution() for _ in range(100)]
    waiting = [asyncio.create_task(store.insert_execution(each, first_events(each))) for each in made]
    await asyncio.sleep(0)
    await store.close()
    assert [done.id for done in await asyncio.gather(*waiting)] == [each.id for each in made]


async def test_a_closed_store_refuses(store: Store) -> None:
    """Reads, writes and checks are unavailable; a second close does nothing."""
    await asyncio.gather(store.close(), store.close())
    await store.close()
    for attempt in (
        store.insert_service(service()),
        store.get_service("a"),
        store.list_services(None, Page(size=1)),
        store.check(),
    ):
        with pytest.raises(StoreUnavailableError, match="closed"):
            await attempt


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
async def test_a_store_that_was_not_opened_refuses(adapter: str, tmp_path: Path, place: Place) -> None:
    """And it can be closed all the same."""
    store = await ADAPTERS[adapter](tmp_path, place, ManualClock())
    with pytest.raises(StoreUnavailableError, match="not open"):
        await store.get_service("a")
    await store.close()


async def test_a_cancelled_caller_harms_nobody(store: Store) -> None:
    """Whether its write took effect is open; those beside it and after it work."""
    cancelled = asyncio.create_task(store.insert_service(service("a")))
    beside = asyncio.create_task(store.insert_service(service("b")))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await beside
    await store.insert_service(service("c"))
    assert store.state is StoreState.HEALTHY


async def test_request_keys_are_forgotten(store: Store, clock: ManualClock) -> None:
    """Those older than a time, of services and of workflows; what they made stays."""
    first = await store.insert_service(service("a"), key("old"))
    await store.insert_workflow(workflow("a"), key("old", method="other"))
    await clock.advance(3600)
    await store.insert_service(service("b"), key("new"))
    assert await store.forget_requests(clock.now() - timedelta(minutes=1)) == 2
    assert await store.recall_service(key("old")) is None
    assert await store.recall_workflow(key("old", method="other")) is None
    assert await store.recall_service(key("new")) is not None
    assert await store.get_service("a") == first
    assert await store.forget_requests(clock.now() - timedelta(minutes=1)) == 0
