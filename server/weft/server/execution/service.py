"""Use cases of executions."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from opentelemetry.trace import TracerProvider

from weft.core.clock import Clock
from weft.core.context import CallContext
from weft.core.errors import (
    PreconditionError,
    ResourceNotFoundError,
    ValidationError,
    WeftError,
)
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.core.schema import Schema
from weft.core.version import VersionRange
from weft.server.execution.dispatch import CallIdentity, Dispatcher, Outcome
from weft.server.execution.engine import Engine, EngineLimits, draining
from weft.server.execution.model import (
    Event,
    Execution,
    ExecutionCancelled,
    ExecutionStarted,
    ExecutionState,
)
from weft.server.execution.plan import Plan, PlanCache
from weft.server.execution.reader import ExecutionReader
from weft.server.execution.run import ExecutionDetails, first_events
from weft.server.execution.traces import ExecutionTraces
from weft.server.store.base import (
    ExecutionStore,
    RequestKey,
    StaleWriteError,
)
from weft.server.workflow.model import WorkflowState
from weft.server.workflow.service import WorkflowService

__all__ = ["ExecutionService", "StartCommand"]

_ANY: Final = VersionRange()

_RECHECK_SECONDS: Final = 0.5
"""How often a waiter looks again at an execution that nobody owns (yet)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCommand:
    """What to start, and how."""

    workflow: str
    """Id or name."""
    version: int
    """0: the latest."""
    input: JsonObject
    """What to start it with."""
    text: bytes
    """The same as JSON text."""
    context: CallContext
    """What travels with it."""
    timeout: timedelta | None
    """How long it may take in all; none: the workflow's own."""
    key: RequestKey | None
    """Makes the start idempotent."""


class ExecutionService(ExecutionReader):
    """Starts, follows and ends executions, and calls single actions.

    Args:
        store: Where histories are kept.
        workflows: What can be started.
        dispatcher: Calls actions.
        clock: For times.
        limits: How much the engine takes on.
        tracer_provider: Where spans go; None follows the global provider of OpenTelemetry.
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
        self._traces = ExecutionTraces(tracer_provider)
        engine = Engine(store, dispatcher, self._find_plan, clock, limits, self._traces)
        super().__init__(store, workflows, engine)
        self._dispatcher = dispatcher
        self._clock = clock
        self._plans = PlanCache()

    async def _find_plan(self, workflow_id: str, version: int) -> Plan:
        """Return what an execution runs, also when its workflow was deleted since."""
        workflow = await self._workflows.find(workflow_id, version)
        if workflow is None:
            raise ResourceNotFoundError("workflow", f"{workflow_id}@{version}")
        return self._plans.of(workflow)

    async def start(self, command: StartCommand) -> Execution:
        """Accept an execution durably; a repeat returns the one that the first request started.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND, WORKFLOW_VERSION_NOT_FOUND.
            PreconditionError: WORKFLOW_INACTIVE.
            ValidationError: The input does not fit the workflow's schema.
            AlreadyExistsError: REQUEST_ID_REUSED.
            ExhaustedError: ENGINE_FULL.
            ServiceUnavailableError: SERVER_DRAINING, STORE_UNAVAILABLE.
        """
        execution_id = new_id(EXECUTION_PREFIX)
        try:
            plan = await self._startable(command)
            self.engine.admit(execution_id, len(command.text))
        except WeftError as refusal:
            return await self._first_of(command.key, refusal)
        started = ExecutionStarted(
            input=command.text,
            context=command.context,
            workflow_id=plan.workflow_id,
            workflow_version=plan.version,
            timeout=command.timeout or plan.timeout,
            trace=self._traces.begin(),
        )
        events = first_events(started, plan, self._clock)
        execution = _accepted(execution_id, started, plan, events)
        # A caller who leaves does not stop it half way: what is on its way to the disk is accepted and run.
        accepting = asyncio.create_task(self._accept(execution, plan, events, command.key))
        return await asyncio.shield(accepting)

    async def _first_of(self, key: RequestKey | None, refusal: WeftError) -> Execution:
        """Return what a refused request started when it came first, such as before a workflow was deleted."""
        first = await self._store.recall_execution(key) if key is not None else None
        if first is None:
            raise refusal
        return first

    async def _accept(
        self, execution: Execution, plan: Plan, events: tuple[Event, ...], key: RequestKey | None
    ) -> Execution:
        try:
            stored = await self._store.insert_execution(execution, events, key)
            if stored.id == execution.id:
                self.engine.own(stored, plan, events)
        finally:
            self.engine.settled(execution.id)
        return stored

    async def _startable(self, command: StartCommand) -> Plan:
        workflow = await self._workflows.get(command.workflow, command.version)
        if workflow.state is not WorkflowState.ACTIVE:
            raise PreconditionError(
                f"workflow {workflow.name!r} is inactive",
                reason=Reason.WORKFLOW_INACTIVE,
                metadata={"workflow": workflow.name},
            )
        plan = self._plans.of(workflow)
        violations = plan.input_schema.violations(command.input, "input")
        if violations:
            raise ValidationError(violations, metadata={"workflow": workflow.name})
        return plan

    async def wait(self, execution: Execution) -> ExecutionDetails:
        """Return an execution in its final state.

        Raises:
            ServiceUnavailableError: This server let go of it; it goes on elsewhere or later.
        """
        while not execution.state.final:
            run = self.engine.owned(execution.id)
            if run is not None:
                await asyncio.shield(run.ended)
                return run.details()
            if self.engine.draining:
                raise draining()
            execution = await self._look_again(execution.id)
        return await self.get(execution.id, payloads=True)

    async def cancel(self, execution_id: str, reason: str) -> Execution:
        """End an execution: no step of it is dispatched once this returns.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: EXECUTION_ENDED.
        """
        while True:
            execution = await self._existing(execution_id)
            if execution.state is ExecutionState.CANCELLED:
                return execution
            if execution.state.final:
                raise PreconditionError(
                    f"the execution is {execution.state} already",
                    reason=Reason.EXECUTION_ENDED,
                    metadata={"execution_id": execution_id, "state": str(execution.state)},
                )
            run = self.engine.owned(execution_id)
            if run is None:
                if self.engine.draining:
                    raise draining()
                await self._look_again(execution_id)
                continue
            with contextlib.suppress(StaleWriteError):
                await self.engine.end(run, ExecutionCancelled(reason=reason))
                return run.execution

    async def _look_again(self, execution_id: str) -> Execution:
        """Read an execution that nobody owns (yet); wait a moment for news, such as recovery taking it on."""
        with self.engine.hub.follow(execution_id) as news:
            changed = news.next_change()
            execution = await self._existing(execution_id)
            if not execution.state.final and self.engine.owned(execution_id) is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_RECHECK_SECONDS):
                        await changed.wait()
        return execution

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


def _accepted(
    execution_id: str, started: ExecutionStarted, plan: Plan, events: tuple[Event, ...]
) -> Execution:
    now = events[0].time
    return Execution(
        id=execution_id,
        workflow_id=plan.workflow_id,
        workflow_name=plan.workflow_name,
        workflow_version=plan.version,
        context=started.context,
        last_event=events[-1].number,
        create_time=now,
        expire_time=now + started.timeout if started.timeout else None,
        trace_id=started.trace.trace_id,
    )
