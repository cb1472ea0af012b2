"""Instances while the store fails, and instances that were replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.contract.store.samples import instance
from tests.unit.registry.conftest import TroubledStore
from tests.unit.workflow.builders import action, service
from weft.core.errors import PreconditionError, ResourceNotFoundError
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.discovery.model import Health
from weft.server.registry.instance_service import InstanceService
from weft.server.registry.service import RegistryService
from weft.server.store.base import Page, StoreState, StoreUnavailableError


@pytest.fixture(autouse=True)
async def registered(services: RegistryService) -> None:
    await services.register(service("s", action("a")), replace_existing=False, key=None)


@pytest.fixture
async def watch(instances: InstanceService) -> AsyncIterator[asyncio.Task[None]]:
    watching = asyncio.create_task(instances.run())
    yield watching
    watching.cancel()


async def rows(store: TroubledStore, clock: ManualClock, *, until: int) -> int:
    """Let rounds of the watch pass until so many instances are stored; return how many are."""
    for _ in range(200):
        count = len(await store.all_instances())
        if count == until:
            return count
        await clock.advance(0.5)
        await asyncio.sleep(0.005)
    return len(await store.all_instances())


async def known(instances: InstanceService) -> list[str]:
    return [found.id for _, found in (await instances.list("s", None, Page(size=9))).items]


@pytest.mark.usefixtures("watch")
async def test_what_could_not_be_removed_is_removed_when_the_store_works_again(
    store: TroubledStore, instances: InstanceService, clock: ManualClock
) -> None:
    """The caller is told; no call starts there meanwhile; the row does not come back at a restart."""
    await instances.register("s", instance("", "i"))
    store.refuses = True
    for _ in range(2):  # also a repeat is told that it is not done yet
        with pytest.raises(StoreUnavailableError):
            await instances.deregister("i", "")
        assert await known(instances) == []
    await clock.advance(1)
    assert len(await store.all_instances()) == 1
    store.refuses = False
    assert await rows(store, clock, until=0) == 0
    with pytest.raises(ResourceNotFoundError):
        await instances.deregister("i", "")


@pytest.mark.usefixtures("watch")
async def test_what_is_registered_again_is_not_removed_later(
    store: TroubledStore, instances: InstanceService, clock: ManualClock
) -> None:
    """The removal that failed was of the registration before."""
    await instances.register("s", instance("", "i"))
    store.refuses = True
    with pytest.raises(StoreUnavailableError):
        await instances.deregister("i", "")
    await instances.register("s", instance("", "i"))
    store.refuses = False
    await clock.advance(2)
    assert await known(instances) == ["i"]
    assert len(await store.all_instances()) == 1


async def test_a_store_that_refuses_does_not_end_the_watch_over_heartbeats(
    store: TroubledStore, instances: InstanceService, clock: ManualClock, watch: asyncio.Task[None]
) -> None:
    """Silent instances go, and their rows as soon as they can."""
    await instances.register("s", instance("", "i"))
    await instances.register("s", instance("", "j"))
    store.refuses = True
    await clock.advance(400)
    assert await known(instances) == []
    assert not watch.done()
    assert len(await store.all_instances()) == 2
    store.refuses = False
    assert await rows(store, clock, until=0) == 0


@pytest.mark.usefixtures("watch")
async def test_memory_follows_the_store_after_it_was_broken(
    store: TroubledStore, instances: InstanceService, clock: ManualClock
) -> None:
    """What was stored, though its caller was told that it failed, is taken over; what was lost goes."""
    await instances.register("s", instance("", "gone"))
    await store.delete_instance("gone")
    store.loses = True
    with pytest.raises(StoreUnavailableError):
        await instances.register("s", instance("", "kept"))
    assert await known(instances) == ["gone"]
    instances.store_changed(StoreState.BROKEN)
    await clock.advance(1)
    assert await known(instances) == ["gone"]
    instances.store_changed(StoreState.HEALTHY)
    for _ in range(200):
        await clock.advance(0.5)
        await asyncio.sleep(0.005)
        if await known(instances) == ["kept"]:
            break
    assert await known(instances) == ["kept"]


async def test_a_predecessor_cannot_end_its_successor(instances: InstanceService) -> None:
    """With the token of an earlier registration neither heartbeat nor deregistration is taken."""
    _, old = await instances.register("s", instance("", "roll-0"))
    _, new = await instances.register("s", instance("", "roll-0"))
    assert "" != old.token != new.token
    with pytest.raises(PreconditionError) as beat:
        instances.heartbeat("roll-0", old.token, Health.CRITICAL, "stopping")
    assert beat.value.reason == Reason.INSTANCE_REPLACED
    with pytest.raises(PreconditionError) as left:
        await instances.deregister("roll-0", old.token)
    assert left.value.reason == Reason.INSTANCE_REPLACED
    assert await known(instances) == ["roll-0"]
    instances.heartbeat("roll-0", new.token, Health.PASSING, "")
    instances.heartbeat("roll-0", "", Health.PASSING, "")  # who shows none speaks for whoever is there
    await instances.deregister("roll-0", new.token)
    with pytest.raises(ResourceNotFoundError):
        instances.heartbeat("roll-0", old.token, Health.PASSING, "")


async def test_a_predecessor_cannot_end_a_successor_that_is_just_arriving(
    store: TroubledStore, instances: InstanceService
) -> None:
    """Not while the new registration is on its way to the disk either."""
    _, old = await instances.register("s", instance("", "roll-0"))
    async with store.held_up():
        arriving = asyncio.create_task(instances.register("s", instance("", "roll-0")))
        while not store.queued:
            await store.get_service("none")
        with pytest.raises(PreconditionError):
            await instances.deregister("roll-0", old.token)
    await arriving
    assert await known(instances) == ["roll-0"]
    assert len(await store.all_instances()) == 1


async def test_a_token_outlives_the_server(
    store: TroubledStore, services: RegistryService, clock: ManualClock, instances: InstanceService
) -> None:
    """After a restart the registrations are told apart as before."""
    _, old = await instances.register("s", instance("", "i"))
    _, new = await instances.register("s", instance("", "i"))
    restarted = InstanceService(store, clock, services)
    await restarted.load()
    with pytest.raises(PreconditionError):
        restarted.heartbeat("i", old.token, Health.PASSING, "")
    restarted.heartbeat("i", new.token, Health.PASSING, "")


async def test_a_plain_endpoint_is_not_checked(services: RegistryService, instances: InstanceService) -> None:
    """It counts as healthy, and the note says what that is worth."""
    await services.update("s", "", lambda current: replace(current, endpoint="grpc://there:1"), None)
    report = await instances.health("s")
    assert (report.healthy, report.note) == (True, "not checked: a plain endpoint")


@pytest.mark.parametrize("endpoint", ["consul://there?tag=v1", "dns:///there:1"])
async def test_a_service_that_lives_elsewhere_says_where(
    services: RegistryService, instances: InstanceService, endpoint: str
) -> None:
    """Its instances are not the registry's to check; who wants to see them is told where they are."""
    await services.update("s", "", lambda current: replace(current, endpoint=endpoint), None)
    report = await instances.health("s")
    assert (report.healthy, report.note) == (True, f"not checked: its instances are those of {endpoint}")
