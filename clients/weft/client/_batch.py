"""Typed calls of the BatchService."""

from __future__ import annotations

from functools import cached_property

from weft.api.execution.v1 import batch_pb2
from weft.api.execution.v1 import batch_service_pb2 as pb
from weft.api.execution.v1 import batch_service_pb2_grpc as pb_grpc
from weft.client._reading.execution import failure
from weft.client._reading.fields import time_of
from weft.client._transport.calls import Caller, new_request_id
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client.records import Batch, BatchItem, Page


class BatchClient:
    """One operation on every execution that a filter selects."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _stub(self) -> pb_grpc.BatchServiceAsyncStub:
        return pb_grpc.BatchServiceStub(self._caller.channel)

    async def start(
        self,
        filter: str,  # noqa: A002 - the contract's name
        operation: str,
        *,
        reason: str = "",
        request_id: str = "",
    ) -> Batch:
        """Fix the items, and begin to work on them.

        Args:
            filter: Which executions; ``id:*`` selects all of them.
            operation: ``CANCEL``, ``RETRY``, ``PAUSE`` or ``RESUME``.
            reason: Why; recorded in the histories.
            request_id: Idempotency key; made when empty.

        Raises:
            ValidationError: The filter has faults, or is empty.
            ResourceNotFoundError: The filter names a workflow that is not there.
            PreconditionError: It selects too many.
        """
        request = pb.StartBatchRequest(
            filter=write.text(filter, "filter"),
            operation=enums.BATCH_OPERATION.number(operation, "operation"),
            reason=reason,
            request_id=request_id or new_request_id(),
        )
        answer = await self._caller.unary(self._stub.StartBatch, request, self._caller.retry.create)
        return _batch(answer.batch)

    async def get(self, batch_id: str) -> Batch:
        """Read a batch and its progress."""
        request = pb.GetBatchRequest(batch_id=batch_id)
        answer = await self._caller.unary(self._stub.GetBatch, request, self._caller.retry.read)
        return _batch(answer.batch)

    async def list(self, *, page_size: int = 0, page_token: str = "", skip: int = 0) -> Page[Batch]:
        """Read one page of batches, newest first."""
        request = pb.ListBatchesRequest(**write.paging(page_size, page_token, skip))
        answer = await self._caller.unary(self._stub.ListBatches, request, self._caller.retry.read)
        return Page(tuple(map(_batch, answer.batches)), answer.next_page_token, answer.total_size)

    async def items(
        self,
        batch_id: str,
        *,
        state: str = "",
        page_size: int = 0,
        page_token: str = "",
        skip: int = 0,
    ) -> Page[BatchItem]:
        """Read one page of the items of a batch, in the order in which they are worked on."""
        request = pb.ListBatchItemsRequest(
            batch_id=batch_id,
            state=enums.BATCH_ITEM_STATE.optional(state, "state"),
            **write.paging(page_size, page_token, skip),
        )
        answer = await self._caller.unary(self._stub.ListBatchItems, request, self._caller.retry.read)
        return Page(tuple(map(_item, answer.items)), answer.next_page_token, answer.total_size)

    async def cancel(self, batch_id: str, *, request_id: str = "") -> Batch:
        """Stop a batch; what was done stays done."""
        request = pb.CancelBatchRequest(batch_id=batch_id, request_id=request_id or new_request_id())
        answer = await self._caller.unary(self._stub.CancelBatch, request, self._caller.retry.update)
        return _batch(answer.batch)


def _batch(message: batch_pb2.Batch) -> Batch:
    return Batch(
        id=message.id,
        operation=enums.BATCH_OPERATION.name(message.operation),
        filter=message.filter,
        reason=message.reason,
        state=enums.BATCH_STATE.name(message.state),
        total=message.total_count,
        succeeded=message.succeeded_count,
        skipped=message.skipped_count,
        failed=message.failed_count,
        create_time=time_of(message, "create_time"),
        end_time=time_of(message, "end_time"),
    )


def _item(message: batch_pb2.BatchItem) -> BatchItem:
    return BatchItem(
        number=message.number,
        execution_id=message.execution_id,
        state=enums.BATCH_ITEM_STATE.name(message.state),
        failure=failure(message.failure) if message.HasField("failure") else None,
        result_execution_id=message.result_execution_id,
    )
