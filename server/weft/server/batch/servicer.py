"""BatchService on the wire: messages to use cases and back, nothing else."""

from __future__ import annotations

from typing import Final

from weft.api.execution.v1 import batch_pb2, batch_service_pb2_grpc
from weft.api.execution.v1 import batch_service_pb2 as pb
from weft.core.reasons import Rule
from weft.server.batch.model import Batch, BatchItem, BatchItemState, BatchOperation
from weft.server.batch.service import BatchService
from weft.server.execution.filters import read_where
from weft.server.execution.lists import ExecutionLists
from weft.server.execution.wire.event_convert import failure_to_proto
from weft.server.protos import enum_from_proto, enum_to_proto, timestamp
from weft.server.requests import Faults, close_page, read_page, request_key, require_ref

__all__ = ["BatchServicer"]

_METHOD: Final = "weft.api.execution.v1.BatchService/"
_MAX_REASON: Final = 1_024


class BatchServicer(batch_service_pb2_grpc.BatchServiceServicer):
    """Serves batches.

    Args:
        batches: Their use cases.
        lists: Says what ``now`` is in a filter.
    """

    def __init__(self, batches: BatchService, lists: ExecutionLists) -> None:
        self._batches = batches
        self._lists = lists

    async def StartBatch(self, request: pb.StartBatchRequest, context: object) -> pb.StartBatchResponse:
        """Start a batch."""
        faults = Faults(request)
        key = request_key(_METHOD + "StartBatch", request, faults)
        faults.text("reason", request.reason, _MAX_REASON)
        faults.required("operation", request.operation)
        where = faults.attempt(lambda: read_where(request.filter, self._lists.now()), None)
        if not request.filter.strip():
            faults.add("filter", "is required; to select everything, say id:*", Rule.REQUIRED)
        faults.raise_any()
        operation = enum_from_proto(
            batch_pb2.BatchOperation, "BATCH_OPERATION", BatchOperation, request.operation
        )
        assert where is not None
        assert operation is not None
        batch = await self._batches.start(where, request.filter, operation, request.reason, key)
        return pb.StartBatchResponse(batch=_batch(batch))

    async def GetBatch(self, request: pb.GetBatchRequest, context: object) -> pb.GetBatchResponse:
        """Read a batch."""
        require_ref(request, "batch_id")
        return pb.GetBatchResponse(batch=_batch(await self._batches.get(request.batch_id)))

    async def ListBatches(self, request: pb.ListBatchesRequest, context: object) -> pb.ListBatchesResponse:
        """List batches, newest first."""
        faults = Faults(request)
        scope = ("batches",)
        page = read_page(request, scope, faults)
        faults.raise_any()
        found = await self._batches.list(page)
        messages = [_batch(batch) for batch in found.items]
        shown, token = close_page(found, messages, lambda batch: batch.id, scope)
        return pb.ListBatchesResponse(batches=shown, next_page_token=token, total_size=found.total)

    async def ListBatchItems(
        self, request: pb.ListBatchItemsRequest, context: object
    ) -> pb.ListBatchItemsResponse:
        """List the items of a batch."""
        faults = Faults(request)
        faults.ref("batch_id", request.batch_id)
        state = enum_from_proto(batch_pb2.BatchItemState, "BATCH_ITEM_STATE", BatchItemState, request.state)
        scope = ("batch items", request.batch_id, str(state))
        page = read_page(request, scope, faults, numeric=True)
        faults.raise_any()
        found = await self._batches.items(request.batch_id, state, page)
        messages = [_item(item) for item in found.items]
        shown, token = close_page(found, messages, lambda item: str(item.number), scope)
        return pb.ListBatchItemsResponse(items=shown, next_page_token=token, total_size=found.total)

    async def CancelBatch(self, request: pb.CancelBatchRequest, context: object) -> pb.CancelBatchResponse:
        """Stop a batch."""
        faults = Faults(request)
        faults.ref("batch_id", request.batch_id)
        faults.key("request_id", request.request_id)
        faults.raise_any()
        return pb.CancelBatchResponse(batch=_batch(await self._batches.cancel(request.batch_id)))


def _batch(batch: Batch) -> batch_pb2.Batch:
    return batch_pb2.Batch(
        id=batch.id,
        operation=enum_to_proto(batch_pb2.BatchOperation, "BATCH_OPERATION", batch.operation),
        filter=batch.filter,
        reason=batch.reason,
        state=enum_to_proto(batch_pb2.BatchState, "BATCH_STATE", batch.state),
        total_count=batch.total,
        succeeded_count=batch.progress.succeeded,
        skipped_count=batch.progress.skipped,
        failed_count=batch.progress.failed,
        create_time=timestamp(batch.create_time),
        end_time=timestamp(batch.end_time),
    )


def _item(item: BatchItem) -> batch_pb2.BatchItem:
    return batch_pb2.BatchItem(
        number=item.number,
        execution_id=item.execution_id,
        state=enum_to_proto(batch_pb2.BatchItemState, "BATCH_ITEM_STATE", item.state),
        failure=failure_to_proto(item.failure),
        result_execution_id=item.result_id,
    )
