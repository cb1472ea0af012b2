"""What batches do to one execution. Each is a use case that does nothing when it is done again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weft.core.errors import PreconditionError
from weft.core.reasons import Reason
from weft.server.batch.model import Batch, BatchOperation
from weft.server.batch.runner import Operate
from weft.server.execution.history.model import Execution, ExecutionState, Resolution
from weft.server.execution.orders.orders import Order, Pause, Resolve, Resume
from weft.server.execution.service import ExecutionService, RerunCommand
from weft.server.store.base import RequestKey

__all__ = ["operations"]

_RETRY_KEY: Final = "weft.api.execution.v1.BatchService/Retry"


def operations(executions: ExecutionService) -> Mapping[BatchOperation, Operate]:
    """Return every operation."""

    async def cancel(batch: Batch, execution_id: str) -> str:
        await executions.cancel(execution_id, batch.reason)
        return ""

    async def pause(batch: Batch, execution_id: str) -> str:
        await executions.order(execution_id, Pause(execution_id=execution_id, reason=batch.reason))
        return ""

    async def resume(batch: Batch, execution_id: str) -> str:
        await executions.order(execution_id, Resume(execution_id=execution_id, reason=batch.reason))
        return ""

    async def retry(batch: Batch, execution_id: str) -> str:
        execution = await executions.find(execution_id)
        if execution.state is ExecutionState.INCIDENT:
            await executions.order(execution_id, _resolved(batch, execution_id))
            return ""
        _check_failed(execution)
        again = await executions.rerun(_rerun(batch, execution_id))
        return again.id

    return {
        BatchOperation.CANCEL: cancel,
        BatchOperation.PAUSE: pause,
        BatchOperation.RESUME: resume,
        BatchOperation.RETRY: retry,
    }


def _resolved(batch: Batch, execution_id: str) -> Order:
    return Resolve(
        execution_id=execution_id, resolution=Resolution.RETRY.value, note=batch.reason, every=True
    )


def _rerun(batch: Batch, execution_id: str) -> RerunCommand:
    key = RequestKey(_RETRY_KEY, f"{batch.id}/{execution_id}", b"")
    return RerunCommand(execution=execution_id, from_step="", version=0, text=None, key=key)


def _check_failed(execution: Execution) -> None:
    """Refuse what went well, or may still go well.

    Raises:
        PreconditionError: EXECUTION_ENDED, EXECUTION_OPEN.
    """
    if execution.state.final and execution.state is not ExecutionState.COMPLETED:
        return
    raise PreconditionError(
        f"the execution is {execution.state}: there is nothing to retry",
        reason=Reason.EXECUTION_ENDED if execution.state.final else Reason.EXECUTION_OPEN,
        metadata={"execution_id": execution.id, "state": str(execution.state)},
    )
