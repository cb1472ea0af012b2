"""What becomes of an execution while as many of its concurrency key run as may."""

from __future__ import annotations

from typing import Final

import orjson

from weft.core.errors import ExhaustedError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Execution
from weft.server.execution.orders.orders import Cancel
from weft.server.store.base import WhenFull
from weft.server.workflow.model import Concurrency, OnConflict

__all__ = ["concurrency_key", "slot_full", "when_full_of"]

_DISPLACED: Final = "another start of its concurrency key took its place"


def when_full_of(concurrency: Concurrency | None) -> WhenFull | None:
    """Return what becomes of an execution while as many of its key run as may; None: it waits."""
    if concurrency is None:
        return None
    match concurrency.on_conflict:
        case OnConflict.REJECT:
            return WhenFull(refuse=True)
        case OnConflict.CANCEL_RUNNING:
            command = Cancel(execution_id="", reason=_DISPLACED).command()
            return WhenFull(order=(command.kind, command.body))
        case _:
            return None


def slot_full(workflow: str, execution: Execution) -> ExhaustedError:
    """Say that an execution is refused, as many of its key run as may."""
    key = concurrency_key(execution.slot)
    which = f" of the key {key!r}" if key else ""
    return ExhaustedError(
        f"as many executions of {workflow!r}{which} run as may: {execution.slot_limit}",
        reason=Reason.CONCURRENCY_LIMIT,
        metadata={"workflow": workflow, "limit": str(execution.slot_limit), "key": key},
    )


def concurrency_key(slot: str) -> str:
    """Return the key as its expressions made it, of what is stored with the workflow's id before it."""
    _, _, text = slot.partition("/")
    try:
        key = orjson.loads(text) if text else ""
    except orjson.JSONDecodeError:  # a long one was cut
        return text
    return key if isinstance(key, str) else text
