"""Use cases of executions: starting, waiting, ordering, repeating, and calling single actions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final

from opentelemetry.trace import TracerProvider

from weft.core.clock import Clock
from weft.core.errors import PreconditionError, ResourceNotFoundError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.core.schema import Schema
from weft.core.version import VersionRange
from weft.server.execution.engine.dispatch import CallIdentity, Dispatcher, Outcome
from weft.server.execution.engine.engine import Engine, EngineLimits, draining
from weft.server.execution.engine.traces import ExecutionTraces
from weft.server.execution.history.model import Execution, ExecutionState
from weft.server.execution.history.plan import Plan, PlanCache
from weft.server.execution.history.run import ExecutionDetails
from weft.server.execution.interactions import Interactions
from weft.server.execution.orders.attempts import AttemptReports
from weft.server.execution.orders.control import Control
from weft.server.execution.orders.family import OrphanSweep, Relatives
from weft.server.execution.orders.orders import Cancel, Order
from weft.server.execution.reader import ExecutionReader
from weft.server.execution.starting.child_start import ChildStarter
from weft.server.execution.starting.start import RerunCommand, StartCommand, Starter
from weft.server.store.base import ExecutionStore
from weft.server.workflow.service import WorkflowService

__all__ = ["ExecutionService", "RerunCommand", "StartCommand"]

_ANY: Final = VersionRange()


class ExecutionService(ExecutionReader):
    """Starts, follows and ends executions, and calls single actions.

    Args:
        store: Where histories are kept.
        workflows: What can be started.
        dispatcher: Calls actions.
        clock: For times.
        limits: How much the engine takes on.
        tracer_provider: Where spans go; None follows the global provider of OpenTelemetry.

    Attributes:
        interactions: Brings something to executions from outside.
        orphans: Looks for children that their parents could not tell.
        reports: Takes what actions tell of attempts that run.
    """

    def __init__(
        self,
        store: ExecutionStore,
        workflows: WorkflowService,
        dispatcher: Dispatcher,
        clock: Clock,
        limits: EngineLimits | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        traces = ExecutionTraces(tracer_provider)
        engine = Engine(store, dispatcher, self.find_plan, clock, limits, traces)
        super().__init__(store, workflows, engine)
        self._dispatcher = dispatcher
        self._plans = PlanCache()
        self._control = Control(store, engine)
        self._starter = Starter(self, store, workflows, engine, traces, clock)
        engine.children.start = ChildStarter(self, self._starter, store, engine, clock)
        relatives = engine.family = Relatives(self._control)
        self.orphans = OrphanSweep(store, relatives, clock)
        self.interactions = Interactions(self, self._control, clock)
        self.reports = AttemptReports(self, engine, self._control, dispatcher, clock)
        workflows.on_state_change(engine.workflow_changed)
        workflows.on_change_elsewhere(engine.claims.workflows_changed)

    async def find_plan(self, workflow_id: str, version: int) -> Plan:
        """Return what an execution runs, also when its workflow was deleted since.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND.
        """
        workflow = await self._workflows.find(workflow_id, version)
        if workflow is None:
            raise ResourceNotFoundError("workflow", f"{workflow_id}@{version}")
        return self._plans.of(workflow)

    async def start(self, command: StartCommand) -> Execution:
        """Accept an execution durably: see ``Starter.start``."""
        return await self._starter.start(command)

    async def rerun(self, command: RerunCommand) -> Execution:
        """Run an execution that has ended anew: see ``Starter.rerun``."""
        return await self._starter.rerun(command)

    async def wait(self, execution: Execution) -> ExecutionDetails:
        """Return an execution in its final state.

        Raises:
            ServiceUnavailableError: This server let go of it; it goes on elsewhere or later.
        """
        while not execution.state.final:
            run = self.engine.owned(execution.id)
            if run is not None:
                execution = await asyncio.shield(run.ended)
                if execution.state.final:
                    return run.details()
            if self.engine.draining:
                raise draining()
            await self._control.look_again(execution.id)
            execution = await self.find(execution.id)
        return await self.get(execution.id, payloads=True)

    async def cancel(self, ref: str, reason: str, *, at_once: bool = False) -> Execution:
        """End an execution: of its workflow no step is dispatched once this returns.

        Args:
            ref: Id or key.
            reason: Why.
            at_once: Whether nothing more is run for it; else it closes first, where there is something
                to undo or to do at the end.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: EXECUTION_ENDED.
            ServiceUnavailableError: SERVER_DRAINING, OWNER_UNREACHABLE.
        """
        execution = await self.find(ref)
        try:
            execution = await self._control.carry_out(
                Cancel(execution_id=execution.id, reason=reason, at_once=at_once)
            )
        except PreconditionError as error:
            execution = await self.find(execution.id)
            if error.reason != Reason.EXECUTION_ENDED or execution.state is not ExecutionState.CANCELLED:
                raise
        return execution

    async def order(self, ref: str, order: Order) -> Execution:
        """Carry out an order about an open execution, and return it.

        Args:
            ref: Id or key.
            order: What is asked; of which execution is filled in.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: EXECUTION_ENDED, or of the order.
            ServiceUnavailableError: SERVER_DRAINING, OWNER_UNREACHABLE.
        """
        execution = await self.find(ref)
        return await self._control.carry_out(replace(order, execution_id=execution.id))

    async def call_action(
        self,
        service: str,
        action: str,
        value: JsonObject,
        identity: CallIdentity,
        timeout: timedelta | None,
        at_most: timedelta | None = None,
        versions: VersionRange = _ANY,
    ) -> Outcome:
        """Call one action by name, without a record.

        Args:
            service: Id or name.
            action: Which action of it.
            value: The input.
            identity: Which call it is.
            timeout: How long it may take; none: the action's own.
            at_most: How long the caller waits, if it said so.
            versions: Which versions of the service will do.

        Raises:
            WeftError: As ``Dispatcher.call``.
        """

        def given(_: Schema) -> JsonObject:
            return value

        return await self._dispatcher.call(
            service, action, given, identity, timeout, versions=versions, at_most=at_most
        )
