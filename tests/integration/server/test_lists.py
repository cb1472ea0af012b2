"""Many executions over the wire: found by attributes, counted, worked on in batches, taken elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf import struct_pb2

from tests.support.refusals import Case, check, faulty, missing
from tests.support.wire import Wire, payload, refusal_of
from tests.support.world import World, definition, hosted, serving, step
from weft.api.execution.v1 import archive_service_pb2, batch_pb2, execution_pb2
from weft.api.execution.v1 import batch_service_pb2 as batch
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.errors import Code
from weft.core.payload import from_payload
from weft.core.reasons import Reason, Rule
from weft.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GHOST = "bat_" + "0" * 26
COMPLETED = execution_pb2.EXECUTION_STATE_COMPLETED
CANCEL = batch_pb2.BATCH_OPERATION_CANCEL


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)
    return made


async def execute(wire: Wire, attributes: dict[str, Any], request_id: str = "") -> execution_pb2.Execution:
    request = pb.ExecuteWorkflowRequest(
        workflow="shouting",
        input=payload({"text": "hey"}),
        search_attributes=struct(attributes),
        request_id=request_id,
    )
    response = await wire.executions.ExecuteWorkflow(request, timeout=20)
    return response.execution


async def listed(wire: Wire, text: str, **more: Any) -> pb.ListExecutionsResponse:
    return await wire.executions.ListExecutions(pb.ListExecutionsRequest(filter=text, **more), timeout=20)


async def test_an_execution_is_found_by_its_attributes(world: World) -> None:
    """They are given at the start, shown, and searched for together with everything else."""
    tag = uuid4().hex
    made = [await execute(world.wire, {"tag": tag, "amount": n, "vip": n == 2}) for n in range(3)]
    assert dict(made[2].search_attributes) == {"tag": tag, "amount": 2.0, "vip": True}
    found = await listed(
        world.wire, f"attributes.tag = {tag} AND attributes.amount > 0 AND workflow = shouting"
    )
    assert [each.id for each in found.executions] == [made[2].id, made[1].id]
    assert dict(found.executions[0].search_attributes) == {"tag": tag, "amount": 2.0, "vip": True}
    assert (found.total_size, found.total_size_is_minimum) == (2, False)
    both = await listed(world.wire, f'attributes.tag = "{tag}"', state=COMPLETED, workflow="shouting")
    assert both.total_size == 3
    nobody = await listed(world.wire, f"attributes.tag = {tag} AND state = FAILED")
    assert (list(nobody.executions), nobody.next_page_token) == ([], "")
    vip = await listed(
        world.wire, f"attributes.tag = {tag} AND create_time > now-1h AND attributes.vip = true"
    )
    assert [each.id for each in vip.executions] == [made[2].id]


async def test_attributes_belong_to_the_request(world: World) -> None:
    """The same request id with other attributes is another request."""
    request_id = uuid4().hex
    made = await execute(world.wire, {"a": 1}, request_id)
    assert (await execute(world.wire, {"a": 1}, request_id)).id == made.id
    refusal = await refusal_of(execute(world.wire, {"a": 2}, request_id))
    assert refusal.kind == (Code.ALREADY_EXISTS, Reason.REQUEST_ID_REUSED)


async def test_a_token_belongs_to_its_filter(world: World) -> None:
    """With another one it is refused."""
    tag = uuid4().hex
    made = [await execute(world.wire, {"tag": tag}) for _ in range(3)]
    text = f"attributes.tag = {tag}"
    first = await listed(world.wire, text, page_size=2)
    rest = await listed(world.wire, text, page_size=2, page_token=first.next_page_token)
    assert [each.id for each in (*first.executions, *rest.executions)] == [each.id for each in made[::-1]]
    assert rest.next_page_token == ""
    request = pb.ListExecutionsRequest(filter="id:*", page_token=first.next_page_token)
    refusal = await world.wire.refusal("ListExecutions", request)
    assert refusal.violations == (("page_token", Rule.PAGE_TOKEN_INVALID),)


async def test_executions_are_counted_by_group(world: World) -> None:
    """By state, workflow or attribute, with the type of the value, and the name of a workflow."""
    tag = uuid4().hex
    for amount in (1, 1, 2):
        await execute(world.wire, {"tag": tag, "amount": amount})

    async def count(group_by: str) -> pb.CountExecutionsResponse:
        request = pb.CountExecutionsRequest(filter=f"attributes.tag = {tag}", group_by=group_by)
        return await world.wire.executions.CountExecutions(request, timeout=20)

    alone = await count("")
    assert (alone.total_count, len(alone.groups)) == (3, 0)
    by_amount = (await count("attributes.amount")).groups
    assert [(group.value.number_value, group.count) for group in by_amount] == [(1.0, 2), (2.0, 1)]
    (by_state,) = (await count("state")).groups
    assert (by_state.value.string_value, by_state.count) == ("COMPLETED", 3)
    (by_workflow,) = (await count("workflow")).groups
    assert (by_workflow.workflow_name, by_workflow.count) == ("shouting", 3)
    assert by_workflow.value.string_value.startswith("wf_")


async def ended(wire: Wire, started: batch_pb2.Batch) -> batch_pb2.Batch:
    async with asyncio.timeout(20):
        while True:
            request = batch.GetBatchRequest(batch_id=started.id)
            found = (await wire.batches.GetBatch(request, timeout=20)).batch
            if found.state != batch_pb2.BATCH_STATE_RUNNING:
                return found
            await asyncio.sleep(0.05)


@asynccontextmanager
async def hanging(wire: Wire, name: str) -> AsyncIterator[None]:
    """Run a workflow's only step without an end."""
    service = Service(name, version="1.0.0")

    @service.action
    async def hang() -> dict[str, int]:
        await asyncio.Event().wait()
        return {}

    async with hosted(wire, service):
        await wire.workflows.CreateWorkflow(definition(name, step("hang", name, "hang")))
        yield


