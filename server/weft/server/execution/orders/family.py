"""Tells parents of their children's end, and children of their parents'."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from weft.core.clock import Clock
from weft.core.errors import WeftError
from weft.server.execution.history.model import Execution
from weft.server.execution.orders.control import Control
from weft.server.execution.orders.orders import Cancel, LookAtChild
from weft.server.forms import NewerReleaseError
from weft.server.store.base import (
    ExecutionStore,
    StaleWriteError,
    StoreFullError,
    StoreUnavailableError,
)

__all__ = ["OrphanSweep", "Relatives"]

_log = logging.getLogger("weft.server.engine")

_SWEEP_SECONDS: Final = 30.0
_SOON_SECONDS: Final = 5.0
"""How long it takes at the least until it is looked again, when a server is gone."""
_PAGE: Final = 100
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


class OrphanSweep:
    """Looks for children whose parent ended and could not tell them: its server died in that moment.

    Args:
        store: Where executions are.
        relatives: Tells them.
        clock: For the pauses.
    """

    def __init__(self, store: ExecutionStore, relatives: Relatives, clock: Clock) -> None:
        self._store = store
        self._relatives = relatives
        self._clock = clock
        self._news = asyncio.Event()
        store.on_change(self._changed)

    def _changed(self, execution_ids: Sequence[str]) -> None:
        if not execution_ids:  # perhaps as a server is gone, in the middle of this
            self._news.set()

    async def run(self) -> None:
        """Look now and then, and soon after a server is gone, for ever."""
        while True:
            await self._rest()
            with contextlib.suppress(StoreUnavailableError, StoreFullError):
                await self.look()

    async def _rest(self) -> None:
        await self._clock.sleep(_SOON_SECONDS)
        later = (self._clock.sleep(_SWEEP_SECONDS - _SOON_SECONDS), self._news.wait())
        waiting = [asyncio.ensure_future(it) for it in later]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        self._news.clear()

    async def look(self) -> None:
        """Cancel all of them.

        Raises:
            StoreUnavailableError: Of the store.
            StoreFullError: Of the store.
        """
        after = ""
        while found := await self._store.orphans(after, _PAGE):
            for child_id in found:
                with contextlib.suppress(NewerReleaseError):  # newer servers look after theirs
                    await self._look_at(child_id)
            after = found[-1]

    async def _look_at(self, child_id: str) -> None:
        child = await self._store.get_execution(child_id)
        if child is not None and not child.state.final and not child.parent.abandon:
            self._relatives.orphaned(child_id)
