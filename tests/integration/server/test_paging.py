"""Every list can be walked by token, by skip, and in any page size; no token fits another list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from tests.support.wire import METHODS, Wire, payload
from tests.support.world import World, definition, populated, registration, serving, step
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as executions
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as registry
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as workflows
from weft.core.errors import Code
from weft.core.payload import JsonObject
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

COUNT = 7
"""How many of each kind there are to list."""


@dataclass(frozen=True)
class Listing:
    """One list: how to ask for it, what its items are, and another filter of it."""

    method: str
    request: Message
    items: str
    key: str
    other: Message

    def __str__(self) -> str:
        return self.method

    def page(self, **values: Any) -> Any:
        request = type(self.request)()
        request.CopyFrom(self.request)
        for name, value in values.items():
            setattr(request, name, value)
        return request

    def keys(self, answer: Any) -> list[Any]:
        return [getattr(item, self.key) for item in getattr(answer, self.items)]


LISTINGS = [
    Listing(
        "ListServices",
        registry.ListServicesRequest(state=registry_pb2.SERVICE_STATE_ACTIVE),
        "services",
        "name",
        registry.ListServicesRequest(),
    ),
    Listing(
        "ListInstances",
        registry.ListInstancesRequest(service="many-0"),
        "instances",
        "id",
        registry.ListInstancesRequest(service="many-1"),
    ),
    Listing(
        "ListWorkflows",
        workflows.ListWorkflowsRequest(state=workflow_pb2.WORKFLOW_STATE_ACTIVE),
        "workflows",
        "name",
        workflows.ListWorkflowsRequest(),
    ),
    Listing(
        "ListWorkflowVersions",
        workflows.ListWorkflowVersionsRequest(workflow="many-0"),
        "workflows",
        "version",
        workflows.ListWorkflowVersionsRequest(workflow="many-1"),
    ),
    Listing(
        "ListExecutions",
        executions.ListExecutionsRequest(workflow="many-0"),
        "executions",
        "id",
        executions.ListExecutionsRequest(
            workflow="many-0", state=execution_pb2.EXECUTION_STATE_COMPLETED
        ),
    ),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with populated() as world:
        await fill(world.wire)
        yield world


async def fill(wire: Wire) -> None:
    """Bring in so many services, instances, workflows, versions and executions."""
    for number in range(COUNT):
        name = f"many-{number}"
        await wire.registry.RegisterService(registration(name, "act"))
        instance = registry_pb2.Instance(id=f"i-{number}", host="127.0.0.1", port=9)
        await wire.registry.RegisterInstance(
            registry.RegisterInstanceRequest(service="many-0", instance=instance)
        )
        await wire.workflows.CreateWorkflow(
            definition(name, step("a", "texts", "count", mapping={"text": str(number)}))
        )
    for number in range(1, COUNT):
        again = workflow_pb2.Workflow(
            id="many-0", steps=[step("a", "texts", "count", mapping={"text": f"again {number}"})]
        )
        await wire.workflows.UpdateWorkflow(workflows.UpdateWorkflowRequest(workflow=again))
    for _ in range(COUNT):
        await wire.executions.ExecuteWorkflow(executions.ExecuteWorkflowRequest(workflow="many-0"))


async def walk(world: World, listing: Listing, size: int) -> list[Any]:
    """Return the keys of all pages, checking that each but the last is full."""
    found: list[Any] = []
    token = ""
    while True:
        answer = await world.wire.call(listing.method, listing.page(page_size=size, page_token=token))
        keys, token = listing.keys(answer), answer.next_page_token
        found += keys
        if not token:
            assert len(keys) <= size
            return found
        assert len(keys) == size


@pytest.mark.parametrize("listing", LISTINGS, ids=str)
async def test_pages_of_any_size_add_up_to_the_whole(world: World, listing: Listing) -> None:
    """In one order, nothing twice, nothing missing; the total is that of the filter on every page."""
    whole = await world.wire.call(listing.method, listing.page(page_size=1_000))
    keys = listing.keys(whole)
    assert (len(keys) >= COUNT, len(set(keys))) == (True, len(keys))
    assert (whole.total_size, whole.next_page_token) == (len(keys), "")
    for size in (1, 2, COUNT, len(keys)):
        assert await walk(world, listing, size) == keys


@pytest.mark.parametrize("listing", LISTINGS, ids=str)
async def test_page_sizes_of_nothing_and_of_too_much(world: World, listing: Listing) -> None:
    """0 means the default, and more than 1,000 is taken as 1,000: neither is an error."""
    whole = await world.wire.call(listing.method, listing.page(page_size=1_000))
    for size in (0, 1_001, 2**31 - 1):
        assert await world.wire.call(listing.method, listing.page(page_size=size)) == whole


@pytest.mark.parametrize("listing", LISTINGS, ids=str)
async def test_items_can_be_skipped(world: World, listing: Listing) -> None:
    """Page-number paging: skip (page - 1) * size; beyond the end there is nothing, and no error."""
    keys = listing.keys(await world.wire.call(listing.method, listing.page(page_size=1_000)))
    answer = await world.wire.call(listing.method, listing.page(skip=3, page_size=2))
    assert (listing.keys(answer), answer.total_size) == (keys[3:5], len(keys))
    following = listing.page(page_token=answer.next_page_token, page_size=2)
    assert listing.keys(await world.wire.call(listing.method, following)) == keys[5:7]
    beyond = await world.wire.call(listing.method, listing.page(skip=2**31 - 1))
    assert (listing.keys(beyond), beyond.next_page_token) == ([], "")


@pytest.mark.parametrize("listing", LISTINGS, ids=str)
async def test_a_token_of_another_filter_is_refused(world: World, listing: Listing) -> None:
    """A token belongs to the list and the filter that it was given out for."""
    first = await world.wire.call(listing.method, listing.page(page_size=1))
    assert first.next_page_token
    listing.other.page_token = first.next_page_token  # type: ignore[attr-defined] # every list has one
    refusal = await world.wire.refusal(listing.method, listing.other)
    assert refusal.kind == (Code.INVALID_ARGUMENT, Reason.VALIDATION_FAILED)
    assert refusal.violations == (("page_token", Rule.PAGE_TOKEN_INVALID),)
    cut = await world.wire.refusal(listing.method, listing.page(page_token=first.next_page_token[:-2]))
    assert cut.violations == (("page_token", Rule.PAGE_TOKEN_INVALID),)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 0, 5_000])
async def test_a_history_is_walked_by_token(world: World, size: int) -> None:
    """Pages of any size add up to events 1, 2, 3, …; a token of another history is refused."""
    numbers: list[int] = []
    request = executions.GetExecutionHistoryRequest(execution_id=world.ended, page_size=size)
    while True:
        answer = await world.wire.executions.GetExecutionHistory(request)
        numbers += [event.number for event in answer.events]
        if not answer.next_page_token:
            break
        assert len(answer.events) == size
        request.page_token = answer.next_page_token
    assert numbers == [1, 2, 3, 4, 5, 6]
    if request.page_token:
        ran = await world.wire.executions.ExecuteWorkflow(
            executions.ExecuteWorkflowRequest(workflow="shouting", input=payload({"text": "a"}))
        )
        request.execution_id = ran.execution.id
        refusal = await world.wire.refusal("GetExecutionHistory", request)
        assert refusal.violations == (("page_token", Rule.PAGE_TOKEN_INVALID),)


async def test_a_page_ends_early_rather_than_be_too_large_to_read() -> None:
    """Services of 2 MB each come on pages of their own: a client takes no more than 4 MiB at once."""
    schema: JsonObject = {"description": "x" * 60_000}
    async with serving() as wire:
        for name in ("bulky-1", "bulky-2", "bulky-3"):
            actions = (f"a{number}" for number in range(33))
            await wire.registry.RegisterService(registration(name, *actions, input_schema=schema))
        names: list[str] = []
        request = registry.ListServicesRequest()
        while True:
            page = await wire.registry.ListServices(request)
            assert page.total_size == 3
            names += [service.name for service in page.services]
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        assert names == ["bulky-1", "bulky-2", "bulky-3"]


async def test_every_list_is_covered() -> None:
    """Each RPC with a page token has a row, save those with a test of their own."""
    paged = {name for name, method in METHODS.items() if "page_token" in method.input_type.fields_by_name}
    assert {listing.method for listing in LISTINGS} | {
        "GetExecutionHistory",
        "ListBatches",
        "ListBatchItems",
        "ListSchedules",
        "ListScheduleRuns",
    } == paged
