"""Takes on what is open in the store and in nobody's hands: after a start, and after the store failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Protocol

from weft.core.clock import Clock
from weft.core.errors import InternalError, WeftError
from weft.server.execution.hub import Hub
from weft.server.execution.model import Event, Execution, ExecutionFailed, Failure, StepScheduled
from weft.server.execution.plan import Plan
from weft.server.execution.run import Run, number_events, summarize
from weft.server.store.base import ExecutionStore, StoreFullError, StoreUnavailableError

__all__ = ["FindPlan", "Recovery", "give_up"]

_log = logging.getLogger("weft.server.engine")

_PAGE: Final = 500

FindPlan = Callable[[str, int], Awaitable[Plan]]


class Owner(Protocol):
    """Who has executions in its hands."""

    def has(self, execution_id: str) -> bool:
        """Tell whether an execution is here, or about to be."""
        ...

    def launch(self, run: Run, first: StepScheduled | None = None) -> None:
        """Take on an execution, recording what comes first."""
        ...


class Recovery:
    """Goes through the open executions of the store, in the background.

    Args:
        owner: Who takes them on.
        store: Where they are.
        find_plan: Returns what a workflow's version does.
        hub: Is told of what ends here.
        clock: For the times of what is recorded.
    """

    def __init__(
        self, owner: Owner, store: ExecutionStore, find_plan: FindPlan, hub: Hub, clock: Clock
    ) -> None:
        self._owner = owner
        self._store = store
        self._find_plan = find_plan
        self._hub = hub
        self._clock = clock
        self.task: asyncio.Task[None] | None = None

    def start(self, cause: str) -> None:
        """Begin, or begin again.

        Args:
            cause: Why what is found there is scheduled again.
        """
        if self.task is not None:
            self.task.cancel()
        self.task = asyncio.create_task(self._recover(cause), name="recover executions")

    async def stop(self) -> None:
        """End it where it stands."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _recover(self, cause: str) -> None:
        count, after = 0, ""
        try:
            while page := await self._store.open_executions(after, _PAGE):
                after = page[-1].id
                for execution in page:
                    count += await self.take_on(execution, cause)
        except (StoreUnavailableError, StoreFullError) as error:
            _log.warning("recovery waits for the store: %s", error)
        except Exception:  # nobody waits for this task, so nobody else would tell
            _log.exception("recovery stopped at %s", after or "its beginning")
        if count:
            _log.info("took on %d open executions", count)

    async def take_on(self, execution: Execution, cause: str) -> bool:
        """Resume an execution unless it is here already; one that cannot be is ended, visibly.

        Raises:
            StoreUnavailableError: Of the store.
            StoreFullError: Of the store.
        """
        if self._owner.has(execution.id):
            return False
        try:
            return await self._resume(execution, cause)
        except (StoreUnavailableError, StoreFullError):
            raise
        except Exception as error:  # one that cannot be resumed must not stop the others
            _log.exception("execution %s cannot be resumed", execution.id)
            await give_up(execution, error, self._store, self._hub, self._clock)
            return False

    async def _resume(self, listed: Execution, cause: str) -> bool:
        """Go on where the history ends, saying so in the history; tell whether there was something to do."""
        # It may have ended since it was listed; nobody owns it now, so what is read now stays true.
        execution = await self._store.get_execution(listed.id)
        if execution is None or execution.state.final:
            return False
        plan = await self._find_plan(execution.workflow_id, execution.workflow_version)
        events: list[Event] = []
        while page := await self._store.read_events(execution.id, after=events[-1].number if events else 0):
            events += page
        run = Run(execution, plan, events)
        again = StepScheduled(step_id=run.step_id, attempt=run.attempt + 1, cause=cause)
        self._owner.launch(run, again)
        return True


async def give_up(
    execution: Execution, error: Exception, store: ExecutionStore, hub: Hub, clock: Clock
) -> None:
    """End an execution that nobody can go on with: whoever waits for it sees that, and why.

    Raises:
        StoreUnavailableError: Of the store.
        StoreFullError: Of the store.
    """
    known = error if isinstance(error, WeftError) else InternalError(f"{type(error).__name__}: {error}")
    failure = replace(Failure.of(known), message=f"the execution cannot go on: {known.message}")
    try:
        # What is known of it may be older than what is stored, all the more after a defect.
        current = await store.get_execution(execution.id)
        if current is None or current.state.final:
            return
        events = number_events(current.last_event, (ExecutionFailed(failure=failure),), clock)
        await store.append_events(summarize(current, events), events, current.last_event)
    except (StoreUnavailableError, StoreFullError):
        raise
    except Exception:  # it must not stop the others either
        _log.exception("execution %s cannot be ended", execution.id)
    else:
        hub.changed(execution.id)
