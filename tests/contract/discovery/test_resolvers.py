"""What every source of instances promises, each as far as it can be made to show it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from tests.contract.discovery.adapters import ADAPTERS, Promise, Source, address, having
from tests.support.discovery import following
from weft.discovery import Snapshot

over = pytest.mark.parametrize
SOON = 15.0


def numbers(snapshot: Snapshot) -> set[str]:
    return {endpoint.address for endpoint in snapshot.endpoints}


def expected(*instances: int) -> set[str]:
    return {address(number) for number in instances}


async def next_of(stream: AsyncGenerator[Snapshot, None]) -> Snapshot:
    return await asyncio.wait_for(anext(stream), SOON)


async def until(stream: AsyncGenerator[Snapshot, None], condition: Callable[[Snapshot], bool]) -> Snapshot:
    """Read on until a snapshot is as it should be."""
    seen: list[str] = []
    try:
        async with asyncio.timeout(SOON):
            async for snapshot in stream:
                if condition(snapshot):
                    return snapshot
                seen.append(f"{sorted(numbers(snapshot))} {snapshot.problem}")
    except TimeoutError:
        pass
    raise AssertionError(f"it did not come; seen: {seen}")


@over("source", ADAPTERS, indirect=True)
async def test_the_set_is_there_at_once(source: Source) -> None:
    """The first snapshot is complete, and is not stale."""
    await source.set("orders", {1, 2})
    async with following(source.resolver, source.known_as("orders")) as stream:
        snapshot = await next_of(stream)
    assert numbers(snapshot) == expected(1, 2)
    assert not snapshot.stale
    assert snapshot.version
    assert snapshot.callable() == snapshot.endpoints


@over("source", ADAPTERS, indirect=True)
async def test_a_service_that_nobody_registered_has_nobody(source: Source) -> None:
    """Its first snapshot comes at once as well, and is empty."""
    await source.set("orders", {1})
    async with following(source.resolver, source.known_as("nobody")) as stream:
        assert (await next_of(stream)).endpoints == ()


@over("source", having(Promise.CHANGES), indirect=True)
async def test_a_change_arrives(source: Source) -> None:
    """Also that of a service which is registered only after it was asked for."""
    await source.set("stock", {9})
    async with following(source.resolver, source.known_as("orders")) as stream:
        await next_of(stream)
        await source.set("orders", {1})
        await until(stream, lambda it: numbers(it) == expected(1))
        await source.set("orders", {1, 2, 3})
        snapshot = await until(stream, lambda it: numbers(it) == expected(1, 2, 3))
        assert not snapshot.stale or "nobody" in snapshot.problem


@over("source", having(Promise.CHANGES), indirect=True)
async def test_who_was_removed_is_not_in_the_next_snapshot(source: Source) -> None:
    """A source in order is believed at once."""
    await source.set("orders", {1, 2, 3})
    async with following(source.resolver, source.known_as("orders")) as stream:
        await next_of(stream)
        await source.set("orders", {1, 3})
        snapshot = await next_of(stream)
        assert numbers(snapshot) == expected(1, 3)
        assert not snapshot.stale


@over("source", having(Promise.CHANGES, Promise.EMPTIES), indirect=True)
async def test_the_last_instance_leaves(source: Source) -> None:
    """The watch fires with the empty set, which is no failure."""
    await source.set("orders", {1})
    async with following(source.resolver, source.known_as("orders")) as stream:
        await next_of(stream)
        await source.set("orders", ())
        snapshot = await next_of(stream)
        assert (snapshot.endpoints, snapshot.stale) == ((), False)
        await source.set("orders", {2})
        await until(stream, lambda it: numbers(it) == expected(2) and not it.stale)


@over("source", having(Promise.FAILS), indirect=True)
async def test_a_failing_source_keeps_its_list(source: Source) -> None:
    """Stale and with the problem as long as it fails, good again when it works."""
    await source.set("orders", {1, 2})
    async with following(source.resolver, source.known_as("orders")) as stream:
        await next_of(stream)
        await source.fail()
        snapshot = await until(stream, lambda it: it.stale)
        assert numbers(snapshot) == expected(1, 2)
        assert snapshot.problem
        await source.recover()
        snapshot = await until(stream, lambda it: not it.stale)
        assert numbers(snapshot) == expected(1, 2)


@over("source", having(Promise.FAILS), indirect=True)
async def test_a_source_that_fails_at_first(source: Source) -> None:
    """The first snapshot is empty and says why; the list comes when the source works."""
    await source.set("orders", {1})
    await source.fail()
    async with following(source.resolver, source.known_as("orders")) as stream:
        snapshot = await next_of(stream)
        assert snapshot.endpoints == ()
        assert snapshot.problem
        await source.recover()
        await until(stream, lambda it: numbers(it) == expected(1) and not it.stale)


@over("source", having(Promise.RESETS), indirect=True)
async def test_a_source_that_forgot_keeps_its_list(source: Source) -> None:
    """Nobody was removed; who is registered again joins those that are kept."""
    await source.set("orders", {1, 2})
    async with following(source.resolver, source.known_as("orders")) as stream:
        await next_of(stream)
        await source.reset()
        snapshot = await until(stream, lambda it: it.stale)
        assert numbers(snapshot) == expected(1, 2)
        await source.set("orders", {2, 3})
        snapshot = await until(stream, lambda it: numbers(it) == expected(1, 2, 3))
        assert snapshot.stale


@over("source", having(Promise.CHANGES), indirect=True)
async def test_several_watchers_of_several_services(source: Source) -> None:
    """All watchers of a service see its changes; those of others see none of them."""
    await source.set("orders", {1})
    await source.set("stock", {7})
    orders, stock = source.known_as("orders"), source.known_as("stock")
    async with (
        following(source.resolver, orders) as one,
        following(source.resolver, orders) as two,
        following(source.resolver, stock) as three,
    ):
        for stream in (one, two, three):
            await next_of(stream)
        await source.set("orders", {1, 2})
        for stream in (one, two):
            await until(stream, lambda it: numbers(it) == expected(1, 2))
        await source.set("stock", {8})
        while numbers(snapshot := await next_of(three)) != expected(8):
            assert numbers(snapshot) <= expected(7, 8)


@over("waits", [True, False], ids=["in the middle", "at the start"])
@over("source", ADAPTERS, indirect=True)
async def test_a_watcher_that_leaves(source: Source, waits: bool) -> None:  # noqa: FBT001 - a parameter
    """It leaves no task behind; and with the resolver closed, no socket."""
    await source.set("orders", {1})
    sockets, tasks = open_sockets(), len(asyncio.all_tasks())

    async def watch() -> None:
        async with following(source.resolver, source.known_as("orders")) as stream:
            async for _ in stream:
                pass

    watchers = [asyncio.create_task(watch()) for _ in range(3)]
    await asyncio.sleep(0.3 if waits else 0)
    for watcher in watchers:
        watcher.cancel()
    done = await asyncio.gather(*watchers, return_exceptions=True)
    assert [type(it) for it in done] == [asyncio.CancelledError] * 3
    await source.let_go()
    end = time.monotonic() + SOON
    while open_sockets() > sockets or len(asyncio.all_tasks()) > tasks:
        assert time.monotonic() < end, f"{open_sockets() - sockets} sockets, {asyncio.all_tasks()}"
        await asyncio.sleep(0.01)


def open_sockets() -> int:
    """Count the sockets of this process."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except OSError:  # closed meanwhile
            continue
    return found
