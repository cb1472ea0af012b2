"""Use cases that bring something to an execution from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from weft.core.clock import Clock
from weft.core.errors import AlreadyExistsError, PreconditionError, ResourceNotFoundError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Event, Execution
from weft.server.execution.history.paths import undo_path
from weft.server.execution.history.plan import Plan
from weft.server.execution.history.run import Done, Run
from weft.server.execution.history.step_states import StepState, fold_steps
from weft.server.execution.orders.control import Control
from weft.server.execution.orders.messages import Decide, SendSignal, approval_at
from weft.server.execution.starting.start_commands import StartCommand

__all__ = ["Interactions", "PlannedUndo"]

_TRIES = 5


class Executions(Protocol):
    """What these need of the other use cases."""

    async def start(self, command: StartCommand) -> Execution:
        """Accept an execution."""
        ...

    async def find(self, ref: str) -> Execution:
        """Return an execution by id or key."""
        ...

    async def find_plan(self, workflow_id: str, version: int) -> Plan:
        """Return what a workflow's version does."""
        ...

    async def all_events(self, execution: Execution, *, payloads: bool) -> list[Event]:
        """Read a history."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUndo:
    """How one completed step is undone."""

    step_id: str
    """Its path."""
    service: str
    """Whose action does it."""
    action: str
    """Which; empty: a child is undone."""
    state: StepState | None
    """Where it stands; none: not begun."""
    child: str
    """Id of the child."""


class Interactions:
    """Brings something to executions.

    Args:
        executions: The other use cases.
        control: Reaches executions.
        clock: Dates decisions.
    """

    def __init__(self, executions: Executions, control: Control, clock: Clock) -> None:
        self._executions = executions
        self._control = control
        self._clock = clock

    async def signal_with_start(self, command: StartCommand, signal: SendSignal) -> tuple[Execution, bool]:
        """Bring a message to the open execution that has a key; start it first, when there is none.

        A repeat of the message that the newest one got, which has ended since, starts nothing.

        Returns:
            The execution, and whether it was started by this call.
        """
        for left in reversed(range(_TRIES)):
            try:
                execution, started = await self._found_or_started(command, signal)
                order = replace(signal, execution_id=execution.id)
                return await self._control.carry_out(order), started
            except (AlreadyExistsError, PreconditionError) as error:
                # Between looking and doing it was started by another, or ended.
                if not left or error.reason not in {Reason.EXECUTION_EXISTS, Reason.EXECUTION_ENDED}:
                    raise
        raise AssertionError

    async def _found_or_started(self, command: StartCommand, signal: SendSignal) -> tuple[Execution, bool]:
        try:
            found = await self._executions.find(command.execution_key)
            if not found.state.final or await self._control.brought(signal, found):
                return found, await self._control.started_by(command.key, found)
        except ResourceNotFoundError:
            pass
        return await self._executions.start(command), True

    async def decide(self, ref: str, decision: Decide) -> Execution:
        """Decide an approval, and return the execution.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: NO_APPROVAL, EXECUTION_ENDED.
            ValidationError: It cannot be decided so.
        """
        execution = await self._executions.find(ref)
        if not decision.step_id and not execution.state.final:
            standing = await self._control.standing(execution)
            decision = replace(decision, step_id=approval_at(standing, execution.id, "").path)
        order = replace(decision, execution_id=execution.id, time=self._clock.now().isoformat())
        return await self._control.carry_out(order)

    async def compensation_plan(self, ref: str) -> Sequence[PlannedUndo]:
        """Return what would be undone if an execution failed now, or what was; in order.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
        """
        execution = await self._executions.find(ref)
        plan = await self._executions.find_plan(execution.workflow_id, execution.workflow_version)
        events = await self._executions.all_events(execution, payloads=True)
        run = Run(execution, plan, events)
        steps = fold_steps(events)
        undone = {path: steps[path].state for path in steps}
        return [_planned(run, done, undone.get(undo_path(done.path))) for done in reversed(run.done)]


def _planned(run: Run, done: Done, state: StepState | None) -> PlannedUndo:
    planned = run.undo_of(done.path)
    step = planned.step if planned is not None else None
    return PlannedUndo(
        step_id=done.path,
        service=step.service if step else "",
        action=step.action if step else "",
        state=state,
        child=done.child,
    )
