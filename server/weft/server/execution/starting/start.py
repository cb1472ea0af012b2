"""Accepts executions: new ones, repeats of a request, keys that are taken, and old ones run anew."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import orjson

from weft.core.clock import Clock
from weft.core.errors import (
    AlreadyExistsError,
    ExhaustedError,
    PreconditionError,
    ValidationError,
    WeftError,
)
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.core.payload import loads
from weft.core.reasons import Reason
from weft.server.execution.engine.engine import Engine
from weft.server.execution.engine.traces import ExecutionTraces
from weft.server.execution.history.model import (
    Event,
    Execution,
    ExecutionStarted,
    Origin,
    StepReused,
    Waits,
)
from weft.server.execution.history.numbered import first_events, number_events
from weft.server.execution.history.plan import Plan
from weft.server.execution.starting.attributes import Attributes
from weft.server.execution.starting.derived import DerivedAttributes
from weft.server.execution.starting.rerun import resume_point
from weft.server.execution.starting.slots import slot_full, when_full_of
from weft.server.execution.starting.start_commands import KeyConflict, KeyReuse, RerunCommand, StartCommand
from weft.server.store.base import ExecutionStore, KeyTakenError, RequestKey, SlotFullError
from weft.server.tasks import to_its_end
from weft.server.workflow.model import Workflow, WorkflowState
from weft.server.workflow.service import WorkflowService

__all__ = ["KeyConflict", "KeyReuse", "RerunCommand", "StartCommand", "Starter"]

_REPLACED: Final = "another start with its key ended it"


class _Place(NamedTuple):
    """What the engine keeps for an execution that is being stored, and what its workflow says of it."""

    execution_id: str
    slot: str
    workflow: Workflow
    attributes: Attributes


class Executions(Protocol):
    """What the starter needs of the other use cases."""

    async def cancel(self, ref: str, reason: str, *, at_once: bool = False) -> Execution:
        """End an execution."""
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


class Starter:
    """Accepts executions.

    Args:
        executions: The other use cases.
        store: Where histories are kept.
        workflows: What can be started.
        engine: Runs what was accepted.
        traces: Keeps each execution in its trace.
        clock: For times.
    """

    def __init__(
        self,
        executions: Executions,
        store: ExecutionStore,
        workflows: WorkflowService,
        engine: Engine,
        traces: ExecutionTraces,
        clock: Clock,
    ) -> None:
        self._executions = executions
        self._store = store
        self._workflows = workflows
        self._engine = engine
        self._traces = traces
        self._clock = clock
        self._derived = DerivedAttributes()

    async def start(self, command: StartCommand) -> Execution:
        """Accept an execution durably; a repeat returns the one that the first request started.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND, WORKFLOW_VERSION_NOT_FOUND, WORKFLOW_ALIAS_NOT_FOUND.
            PreconditionError: WORKFLOW_INACTIVE.
            ValidationError: The input does not fit the workflow's schema.
            AlreadyExistsError: REQUEST_ID_REUSED, EXECUTION_EXISTS.
            ExhaustedError: ENGINE_FULL, CONCURRENCY_LIMIT.
            ServiceUnavailableError: SERVER_DRAINING, STORE_UNAVAILABLE.
        """
        return await self.start_as(new_id(EXECUTION_PREFIX, self._clock.now()), command)

    async def start_as(self, execution_id: str, command: StartCommand) -> Execution:
        """Accept an execution under an id that was chosen before; otherwise as ``start``."""
        try:
            seed = command.execution_key or execution_id
            workflow = await self._startable(command.workflow, command.version, command.alias, seed)
            plan = await self._executions.find_plan(workflow.id, workflow.version)
            place = self._admit(workflow, plan, command, execution_id)
        except WeftError as refusal:
            return await self._known(command, refusal)
        return await self._begin(command, plan, place)

    async def rerun(self, command: RerunCommand) -> Execution:
        """Run an execution that has ended anew, from one of its steps on, as a new execution.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: EXECUTION_OPEN.
            ValidationError: The step is unknown, or what comes before it did not run.
            WeftError: As ``start``.
        """
        try:
            again, plan, place, reused = await self._anew(command)
        except WeftError as refusal:
            return await self._first_of(command.key, refusal)
        return await self._begin(again, plan, place, reused=reused)

    async def _anew(self, command: RerunCommand) -> tuple[StartCommand, Plan, _Place, tuple[StepReused, ...]]:
        """Return what a rerun starts, and what it takes over; a place in the engine is kept for it."""
        old = await self._executions.find(command.execution)
        if not old.state.final:
            raise _open(old)
        workflow = await self._startable(old.workflow_id, command.version or old.workflow_version)
        plan = await self._executions.find_plan(workflow.id, workflow.version)
        events = await self._executions.all_events(old, payloads=True)
        started = events[0].body
        assert isinstance(started, ExecutionStarted)  # every history begins so
        first, reused = resume_point(plan, old, events, command.from_step)
        text = command.text if command.text is not None else started.input
        again = StartCommand(
            workflow=old.workflow_id,
            version=plan.version,
            input=loads(text),
            text=text,
            context=started.context,
            timeout=started.timeout,
            key=command.key,
            origin=Origin(execution_id=old.id, from_step=first),
            attributes=old.attributes,
        )
        place = self._admit(workflow, plan, again, new_id(EXECUTION_PREFIX, self._clock.now()))
        return again, plan, place, reused

    async def _first_of(self, key: RequestKey | None, refusal: WeftError) -> Execution:
        """Return what a refused request started when it came first, such as before a workflow was deleted."""
        first = await self._store.recall_execution(key) if key is not None else None
        if first is None:
            raise refusal
        return first

    async def _known(self, command: StartCommand, refusal: WeftError) -> Execution:
        """Return what a refused start does not begin: its repeat, or of a full engine what has its key."""
        try:
            return await self._first_of(command.key, refusal)
        except ExhaustedError:
            holder = await self._holder(command)
            if holder is None:
                raise
            return holder

    async def _holder(self, command: StartCommand) -> Execution | None:
        """Return the execution that has the key, if it is to be returned; None: there has to be another one.

        Raises:
            AlreadyExistsError: EXECUTION_EXISTS.
        """
        key = command.execution_key
        holder = await self._store.get_execution_by_key(key) if key else None
        if holder is None or _makes_way(holder, command):
            return None
        workflow = await self._startable(command.workflow, command.version, command.alias, key)
        return await self._existing(holder, _digest(workflow.id, command), command)

    async def _startable(self, ref: str, version: int, alias: str = "", seed: str = "") -> Workflow:
        workflow = await self._workflows.resolve_version(ref, version, alias, seed)
        if workflow.state is WorkflowState.INACTIVE:
            raise PreconditionError(
                f"workflow {workflow.name!r} is inactive",
                reason=Reason.WORKFLOW_INACTIVE,
                metadata={"workflow": workflow.name},
            )
        return workflow

    def _admit(self, workflow: Workflow, plan: Plan, command: StartCommand, execution_id: str) -> _Place:
        """Check what can be checked before anything is stored, and keep a place in the engine."""
        violations = plan.input_schema.violations(command.input, "input")
        if violations:
            raise ValidationError(violations, metadata={"workflow": plan.workflow_name})
        attributes = self._derived.of(workflow, command.input, command.context, command.attributes)
        slot = plan.slot(command.input, command.context)
        place = _Place(execution_id, slot, workflow, attributes)
        self._engine.admit(place.execution_id, len(command.text))
        return place

    async def _begin(
        self,
        command: StartCommand,
        plan: Plan,
        place: _Place,
        *,
        reused: Sequence[StepReused] = (),
    ) -> Execution:
        started = ExecutionStarted(
            input=command.text,
            context=command.context,
            workflow_id=plan.workflow_id,
            workflow_version=plan.version,
            timeout=command.timeout or plan.timeout,
            trace=self._traces.begin(),
            origin=command.origin,
            parent=command.parent,
        )
        paused = place.workflow.state is WorkflowState.PAUSED
        if place.slot or paused:  # it may have to wait: then no step is scheduled yet
            events = number_events(0, (started, *reused), self._clock)
        else:
            events = first_events(started, plan, self._clock, reused)
        execution = _accepted(place, command, started, plan, events, paused=paused)
        # A caller who leaves does not stop it half way: what is on its way to the disk is accepted and run.
        return await to_its_end(self._accept(execution, plan, events, command))

    async def _accept(
        self, execution: Execution, plan: Plan, events: tuple[Event, ...], command: StartCommand
    ) -> Execution:
        try:
            stored = await self._insert(execution, plan, events, command)
            if stored.id == execution.id and not stored.waits:
                self._engine.own(stored, plan, events, command.input)
        finally:
            self._engine.settled(execution.id)
        return stored

    async def _insert(
        self, execution: Execution, plan: Plan, events: tuple[Event, ...], command: StartCommand
    ) -> Execution:
        reuse = command.reuse is KeyReuse.ALLOW
        when_full = when_full_of(plan.concurrency)
        while True:
            try:
                stored = await self._store.insert_execution(
                    execution, events, command.key, reuse_key=reuse, when_full=when_full
                )
            except KeyTakenError as taken:
                existing = await self._existing(taken.execution, execution.digest, command)
                if existing is not None:
                    return existing
            except SlotFullError:
                raise slot_full(plan.workflow_name, execution) from None
            else:
                if stored.waits is Waits.SLOT and when_full is not None:
                    self._engine.claims.commands_left()
                return stored

    async def _existing(self, holder: Execution, digest: str, command: StartCommand) -> Execution | None:
        """Return the execution that has the key, where that is what the policy says; None: try again.

        Raises:
            AlreadyExistsError: EXECUTION_EXISTS.
        """
        if holder.state.final:
            use = command.reuse is KeyReuse.RETURN_EXISTING
        elif command.conflict is KeyConflict.TERMINATE_EXISTING:
            await self._end(holder)
            return None
        else:
            use = command.conflict is KeyConflict.USE_EXISTING
        if use and holder.digest == digest:
            return holder
        raise _taken(holder, other_input=use)

    async def _end(self, holder: Execution) -> None:
        try:
            await self._executions.cancel(holder.id, _REPLACED, at_once=True)
        except PreconditionError as error:
            if error.reason != Reason.EXECUTION_ENDED:
                raise


def _open(execution: Execution) -> PreconditionError:
    return PreconditionError(
        f"the execution is {execution.state}; only one that has ended is run anew",
        reason=Reason.EXECUTION_OPEN,
        metadata={"execution_id": execution.id, "state": str(execution.state)},
    )


def _makes_way(holder: Execution, command: StartCommand) -> bool:
    """Tell whether another execution may have the key of one that has it."""
    if holder.state.final:
        return command.reuse is KeyReuse.ALLOW
    return command.conflict is KeyConflict.TERMINATE_EXISTING


def _taken(holder: Execution, *, other_input: bool) -> AlreadyExistsError:
    how = "was started with another workflow or input" if other_input else f"is {holder.state}"
    return AlreadyExistsError(
        f"the execution key {holder.key!r} belongs to {holder.id}, which {how}",
        reason=Reason.EXECUTION_EXISTS,
        metadata={"key": holder.key, "execution_id": holder.id, "state": str(holder.state)},
    )


def _accepted(
    place: _Place,
    command: StartCommand,
    started: ExecutionStarted,
    plan: Plan,
    events: tuple[Event, ...],
    *,
    paused: bool,
) -> Execution:
    now = events[0].time
    expire_time = now + started.timeout if started.timeout else None
    return Execution(
        id=place.execution_id,
        workflow_id=plan.workflow_id,
        workflow_name=plan.workflow_name,
        workflow_version=plan.version,
        context=started.context,
        last_event=events[-1].number,
        create_time=now,
        expire_time=expire_time,
        trace_id=started.trace.trace_id,
        key=command.execution_key,
        digest=_digest(plan.workflow_id, command) if command.execution_key else "",
        attributes=place.attributes,
        origin=command.origin,
        alias=command.alias,
        retention=place.workflow.definition.retention,
        parent=command.parent,
        slot=place.slot,
        slot_limit=plan.concurrency.limit if plan.concurrency else 0,
        waits=Waits.WORKFLOW if paused else Waits.NOTHING,
        due_time=expire_time if paused else now,
    )


def _digest(workflow_id: str, command: StartCommand) -> str:
    content = orjson.dumps(command.input, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(workflow_id.encode() + b"\0" + content).hexdigest()
