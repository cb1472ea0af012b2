"""When an order that another server carries out counts as done."""

from __future__ import annotations

import pytest

from weft.server.execution.model import ExecutionState
from weft.server.execution.orders import Cancel
from weft.server.execution.standing import Standing


@pytest.mark.parametrize(
    ("final", "met"),
    [
        (None, False),
        (ExecutionState.CANCELLED, True),
        (ExecutionState.COMPLETED, False),
        (ExecutionState.FAILED, False),
        (ExecutionState.TIMED_OUT, False),
    ],
)
def test_only_a_cancelled_execution_is_cancelled(final: ExecutionState | None, met: bool) -> None:  # noqa: FBT001 - a case
    """Found by the fault rig on replicas: one that had completed meanwhile was answered as cancelled."""
    standing = Standing()
    standing.final = final
    assert Cancel(execution_id="exe_a").met(standing) is met