async def test_a_batch_cancels_what_a_filter_selects(world: World) -> None:
    """What is open is cancelled, what has ended is skipped; a repeat starts no second batch."""
    wire, tag = world.wire, f"t{uuid4().hex}"
    done = await execute(wire, {"tag": tag})
    async with hanging(wire, tag):
        start = pb.StartExecutionRequest(workflow=tag, search_attributes=struct({"tag": tag}))
        open_ones = [(await wire.executions.StartExecution(start, timeout=20)).execution.id for _ in range(2)]
        request = batch.StartBatchRequest(
            filter=f"attributes.tag = {tag}", operation=CANCEL, reason="wrong", request_id=tag
        )
        started = (await wire.batches.StartBatch(request, timeout=20)).batch
        assert (started.total_count, started.filter, started.reason) == (3, request.filter, "wrong")
        assert (await wire.batches.StartBatch(request, timeout=20)).batch.id == started.id
        found = await ended(wire, started)
    assert found.state == batch_pb2.BATCH_STATE_COMPLETED
    assert (found.succeeded_count, found.skipped_count, found.failed_count) == (2, 1, 0)
    of_batch = batch.ListBatchItemsRequest(batch_id=started.id)
    items = (await wire.batches.ListBatchItems(of_batch, timeout=20)).items
    outcomes = {item.execution_id: (item.state, item.failure.reason) for item in items}
    assert outcomes == {
        done.id: (batch_pb2.BATCH_ITEM_STATE_SKIPPED, Reason.EXECUTION_ENDED),
        **dict.fromkeys(open_ones, (batch_pb2.BATCH_ITEM_STATE_SUCCEEDED, "")),
    }
    for execution_id in open_ones:
        get = pb.GetExecutionRequest(execution_id=execution_id)
        shown = (await wire.executions.GetExecution(get, timeout=20)).execution
        assert shown.state == execution_pb2.EXECUTION_STATE_CANCELLED
    listing = await wire.batches.ListBatches(batch.ListBatchesRequest(page_size=1), timeout=20)
    assert [each.id for each in listing.batches] == [started.id]
    await check_item_pages(wire, started.id, list(outcomes))


async def check_item_pages(wire: Wire, batch_id: str, expected: list[str]) -> None:
    """Walk through the items of a batch; a token belongs to its batch and state."""
    found: list[str] = []
    token = ""
    while True:
        request = batch.ListBatchItemsRequest(batch_id=batch_id, page_size=2, page_token=token)
        page = await wire.batches.ListBatchItems(request, timeout=20)
        assert page.total_size == len(expected)
        found += [item.execution_id for item in page.items]
        if not page.next_page_token:
            break
        token = page.next_page_token
    assert found == expected
    succeeded = batch_pb2.BATCH_ITEM_STATE_SUCCEEDED
    other = batch.ListBatchItemsRequest(batch_id=batch_id, state=succeeded, page_token=token)
    refusal = await wire.refusal("ListBatchItems", other)
    assert refusal.violations == (("page_token", Rule.PAGE_TOKEN_INVALID),)


async def test_a_batch_runs_anew_what_failed(world: World) -> None:
    """Each as another execution, linked to the old one, that is found by the same attributes."""
    wire, tag = world.wire, f"t{uuid4().hex}"
    async with hanging(wire, tag):
        start = pb.StartExecutionRequest(workflow=tag, search_attributes=struct({"tag": tag}))
        old = (await wire.executions.StartExecution(start, timeout=20)).execution
        await wire.executions.CancelExecution(pb.CancelExecutionRequest(execution_id=old.id), timeout=20)
        retry = batch_pb2.BATCH_OPERATION_RETRY
        request = batch.StartBatchRequest(filter=f"attributes.tag = {tag}", operation=retry)
        started = (await wire.batches.StartBatch(request, timeout=20)).batch
        assert (await ended(wire, started)).succeeded_count == 1
        of_batch = batch.ListBatchItemsRequest(batch_id=started.id)
        (item,) = (await wire.batches.ListBatchItems(of_batch, timeout=20)).items
        found = await listed(wire, f"origin = {old.id} AND attributes.tag = {tag}")
        assert [each.id for each in found.executions] == [item.result_execution_id]
        again = pb.CancelExecutionRequest(execution_id=item.result_execution_id)
        await wire.executions.CancelExecution(again, timeout=20)


