"""Works on batches in the background: a few items at a time, at a bounded rate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.server.batch.model import Batch, BatchItem, BatchItemState, BatchOperation, BatchState
from weft.server.execution.history.model import Failure
from weft.server.store.base import Page, StaleWriteError
from weft.server.store.batches import BatchStore

__all__ = ["BatchRunner", "Operate"]

Operate = Callable[[Batch, str], Awaitable[str]]
"""Does what a batch is for to one execution; returns the id of what was made of it, or nothing."""

_log = logging.getLogger("weft.server.batches")

_CHUNK: Final = 20
"""How many items are worked on at the same time."""
_CHUNK_SECONDS: Final = 0.1
"""The least that a chunk takes: 200 items a second at most."""
_LOOK_SECONDS: Final = 5.0
"""How often a batch is looked for that another server left behind."""
_NOTHING_TO_DO: Final = frozenset(
    {
        Reason.EXECUTION_NOT_FOUND,
        Reason.EXECUTION_ENDED,
        Reason.EXECUTION_OPEN,
        Reason.NO_INCIDENT,
    }
)
_KEEP: Final = timedelta(days=30)
_FORGET_ROWS: Final = 1_000


class BatchRunner:
    """Takes on open batches, one after the other.

    Args:
        store: Where they are kept.
        operations: What each operation does.
        clock: For times and pauses.
    """

    def __init__(self, store: BatchStore, operations: Mapping[BatchOperation, Operate], clock: Clock) -> None:
        self._store = store
        self._operations = operations
        self._clock = clock
        self._news = asyncio.Event()
        self._mine: Batch | None = None

    def wake(self) -> None:
        """Look for a batch now."""
        self._news.set()

    async def run(self) -> None:
        """Work on batches until cancelled."""
        while True:
            self._news.clear()
            try:
                self._mine = self._mine or await self._store.claim_batch()
                if self._mine is not None:
                    await self.work(self._mine)
                    self._mine = None
                    continue
                while await self._store.forget_batches(self._clock.now() - _KEEP, _FORGET_ROWS):
                    await self._clock.sleep(_CHUNK_SECONDS)
            except WeftError as error:
                _log.warning("batches wait: %s", error)
            await self._rest()

    async def _rest(self) -> None:
        """Wait for a new batch, or until it is time to look for one."""
        tasks = [
            asyncio.create_task(self._clock.sleep(_LOOK_SECONDS)),
            asyncio.create_task(self._news.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def work(self, batch: Batch) -> None:
        """Work on a batch that is owned, until it has ended or is somebody else's.

        Raises:
            WeftError: The store or the engine cannot do anything now; items stay pending.
        """
        with suppress(StaleWriteError):
            while batch.state is BatchState.RUNNING:
                batch = await self._chunk(batch)
                await self._clock.sleep(_CHUNK_SECONDS)
                batch = await self._store.get_batch(batch.id) or batch  # it may be cancelled since

    async def _chunk(self, batch: Batch) -> Batch:
        pending = BatchItemState.PENDING
        page = Page(size=_CHUNK, counted=False)
        found = await self._store.list_batch_items(batch.id, pending, page)
        tried = await asyncio.gather(
            *(self._item(batch, item) for item in found.items), return_exceptions=True
        )
        done = [outcome for outcome in tried if isinstance(outcome, BatchItem)]
        batch = await self._store.record_batch_items(batch.id, done, self._clock.now())
        for outcome in tried:
            if isinstance(outcome, BaseException):
                raise outcome
        return batch

    async def _item(self, batch: Batch, item: BatchItem) -> BatchItem:
        """Do one item, and say what came of it.

        Done again after a crash it has the same outcome: the operations see to that.

        Raises:
            WeftError: It cannot be done now, or whether it was done is not known; it stays pending.
        """
        try:
            result = await self._operations[batch.operation](batch, item.execution_id)
        except WeftError as error:
            if isinstance(error, ServiceUnavailableError) or error.reason == Reason.ENGINE_FULL:
                raise
            state = BatchItemState.SKIPPED if error.reason in _NOTHING_TO_DO else BatchItemState.FAILED
            return replace(item, state=state, failure=Failure.of(error))
        return replace(item, state=BatchItemState.SUCCEEDED, result_id=result)
