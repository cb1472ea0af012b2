"""Reading executions: from memory where they are open, from the store otherwise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Final

from weft.core.errors import ResourceNotFoundError
from weft.core.names import EXECUTION_PREFIX, is_id
from weft.core.payload import JsonObject, loads
from weft.server.execution.engine.engine import Engine, draining
from weft.server.execution.history.model import (
    Event,
    Execution,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionState,
    StepCompleted,
    StepProgressed,
    StepReused,
)
from weft.server.execution.history.paths import id_of
from weft.server.execution.history.run import ExecutionDetails
from weft.server.execution.history.standing import Standing
from weft.server.execution.history.step_states import StepExecution, fold_steps
from weft.server.store.base import ExecutionStore
from weft.server.workflow.model import Step
from weft.server.workflow.service import WorkflowService

__all__ = ["ExecutionReader"]

_LOOK_SECONDS: Final = 0.5
"""How often one who follows an execution looks again that is not in this server's memory."""


class ExecutionReader:
    """Shows executions, and lets them be followed.

    Args:
        store: Where histories are kept.
        workflows: What was started.
        engine: Owns the open ones.
    """

    def __init__(self, store: ExecutionStore, workflows: WorkflowService, engine: Engine) -> None:
        self._store = store
        self._workflows = workflows
        self.engine = engine

    async def show(self, execution: Execution) -> ExecutionDetails:
        """Return an execution with its steps and payloads, from memory where it is there."""
        run = self.engine.owned(execution.id)
        return run.details() if run is not None else await self.get(execution.id, payloads=True)

    async def get(self, execution_id: str, *, payloads: bool) -> ExecutionDetails:
        """Return an execution with its steps.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
        """
        execution = await self.find(execution_id)
        defined = await self._defined(execution)
        events = await self.all_events(execution, payloads=False)
        steps = fold_steps(events)
        if payloads:
            await self._fill_in_progress(execution.id, events, steps)
        first = last = None
        if payloads:
            first = (await self._store.read_events(execution.id, limit=1))[0].body
            if execution.state is ExecutionState.COMPLETED:
                after = execution.last_event - 1
                last = (await self._store.read_events(execution.id, after=after, limit=1))[0].body
        sets = any(step.kind == "set" for step in defined.values())
        return ExecutionDetails(
            execution=execution,
            variables=await self._variables(execution, defined) if sets and payloads else None,
            steps=tuple(steps.values()),
            defined=defined,
            input=first.input if isinstance(first, ExecutionStarted) else None,
            result=last.result if isinstance(last, ExecutionCompleted) else None,
        )

    async def _fill_in_progress(
        self, execution_id: str, events: list[Event], steps: dict[str, StepExecution]
    ) -> None:
        """Read what running attempts told last: the history was read without it."""
        newest = {it.body.step_id: it.number for it in events if isinstance(it.body, StepProgressed)}
        for step_id, number in newest.items():
            (event,) = await self._store.read_events(execution_id, after=number - 1, limit=1)
            if isinstance(event.body, StepProgressed) and steps[step_id].progress is not None:
                steps[step_id] = replace(steps[step_id], progress=event.body.details)

    async def _defined(self, execution: Execution) -> Mapping[str, Step]:
        """Return the steps of its workflow's version as they are stored: to show them they need not run."""
        workflow = await self._workflows.find(execution.workflow_id, execution.workflow_version)
        return {step.id: step for step in workflow.definition.every_step()} if workflow else {}

    async def _variables(self, execution: Execution, defined: Mapping[str, Step]) -> JsonObject | None:
        """Return what the ``set`` steps of an execution have set."""
        found: JsonObject = {}
        for event in await self.all_events(execution, payloads=True):
            body = event.body
            if isinstance(body, StepCompleted | StepReused):
                step = defined.get(id_of(body.step_id))
                if step is not None and step.kind == "set":
                    found.update(loads(body.output))
        return found or None

    async def all_events(self, execution: Execution, *, payloads: bool) -> list[Event]:
        """Read the history as it was when the summary was."""
        events: list[Event] = []
        while len(events) < execution.last_event:
            page = await self._store.read_events(execution.id, after=len(events), payloads=payloads)
            if not page:
                break
            events += page
        return events[: execution.last_event]

    async def history(self, ref: str, after: int, limit: int) -> tuple[tuple[Event, ...], bool]:
        """Return a page of a history, and whether more follows.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
        """
        execution = await self.find(ref)
        events = await self._store.read_events(execution.id, after=after, limit=limit)
        return events, bool(events) and events[-1].number < execution.last_event

    async def watch(self, ref: str, after: int) -> AsyncGenerator[tuple[Event, ExecutionState], None]:
        """Yield a history from an event on, past and coming, with the state after each event.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            ServiceUnavailableError: SERVER_DRAINING.
        """
        execution = await self.find(ref)
        standing = await self._standing_at(execution.id, after)
        with self.engine.hub.follow(execution.id) as news:
            while True:
                changed = news.next_change()
                execution = await self.find(execution.id)
                while after < execution.last_event:
                    for event in await self._store.read_events(execution.id, after=after):
                        after = event.number
                        standing.apply(event)
                        yield event, standing.state
                if execution.state.final:
                    return
                if self.engine.draining:
                    raise draining()
                await self._next(execution.id, changed)

    async def _next(self, execution_id: str, changed: asyncio.Event) -> None:
        """Wait for something new; of what happens at other servers there are only hints, so look again."""
        at_most = None if self.engine.owned(execution_id) else _LOOK_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await changed.wait()

    async def _standing_at(self, execution_id: str, number: int) -> Standing:
        """Return where an execution stood after an event."""
        standing, last = Standing(), 0
        while last < number:
            events = await self._store.read_events(execution_id, after=last, payloads=False)
            for event in events:
                if event.number <= number:
                    standing.apply(event)
            if not events:
                break
            last = events[-1].number
        return standing

    async def find(self, ref: str) -> Execution:
        """Return an execution by id, or the newest one of a key.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
        """
        if is_id(ref, EXECUTION_PREFIX):
            found = await self._store.get_execution(ref)
        else:
            found = await self._store.get_execution_by_key(ref)
        if found is None:
            raise ResourceNotFoundError("execution", ref)
        return found
