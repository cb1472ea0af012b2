"""A caller who leaves in the middle of a write: what is committed is known to the running server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from tests.contract.store.samples import instance
from tests.unit.registry.conftest import TroubledStore
from tests.unit.workflow.builders import NOW, action, service, step
from weft.core.testing import ManualClock
from weft.discovery.model import Health
from weft.server.registry.instance_service import InstanceService
from weft.server.registry.model import ServiceState
from weft.server.registry.service import RegistryService
from weft.server.store.base import Page, StoreState
from weft.server.workflow.model import Definition, Workflow, WorkflowState
from weft.server.workflow.service import WorkflowService


async def leave_in_the_middle(
    store: TroubledStore,
    call: Coroutine[Any, Any, Any],
    meanwhile: Callable[[str], Awaitable[object]] | None = None,
) -> None:
    """Make a call and give it up once its write is queued, read, then let it be committed."""
    async with store.held_up():
        task = asyncio.create_task(call)
        while not store.queued:
            await store.get_service("none")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if meanwhile is not None:
            await meanwhile("s")


@pytest.fixture(autouse=True)
async def registered(services: RegistryService) -> None:
    await services.register(service("s", action("a")), replace_existing=False, key=None)


async def test_a_service_is_what_the_store_says(store: TroubledStore, services: RegistryService) -> None:
    """The state was read before, changed by somebody who left, and is read anew."""
    assert (await services.get("s")).state is ServiceState.ACTIVE
    await leave_in_the_middle(store, services.set_state("s", ServiceState.INACTIVE, "", None), services.find)
    assert (await services.get("s")).state is ServiceState.INACTIVE


async def test_a_service_that_was_removed_is_gone_with_its_instances(
    store: TroubledStore, services: RegistryService, instances: InstanceService
) -> None:
    """Nobody is called there any more."""
    await instances.register("s", instance(""))
    await leave_in_the_middle(store, services.deregister("s", "", None), services.find)
    assert await services.find("s") is None
    assert (await instances.list("", None, Page(size=9))).total == 0
    await services.register(service("t", action("a")), replace_existing=False, key=None)
    await instances.register("t", instance(""))


async def test_an_instance_that_was_stored_is_known(
    store: TroubledStore, services: RegistryService, instances: InstanceService
) -> None:
    """It takes heartbeats."""
    await leave_in_the_middle(store, instances.register("s", instance("", "left")))
    instances.heartbeat("left", "", Health.PASSING, "")


async def test_an_instance_that_was_removed_stays_removed(
    store: TroubledStore, instances: InstanceService
) -> None:
    """Also after a restart."""
    await instances.register("s", instance("", "left"))
    await leave_in_the_middle(store, instances.deregister("left", ""))
    assert await store.all_instances() == ()


async def test_a_workflow_is_what_the_store_says(store: TroubledStore, services: RegistryService) -> None:
    """Its state was read before, changed by somebody who left, and is read anew."""
    workflows = WorkflowService(store, services.find, ManualClock())
    draft = Workflow(
        id="",
        name="s",
        definition=Definition(steps=(step("a"),)),
        create_time=NOW,
        update_time=NOW,
        version_create_time=NOW,
    )
    await workflows.create(draft, None)
    assert (await workflows.get("s")).state is WorkflowState.ACTIVE
    await leave_in_the_middle(
        store, workflows.set_state("s", WorkflowState.INACTIVE, "", None), workflows.find
    )
    assert (await workflows.get("s")).state is WorkflowState.INACTIVE
    await leave_in_the_middle(store, workflows.delete("s", "", None), workflows.find)
    assert await workflows.find("s") is None


async def test_what_was_read_is_read_anew_after_the_store_was_broken(
    store: TroubledStore, services: RegistryService
) -> None:
    """A write to a breaking store may be there or not: memory does not guess."""
    before = await services.get("s")
    await store.delete_service(before, before.revision)
    assert await services.find("s") == before
    services.store_changed(StoreState.HEALTHY)
    assert await services.find("s") is None
