"""Use cases of archives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from weft.core.errors import (
    AlreadyExistsError,
    DeadlineExceededError,
    ExhaustedError,
    PreconditionError,
    ResourceNotFoundError,
)
from weft.core.names import EXECUTION_PREFIX, is_id
from weft.core.reasons import Reason
from weft.server.archive.lines import Archive, ArchiveWriter, read_archive, write_archive
from weft.server.execution.history.model import Event, Execution
from weft.server.store.base import StaleWriteError, Store

__all__ = ["MAX_ARCHIVE_BYTES", "ArchiveService"]

MAX_ARCHIVE_BYTES: Final = 64 * 1024 * 1024
_PATIENCE: Final = timedelta(seconds=15)


class ArchiveService:
    """Takes executions out of the store and into it.

    Args:
        store: Where they are kept.
        max_bytes: The largest archive that is taken.
        patience: How long the next piece of one may take, while others wait for their turn.
    """

    def __init__(
        self, store: Store, max_bytes: int = MAX_ARCHIVE_BYTES, patience: timedelta = _PATIENCE
    ) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._patience = patience.total_seconds()
        self._one = asyncio.Lock()

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        """Yield the lines of an execution that has ended, by its id or key.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: EXECUTION_OPEN.
        """
        execution = await self._ended(ref)
        writer = ArchiveWriter()
        yield writer.head(execution)
        async for event in self._events(execution):
            yield writer.event(event)
        yield writer.end()

    async def import_(self, pieces: AsyncIterator[bytes]) -> tuple[Execution, bool]:
        """Store what an archive holds; tell whether it was not there before.

        Raises:
            ValidationError: ARCHIVE_INVALID.
            AlreadyExistsError: EXECUTION_EXISTS.
            PreconditionError: EXECUTION_DELETING.
            ExhaustedError: ARCHIVE_TOO_LARGE.
            DeadlineExceededError: No further piece came.
        """
        async with self._one:  # they are held in memory: one at a time
            archive = await asyncio.to_thread(read_archive, await self._joined(pieces))
            try:
                created = await self._store.import_execution(archive.execution, archive.events)
            except StaleWriteError:
                raise PreconditionError(
                    f"the execution {archive.execution.id} is still being deleted",
                    reason=Reason.EXECUTION_DELETING,
                    metadata={"execution_id": archive.execution.id},
                ) from None
            if not created:
                await self._check_same(archive)
        return archive.execution, created

    async def _joined(self, pieces: AsyncIterator[bytes]) -> bytes:
        joined = bytearray()
        while (piece := await self._next(pieces)) is not None:
            joined += piece
            if len(joined) > self._max_bytes:
                raise ExhaustedError(
                    f"an archive has {self._max_bytes:,} bytes at most",
                    reason=Reason.ARCHIVE_TOO_LARGE,
                    metadata={"limit": str(self._max_bytes)},
                )
        return bytes(joined)

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        """Wait for a piece; none: that was all."""
        try:
            async with asyncio.timeout(self._patience):
                return await anext(pieces, None)
        except TimeoutError:
            raise DeadlineExceededError(
                f"no further piece of the archive came within {self._patience:g} s"
            ) from None

    async def _check_same(self, archive: Archive) -> None:
        """Refuse an execution whose id is that of another one."""
        stored = await self._store.get_execution(archive.execution.id)
        if stored is not None and stored.state.final:
            events = tuple([event async for event in self._events(stored)])
            if list(write_archive(Archive(stored, events))) == list(write_archive(archive)):
                return
        raise AlreadyExistsError(
            f"there is an execution {archive.execution.id} with another content",
            reason=Reason.EXECUTION_EXISTS,
            metadata={"execution_id": archive.execution.id},
        )

    async def _events(self, execution: Execution) -> AsyncIterator[Event]:
        after = 0
        while after < execution.last_event:
            page = await self._store.read_events(execution.id, after=after)
            if not page:
                raise ResourceNotFoundError("execution", execution.id)
            for event in page:
                yield event
            after = page[-1].number

    async def _ended(self, ref: str) -> Execution:
        if is_id(ref, EXECUTION_PREFIX):
            found = await self._store.get_execution(ref)
        else:
            found = await self._store.get_execution_by_key(ref)
        if found is None:
            raise ResourceNotFoundError("execution", ref)
        if not found.state.final:
            raise PreconditionError(
                f"the execution is {found.state}: it can be exported when it has ended",
                reason=Reason.EXECUTION_OPEN,
                metadata={"execution_id": found.id, "state": str(found.state)},
            )
        return found
