"""Tells parents of their children's end, and children of their parents'."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from weft.core.errors import WeftError
from weft.server.execution.control import Control
from weft.server.execution.model import Execution
from weft.server.execution.orders import Cancel, LookAtChild
from weft.server.store.base import StaleWriteError

__all__ = ["Relatives"]

_log = logging.getLogger("weft.server.engine")

_GONE = "the execution that started it has ended, or does not need it any more"


class Relatives:
    """Tells them, in the background: whoever is not reached looks for itself a little later.

    Args:
        control: Reaches executions.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._telling: set[asyncio.Task[None]] = set()

    def ended(self, child: Execution) -> None:
        """Tell a parent that its child has ended."""
        look = LookAtChild(execution_id=child.parent.execution_id, step_id=child.parent.step_id)
        self._begin(self._control.nudge(look))

    def orphaned(self, child_id: str) -> None:
        """Cancel a child that is not needed any more; one that has ended stays as it is."""
        self._begin(self._control.nudge(Cancel(execution_id=child_id, reason=_GONE)))

    def _begin(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._tell(telling), name="tell a relative")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, telling: Coroutine[Any, Any, None]) -> None:
        try:
            with contextlib.suppress(StaleWriteError):
                await telling
        except WeftError as error:
            _log.info("a relative was not told: %s", error)