async def export(wire: Wire, execution_id: str) -> bytes:
    request = archive_service_pb2.ExportExecutionRequest(execution_id=execution_id)
    return b"".join([piece.data async for piece in wire.archives.ExportExecution(request, timeout=20)])


async def take(wire: Wire, data: bytes, size: int = 64) -> archive_service_pb2.ImportExecutionResponse:
    async def pieces() -> AsyncIterator[archive_service_pb2.ImportExecutionRequest]:
        for at in range(0, len(data), size):
            yield archive_service_pb2.ImportExecutionRequest(data=data[at : at + size])

    response: archive_service_pb2.ImportExecutionResponse = await wire.archives.ImportExecution(
        pieces(), timeout=20
    )
    return response


async def test_an_execution_is_taken_to_another_server(world: World) -> None:
    """It is found, shown and exported there as it was here, though its workflow is not there."""
    made = await execute(world.wire, {"customer": "Zoë"})
    data = await export(world.wire, made.id)
    assert data == await export(world.wire, made.id)
    async with serving() as other:
        assert (await take(other, data)).created
        again = await take(other, data)
        assert (again.created, again.execution.id) == (False, made.id)
        assert await export(other, made.id) == data
        found = await listed(other, 'attributes.customer = "Zoë"')
        assert [each.id for each in found.executions] == [made.id]
        get = pb.GetExecutionRequest(execution_id=made.id)
        shown = (await other.executions.GetExecution(get, timeout=20)).execution
        assert from_payload(shown.result) == from_payload(made.result) == {"characters": 3}
        refusal = await refusal_of(take(other, data.replace(b"HEY", b"HO!")))
        assert refusal.kind == (Code.INVALID_ARGUMENT, Reason.VALIDATION_FAILED)
        assert {rule for _, rule in refusal.violations} == {Rule.ARCHIVE_INVALID}


async def test_what_is_not_there_is_not_exported(world: World) -> None:
    """Neither an unknown execution nor one without an id."""
    unknown = await refusal_of(export(world.wire, "exe_" + "0" * 26))
    assert unknown.kind == (Code.NOT_FOUND, Reason.EXECUTION_NOT_FOUND)
    nothing = await refusal_of(export(world.wire, ""))
    assert nothing.violations == (("execution_id", Rule.REQUIRED),)


CASES = [
    faulty(
        "everything wrong at once",
        "StartBatch",
        batch.StartBatchRequest(filter=" ", reason="r" * 1_025, request_id="r" * 129),
        ("filter", Rule.REQUIRED),
        ("operation", Rule.REQUIRED),
        ("reason", Rule.TOO_LONG),
        ("request_id", Rule.TOO_LONG),
    ),
    faulty(
        "a filter that is none",
        "StartBatch",
        batch.StartBatchRequest(filter="state = DONE", operation=CANCEL),
        ("filter", Rule.FILTER_VALUE_INVALID),
    ),
    missing(
        "unknown workflow",
        "StartBatch",
        batch.StartBatchRequest(filter="workflow = ghost", operation=CANCEL),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    faulty("without an id", "GetBatch", batch.GetBatchRequest(), ("batch_id", Rule.REQUIRED)),
    faulty(
        "all of its paging wrong",
        "ListBatches",
        batch.ListBatchesRequest(page_size=-1, page_token="x", skip=-1),
        ("page_size", Rule.OUT_OF_RANGE),
        ("page_token", Rule.PAGE_TOKEN_INVALID),
        ("skip", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "without an id, an unknown state",
        "ListBatchItems",
        batch.ListBatchItemsRequest(state=99),  # type: ignore[arg-type]
        ("batch_id", Rule.REQUIRED),
        ("state", Rule.INVALID),
    ),
    faulty("without an id", "CancelBatch", batch.CancelBatchRequest(), ("batch_id", Rule.REQUIRED)),
    *(
        missing("unknown batch", method, request, Reason.BATCH_NOT_FOUND)
        for method, request in {
            "GetBatch": batch.GetBatchRequest(batch_id=GHOST),
            "ListBatchItems": batch.ListBatchItemsRequest(batch_id=GHOST),
            "CancelBatch": batch.CancelBatchRequest(batch_id="nonsense"),
        }.items()
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_batch_is_refused(world: World, case: Case) -> None:
    """At once, with everything that is wrong."""
    await check(world, case)
