"""Removes executions, and outputs of steps, that were kept long enough, in small steps."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import InternalError
from weft.server.execution.history.model import ExecutionState
from weft.server.forms import NewerReleaseError
from weft.server.retention import METADATA_KEY, Retention, read_policy
from weft.server.store.base import Store, StoreFullError, StoreUnavailableError

__all__ = ["RetentionRunner"]

_log = logging.getLogger("weft.server.retention")

_PASS_SECONDS: Final = 60.0
"""How long the pause between two passes is."""
_STEP_SECONDS: Final = 0.02
"""How long the pause between two steps is: others write in between."""
_EXECUTIONS: Final = 50
"""How many executions one step takes away."""
_ROWS: Final = 500
"""How many events one step deletes."""


class RetentionRunner:
    """Deletes what has been kept long enough, never what is open.

    Args:
        store: Where executions are kept.
        policy: Holds where a workflow says nothing.
        clock: For times and pauses.
    """

    def __init__(self, store: Store, policy: Retention, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock

    async def run(self) -> None:
        """Pass over all workflows now and then, until cancelled."""
        while True:
            try:
                count = await self.one_pass()
                if count:
                    _log.info("deleted %d executions that were kept long enough", count)
            except (StoreUnavailableError, StoreFullError) as error:
                _log.warning("old executions are kept for now: %s", error)
            await self._clock.sleep(_PASS_SECONDS)

    async def one_pass(self) -> int:
        """Delete all that is due; return how many executions."""
        count = await self._discard_kept()
        for workflow_id in await self._store.all_workflow_ids():
            try:
                count += await self._discard_of(workflow_id)
            except NewerReleaseError:  # what it says of its executions is for newer servers to do
                continue
            except InternalError as error:  # one that cannot be read holds nobody else up
                _log.error("executions of workflow %s are kept: %s", workflow_id, error)
        await self._empty_trash()
        while await self._store.sweep_shares(self._clock.now(), _ROWS):
            await self._clock.sleep(_STEP_SECONDS)
        return count

    async def _discard_of(self, workflow_id: str) -> int:
        workflow = await self._store.get_workflow(workflow_id)
        own = read_policy(workflow.metadata.get(METADATA_KEY) if workflow else None)
        count = 0
        for state, span in own.over(self._policy).states.items():
            count += await self._discard(workflow_id, state, span)
        return count

    async def _discard(self, workflow_id: str, state: ExecutionState, span: timedelta) -> int:
        before = self._clock.now() - span
        count = 0
        while taken := await self._store.discard_executions(workflow_id, state, before, _EXECUTIONS):
            count += taken
            await self._clock.sleep(_STEP_SECONDS)
            await self._empty_trash()
        return count

    async def _discard_kept(self) -> int:
        """Take away what says itself how long it is kept."""
        count = 0
        while taken := await self._store.discard_kept(self._clock.now(), _EXECUTIONS):
            count += taken
            await self._clock.sleep(_STEP_SECONDS)
            await self._empty_trash()
        return count

    async def _empty_trash(self) -> None:
        while await self._store.empty_trash(_ROWS):
            await self._clock.sleep(_STEP_SECONDS)
