"""What batches look like at rest."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from weft.server.batch.model import Batch, BatchItem, BatchItemState, BatchOperation, BatchState, Progress
from weft.server.forms import member_of
from weft.server.store.codec import from_micros, to_micros
from weft.server.store.execution_codec import decode_failure, encode_failure

__all__ = [
    "BatchItemRow",
    "BatchRow",
    "decode_batch",
    "decode_batch_item",
    "encode_batch",
    "encode_batch_item",
]


class BatchRow(NamedTuple):
    """A batch at rest."""

    document: str
    """JSON text of what never changes."""
    state: str
    """Where it stands."""
    total: int
    """How many items it has."""
    succeeded: int
    """How many were done."""
    skipped: int
    """How many had nothing to do."""
    failed: int
    """How many were not done."""
    end_time: int | None
    """When it ended, in microseconds."""


class BatchItemRow(NamedTuple):
    """An item at rest."""

    number: int
    """Its place."""
    execution_id: str
    """Which execution."""
    state: str
    """What came of it."""
    failure: str | None
    """JSON text of why not."""
    result_id: str
    """What was made of it."""


def encode_batch(batch: Batch) -> BatchRow:
    """Write a batch."""
    head = {
        "id": batch.id,
        "operation": batch.operation,
        "filter": batch.filter,
        "reason": batch.reason,
        "create_time": to_micros(batch.create_time),
    }
    progress = batch.progress
    return BatchRow(
        orjson.dumps(head).decode(),
        batch.state.value,
        batch.total,
        progress.succeeded,
        progress.skipped,
        progress.failed,
        to_micros(batch.end_time) if batch.end_time else None,
    )


def decode_batch(row: BatchRow) -> Batch:
    """Read a batch."""
    head = orjson.loads(row.document)
    return Batch(
        id=head["id"],
        operation=member_of(BatchOperation, head["operation"]),
        filter=head["filter"],
        reason=head["reason"],
        create_time=from_micros(head["create_time"]),
        state=member_of(BatchState, row.state),
        total=row.total,
        progress=Progress(succeeded=row.succeeded, skipped=row.skipped, failed=row.failed),
        end_time=None if row.end_time is None else from_micros(row.end_time),
    )


def encode_batch_item(item: BatchItem) -> BatchItemRow:
    """Write an item."""
    failure = encode_failure(item.failure) if item.failure else None
    return BatchItemRow(item.number, item.execution_id, item.state.value, failure, item.result_id)


def decode_batch_item(row: BatchItemRow) -> BatchItem:
    """Read an item."""
    return BatchItem(
        number=row.number,
        execution_id=row.execution_id,
        state=member_of(BatchItemState, row.state),
        failure=decode_failure(row.failure) if row.failure else None,
        result_id=row.result_id,
    )
