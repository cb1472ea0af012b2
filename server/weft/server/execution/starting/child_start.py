"""Starts executions that belong to others: children, and what undoes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

from weft.core.clock import Clock
from weft.core.errors import PreconditionError
from weft.core.payload import JsonObject, dumps
from weft.core.reasons import Reason
from weft.server.execution.engine.children import MAX_DEPTH
from weft.server.execution.engine.engine import Engine
from weft.server.execution.history.model import (
    Event,
    Execution,
    ExecutionCancelled,
    ExecutionClosing,
    ExecutionState,
    Origin,
    Outcome,
    Parent,
    Waits,
)
from weft.server.execution.history.numbered import number_events
from weft.server.execution.history.plan import Plan
from weft.server.execution.history.run import Run
from weft.server.execution.starting.start import Starter
from weft.server.execution.starting.start_commands import StartCommand
from weft.server.store.base import ExecutionStore
from weft.server.tasks import to_its_end
from weft.server.workflow.kinds import Child

__all__ = ["ChildStarter"]

_UNDONE: Final = "what it did is undone"


class Executions(Protocol):
    """What is needed of the other use cases."""

    async def find(self, ref: str) -> Execution:
        """Return an execution by id or key."""
        ...

    async def find_plan(self, workflow_id: str, version: int) -> Plan:
        """Return what a workflow's version does."""
        ...

    async def all_events(self, execution: Execution, *, payloads: bool) -> list[Event]:
        """Read a history."""
        ...


class ChildStarter:
    """Starts them, under ids that their parents have chosen.

    Args:
        executions: The other use cases.
        starter: Accepts executions.
        store: Where histories are kept.
        engine: Runs what was accepted.
        clock: For times.
    """

    def __init__(
        self, executions: Executions, starter: Starter, store: ExecutionStore, engine: Engine, clock: Clock
    ) -> None:
        self._executions = executions
        self._starter = starter
        self._store = store
        self._engine = engine
        self._clock = clock

    async def start_child(
        self, child_id: str, child: Child, value: JsonObject, parent: Parent, run: Run
    ) -> Execution:
        """Accept a child execution.

        Raises:
            WeftError: As ``Starter.start``.
            PreconditionError: CHILDREN_TOO_DEEP.
        """
        if parent.depth > MAX_DEPTH:
            raise _too_deep(child.name)
        command = StartCommand(
            workflow=child.name,
            version=child.version,
            input=value,
            text=dumps(value, "input"),
            context=run.execution.context,
            timeout=None,
            key=None,
            alias=child.alias,
            parent=parent,
        )
        return await self._starter.start_as(child_id, command)

    async def start_undo(self, undo_id: str, child_id: str, parent: Parent) -> Execution:
        """Undo a child that has completed: an execution with the same history, that goes on by undoing it.

        Raises:
            WeftError: It cannot be started.
        """
        child = await self._executions.find(child_id)
        plan = await self._executions.find_plan(child.workflow_id, child.workflow_version)
        events = (await self._executions.all_events(child, payloads=True))[:-1]
        done = Run(child, plan, events).done
        closing = ExecutionClosing(
            outcome=Outcome.CANCELLED, reason=_UNDONE, undo=tuple(it.path for it in reversed(done))
        )
        while isinstance(events[-1].body, ExecutionClosing):
            events.pop()
        last = closing if done else ExecutionCancelled(reason=_UNDONE)
        (end,) = number_events(events[-1].number, (last,), self._clock)
        undo = _beginning(child, undo_id, parent, end, ends=not done)
        self._engine.admit(undo_id, sum(len(getattr(it.body, "output", b"")) for it in events))
        return await to_its_end(self._accept(undo, plan, (*events, end)))

    async def _accept(self, undo: Execution, plan: Plan, events: tuple[Event, ...]) -> Execution:
        try:
            stored = await self._store.insert_execution(undo, events, None, reuse_key=True)
            if not stored.state.final:
                self._engine.own(stored, plan, events)
        finally:
            self._engine.settled(undo.id)
        return stored


def _beginning(child: Execution, undo_id: str, parent: Parent, newest: Event, *, ends: bool) -> Execution:
    return replace(
        child,
        id=undo_id,
        origin=Origin(execution_id=child.id),
        parent=parent,
        key="",
        slot="",
        slot_limit=0,
        expire_time=None,
        last_event=newest.number,
        state=ExecutionState.CANCELLED if ends else ExecutionState.RUNNING,
        end_time=newest.time if ends else None,
        waits=Waits.NOTHING,
        due_time=None if ends else newest.time,
    )


def _too_deep(name: str) -> PreconditionError:
    return PreconditionError(
        f"children of children are {MAX_DEPTH} deep: {name!r} is not started; does it start itself?",
        reason=Reason.CHILDREN_TOO_DEEP,
        metadata={"workflow": name, "limit": str(MAX_DEPTH)},
    )
