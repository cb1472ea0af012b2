"""Turns of steps with a limit, over all executions and servers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from weft.core.clock import Clock
from weft.server.store.step_shares import Permit, StepShareStore
from weft.server.workflow.model import Step, StepLimit

__all__ = ["StepLimits", "permit_for"]

_LONGEST_KEY: Final = 256


def permit_for(
    step: Step, limit: StepLimit, key: str, *, workflow_id: str, execution_id: str, path: str
) -> Permit:
    """Return what a call of a step needs.

    Args:
        step: Which step.
        limit: Its limit.
        key: What the limit's key gave; calls of the same one count together.
        workflow_id: Of which workflow, in any version.
        execution_id: Of which execution.
        path: Where in it.
    """
    if len(key) > _LONGEST_KEY or "\0" in key:  # which not every store takes
        key = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
    return Permit(
        scope=f"{workflow_id}/{step.id}/{key}",
        execution_id=execution_id,
        path=path,
        concurrency=limit.concurrency,
        rate=limit.rate,
        per=limit.per,
    )


class StepLimits:
    """Gives turns to calls of steps, and tells who waits for one when it comes.

    Whoever drives an execution asks before each attempt (``begin``), and gives back after it (``end``). Who
    has to wait may let go of the execution: when its turn comes, it is due. While it is here, it is told.

    Args:
        store: Where the turns are.
        clock: For times.
        tell: Is given the ids of executions of which a call has its turn now.
    """

    def __init__(
        self, store: StepShareStore, clock: Clock, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell

    async def begin(self, permit: Permit) -> datetime | None:
        """Return from when on a call may begin; None: when its turn comes. Asking again changes nothing."""
        return await self._store.acquire_permit(permit, self._clock.now())

    async def asked(self, execution_id: str) -> Mapping[str, datetime | None]:
        """Return, by path, what ``begin`` would return of the calls of an execution that asked."""
        return await self._store.permits_of(execution_id)

    async def end(self, permit: Permit) -> None:
        """Give a turn back, or do not wait for it any more."""
        self._told(await self._store.release_permit(permit, self._clock.now()))

    async def end_all(self, execution_id: str, keep: Collection[str] = ()) -> None:
        """Give back what an execution holds but for some paths: when it has ended, or was taken over.

        Args:
            execution_id: Which execution.
            keep: Paths of calls that go on, such as those whose outcome is told later.
        """
        self._told(await self._store.release_permits(execution_id, keep, self._clock.now()))

    async def parked(self, execution_id: str) -> None:
        """Take note that an execution was let go of while it waits: its turn may have come meanwhile."""
        if await self._store.wake_permitted(execution_id):
            self._tell(execution_id)

    async def sweep(self) -> None:
        """Give on what executions hold that ended without giving it back. To be called now and then."""
        self._told(await self._store.grant_permits(self._clock.now()))

    def _told(self, granted: Iterable[str]) -> None:
        for execution_id in granted:
            self._tell(execution_id)
