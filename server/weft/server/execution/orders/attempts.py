"""What actions tell of attempts beside their answer: heartbeats, and outcomes that come later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from weft.core.clock import Clock
from weft.core.errors import PreconditionError, ValidationError, Violation, WeftError
from weft.core.names import EXECUTION_PREFIX, is_id
from weft.core.reasons import Reason, Rule
from weft.server.execution.engine.dispatch import Dispatcher
from weft.server.execution.engine.engine import Engine
from weft.server.execution.history.model import Event, Execution, ExecutionState, StepCompleted
from weft.server.execution.history.paths import UNDO, is_path, scope_of
from weft.server.execution.history.place import Phase
from weft.server.execution.history.plan import Plan, PlannedStep, undo_by_action
from weft.server.execution.orders.control import Control
from weft.server.execution.orders.orders import Complete, Order, Progress, check_attempt, stale

__all__ = ["AttemptReports", "AttemptToken"]

_APART: Final = timedelta(seconds=5)
"""How far apart the heartbeats of an action that answers later are kept, unless it has to beat more often."""


@dataclass(frozen=True, slots=True)
class AttemptToken:
    """Which attempt it is about; opaque to actions."""

    execution_id: str
    """The execution."""
    step_id: str
    """The step."""
    attempt: int
    """1, 2, …"""

    @classmethod
    def read(cls, text: str) -> AttemptToken:
        """Read what ``CallIdentity.attempt_token`` wrote.

        Raises:
            ValidationError: It is none.
        """
        execution_id, _, rest = text.partition("/")
        step_id, _, number = rest.rpartition("/")
        known = is_id(execution_id, EXECUTION_PREFIX) and is_path(step_id)
        if not known or not (number.isascii() and number.isdecimal() and len(number) <= 9):
            raise ValidationError(
                [Violation("attempt_token", "is no token that an action was given", Rule.INVALID)]
            )
        return cls(execution_id, step_id, int(number))


class Executions(Protocol):
    """What reports need of the other use cases."""

    async def find(self, ref: str) -> Execution:
        """Return an execution by id."""
        ...

    async def find_plan(self, workflow_id: str, version: int) -> Plan:
        """Return what a workflow's version does."""
        ...

    async def all_events(self, execution: Execution, *, payloads: bool) -> list[Event]:
        """Read a history."""
        ...


class AttemptReports:
    """Takes what actions tell.

    Args:
        executions: The other use cases.
        engine: Has the executions of this server.
        control: Reaches those of other servers.
        dispatcher: Checks outputs.
        clock: Tells how long ago an attempt was heard of.
    """

    def __init__(
        self, executions: Executions, engine: Engine, control: Control, dispatcher: Dispatcher, clock: Clock
    ) -> None:
        self._clock = clock
        self._executions = executions
        self._engine = engine
        self._control = control
        self._dispatcher = dispatcher

    async def heartbeat(self, token: AttemptToken, details: bytes) -> bool:
        """Take a heartbeat; tell whether the action should stop, as nobody waits for it.

        Args:
            token: Of the attempt.
            details: JSON text of how far it is.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: ATTEMPT_STALE.
        """
        run = self._engine.owned(token.execution_id)
        pulse = run.pulses.get(token.step_id) if run is not None else None
        if run is not None and pulse is not None:
            check_attempt(run.standing, token.step_id, token.attempt)
            pulse(details)
            return False
        execution = await self._executions.find(token.execution_id)
        if execution.state in {ExecutionState.CANCELLED, ExecutionState.TIMED_OUT}:
            return True
        if not await self._heard_just_now(execution, token):
            progress = Progress(
                execution_id=token.execution_id,
                step_id=token.step_id,
                attempt=token.attempt,
                details=details,
            )
            await self._report(token, progress)
        return False

    async def _heard_just_now(self, execution: Execution, token: AttemptToken) -> bool:
        """Tell whether the history has a sign of life that is new enough.

        Raises:
            PreconditionError: ATTEMPT_STALE.
        """
        standing = await self._control.standing(execution)
        place = check_attempt(standing, token.step_id, token.attempt)
        limit = (await self._planned(execution, token)).step.heartbeat_timeout
        apart = min(_APART, limit / 4) if limit else _APART
        heard = place.heard_time
        alone = place.phase is Phase.ACCEPTED  # what runs at another server is for that one to judge
        return alone and bool(place.progress) and heard is not None and self._clock.now() - heard < apart

    async def complete(self, token: AttemptToken, output: bytes) -> None:
        """Record the output of an attempt that an action took on before.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: ATTEMPT_STALE, ACTION_OUTPUT_INVALID.
        """
        execution = await self._executions.find(token.execution_id)
        planned = await self._planned(execution, token)
        step = planned.step
        outcome = await self._dispatcher.check(step.service, step.action, output, planned.versions)
        order = Complete.of(
            token.execution_id,
            token.step_id,
            token.attempt,
            outcome.text,
            compensation=outcome.compensation,
            mapped=planned.output is not None,
        )
        await self._report(token, order)

    async def fail(self, token: AttemptToken, error: WeftError) -> None:
        """Record the failure of an attempt that an action took on before.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: ATTEMPT_STALE.
        """
        order = Complete.of(token.execution_id, token.step_id, token.attempt, failure=error)
        await self._report(token, order)

    async def _planned(self, execution: Execution, token: AttemptToken) -> PlannedStep:
        plan = await self._executions.find_plan(execution.workflow_id, execution.workflow_version)
        planned = plan.at(token.step_id)
        if planned is not None and scope_of(token.step_id) == UNDO:
            planned = planned.undo or await self._registered_undo(execution, token, planned)
        if planned is None:
            raise stale(token.step_id, token.attempt)
        return planned

    async def _registered_undo(
        self, execution: Execution, token: AttemptToken, planned: PlannedStep
    ) -> PlannedStep | None:
        """Return what undoes a step whose action was registered with what undoes it."""
        undone = token.step_id.removeprefix(f"{UNDO}/")
        for event in reversed(await self._executions.all_events(execution, payloads=False)):
            body = event.body
            if isinstance(body, StepCompleted) and body.step_id == undone and body.undo:
                return undo_by_action(planned.step, body.undo)
        return None

    async def _report(self, token: AttemptToken, order: Order) -> None:
        try:
            await self._control.carry_out(order)
        except PreconditionError as error:
            if error.reason == Reason.EXECUTION_ENDED:
                raise stale(token.step_id, token.attempt) from None
            raise
