"""A cancellation is acknowledged before it is recorded, and forgotten when it comes too late."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.core.errors import WeftError
from weft.server.execution.history.model import ExecutionState
from weft.server.execution.service import ExecutionService

_cancelling: set[asyncio.Task[Any]] = set()


def plant() -> None:
    def make(original: Any) -> Any:
        async def cancel(self: Any, execution_id: str, *rest: Any, **named: Any) -> Any:
            execution = await self._store.get_execution(execution_id)
            if execution is None or execution.state.final:
                return await original(self, execution_id, *rest, **named)

            async def later() -> None:
                await asyncio.sleep(0.3)
                with suppress(WeftError):
                    await original(self, execution_id, *rest, **named)

            task = asyncio.create_task(later())
            _cancelling.add(task)
            task.add_done_callback(_cancelling.discard)
            return replace(execution, state=ExecutionState.CANCELLED)

        return cancel

    wrap(ExecutionService, "cancel", make)
