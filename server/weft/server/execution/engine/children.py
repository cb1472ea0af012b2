"""Child executions: started by a step, looked at until they have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import orjson

from weft.core.errors import Code, ExhaustedError, ServiceUnavailableError, WeftError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.server.execution.history.model import (
    EventBody,
    Execution,
    ExecutionCompleted,
    ExecutionState,
    Failure,
    IncidentRaised,
    Parent,
)
from weft.server.execution.history.paths import UNDO
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.plan import RUN_SUFFIX
from weft.server.execution.history.run import Run
from weft.server.execution.rules.endings import completed, failed
from weft.server.execution.rules.names import child_to_undo, item_at, names
from weft.server.store.base import ExecutionStore
from weft.server.workflow.kinds import Child

__all__ = ["MAX_DEPTH", "ChildStart", "Children", "Outcome"]

MAX_DEPTH: Final = 20
"""How deep children of children may go: a workflow that starts itself for ever is stopped."""

Outcome = Callable[[Run, Place], Sequence[EventBody]]
"""Returns what is recorded of a child's end."""


class ChildStart(Protocol):
    """Starts child executions."""

    async def start_child(
        self, child_id: str, child: Child, value: JsonObject, parent: Parent, run: Run
    ) -> Execution:
        """Start an execution with an id that was chosen before; nothing when it is there already."""
        ...

    async def start_undo(self, undo_id: str, child_id: str, parent: Parent) -> Execution:
        """Undo a child that has completed, by an execution with an id that was chosen before."""
        ...


def _is_for_now(error: WeftError) -> bool:
    """Tell whether there is no room for a child, and may be soon, unlike where it is refused on purpose."""
    return isinstance(error, ExhaustedError) and error.reason != Reason.CONCURRENCY_LIMIT


class Children:
    """Starts child executions, and looks how they ended.

    Args:
        store: Where they are.

    Attributes:
        start: Starts them; set by whoever knows workflows.
    """

    def __init__(self, store: ExecutionStore) -> None:
        self._store = store
        self.start: ChildStart | None = None

    async def outcome(self, run: Run, place: Place, child_id: str, *, started: bool) -> Outcome | None:
        """Return what is recorded of a child's end; None while it is open. One that is not there is started.

        Args:
            run: The parent.
            place: Which of its steps waits.
            child_id: For which child.
            started: Whether it was started long ago: then one that is not there is deleted, and what became
                of it is for somebody to find out.

        Raises:
            ExhaustedError: There is no room for it now.
            ServiceUnavailableError: Of the store.
        """
        child = await self._store.get_execution(child_id)
        if child is None and place.phase is not Phase.WAITING:
            return None  # it ended meanwhile
        if child is None and started:
            return lambda _, place: (_gone(place, child_id),)
        if child is None:
            try:
                child = await self._begin(run, place, child_id)
            except WeftError as error:
                if isinstance(error, ServiceUnavailableError) or _is_for_now(error):
                    raise
                failure = Failure.of(error)
                return lambda _, place: (failed(place, failure),)
        if not child.state.final:  # one with nothing to wait for has ended as it was accepted
            return None
        if place.scope == UNDO and child.state is ExecutionState.CANCELLED:
            return lambda run, place: _done(run, place, b"{}")
        return await self._ended(child)

    async def _begin(self, run: Run, place: Place, child_id: str) -> Execution:
        planned = place.planned
        assert planned is not None  # it has been scheduled
        assert isinstance(planned.step.does, Child)
        assert self.start is not None  # set before anything runs
        if place.scope == UNDO:
            undone = child_to_undo(run, place.path)
            return await self.start.start_undo(child_id, undone, self._parent(run, place))
        parent = self._parent(run, place, abandon=planned.step.does.abandon)
        return await self.start.start_child(child_id, planned.step.does, self._input(run, place), parent, run)

    def _parent(self, run: Run, place: Place, *, abandon: bool = False) -> Parent:
        return Parent(
            execution_id=run.execution.id,
            step_id=place.path,
            abandon=abandon,
            depth=run.execution.parent.depth + 1,
        )

    def _input(self, run: Run, place: Place) -> JsonObject:
        planned = place.planned
        assert planned is not None  # it has been scheduled
        if planned.template is not None:
            return planned.template.render(names(run, place))
        if planned.step.id.endswith(RUN_SUFFIX) and place.holder is not None:
            item = item_at(place.holder, place.number)
            return item if isinstance(item, dict) else {"item": item}
        return {}

    async def _ended(self, child: Execution) -> Outcome:
        if child.state is ExecutionState.COMPLETED:
            (event,) = await self._store.read_events(child.id, after=child.last_event - 1, limit=1)
            result = event.body.result if isinstance(event.body, ExecutionCompleted) else b"{}"
            return lambda run, place: _done(run, place, result)
        failure = _of_child(child)
        return lambda _, place: (failed(place, failure),)


def _gone(place: Place, child_id: str) -> IncidentRaised:
    failure = Failure(
        reason=str(Reason.OUTCOME_UNKNOWN),
        message=f"the child {child_id} is not there any more; how it ended is not known",
        code=Code.UNKNOWN,
        metadata={"step_id": place.path, "child_execution_id": child_id},
    )
    return IncidentRaised(step_id=place.path, attempt=place.attempt, failure=failure)


def _done(run: Run, place: Place, result: bytes) -> Sequence[EventBody]:
    try:
        return (completed(run, place, result, value=orjson.loads(result)),)
    except WeftError as error:
        return (failed(place, Failure.of(error)),)


def _of_child(child: Execution) -> Failure:
    """Say that a child failed, as it did itself; its id is there for who wants to know more."""
    own = child.failure
    if own is None:
        own = Failure(reason=str(Reason.EXECUTION_CANCELLED), message="it ended", code=Code.CANCELLED)
    return Failure(
        reason=own.reason,
        message=f"the child {child.id} is {child.state}: {own.message}",
        code=own.code,
        metadata={**own.metadata, "child_execution_id": child.id},
        violations=own.violations,
        domain=own.domain,
    )
