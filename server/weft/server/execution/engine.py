"""The engine: owns open executions, runs their steps in order, survives crashes.

What it promises: a step's action runs at least once, its result is recorded
exactly once. "Step done" and "next step scheduled" are one commit, so at any
moment the history says what to do next; the memory is a cache of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.context import bind_log_context
from weft.core.errors import (
    ExhaustedError,
    InternalError,
    PreconditionError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.core.schema import Schema
from weft.server.execution.dispatch import CallIdentity, Dispatcher
from weft.server.execution.hub import Hub
from weft.server.execution.model import (
    Event,
    EventBody,
    Execution,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionTimedOut,
    Failure,
    StepCompleted,
    StepFailed,
    StepScheduled,
)
from weft.server.execution.plan import Plan, PlannedStep
from weft.server.execution.run import Run
from weft.server.store.base import (
    ExecutionStore,
    StaleWriteError,
    StoreFullError,
    StoreState,
    StoreUnavailableError,
)
from weft.server.workflow.dataflow import implicit_input

__all__ = ["Engine", "EngineLimits"]

_log = logging.getLogger("weft.server.engine")

_PAGE: Final = 500

FindPlan = Callable[[str, int], Awaitable[Plan]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """How much the engine takes on at once."""

    open_executions: int = 10_000
    """More are refused with ENGINE_FULL; those found at the start are always taken."""
    running_steps: int = 1_000
    """Steps that run at the same time; further ones wait for their turn."""


class Engine:
    """Runs the executions of this server.

    Args:
        store: Where histories are kept.
        dispatcher: Calls actions.
        find_plan: Returns what a workflow's version does.
        clock: For times and timeouts.
        limits: How much it takes on.
    """

    def __init__(
        self,
        store: ExecutionStore,
        dispatcher: Dispatcher,
        find_plan: FindPlan,
        clock: Clock,
        limits: EngineLimits | None = None,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._find_plan = find_plan
        self._clock = clock
        self._limits = limits or EngineLimits()
        self._turns = asyncio.Semaphore(self._limits.running_steps)
        self._runs: dict[str, Run] = {}
        self._starting: set[str] = set()
        self._recovery: asyncio.Task[None] | None = None
        self._draining = False
        self.hub = Hub()

    # ---- taking on and letting go

    def admit(self, execution_id: str) -> None:
        """Keep a place for an execution that is being stored; recovery lets it alone until it is ``settled``.

        Raises:
            ServiceUnavailableError: SERVER_DRAINING.
            ExhaustedError: ENGINE_FULL.
        """
        if self._draining:
            raise draining()
        taken = len(self._runs) + len(self._starting)
        if taken >= self._limits.open_executions:
            raise ExhaustedError(
                f"{taken:,} executions are open; no more are accepted now",
                retry_after=timedelta(seconds=1),
            )
        self._starting.add(execution_id)

    def settled(self, execution_id: str) -> None:
        """Give back the place of an execution: it is owned by now, or it was not stored."""
        self._starting.discard(execution_id)

    def own(self, execution: Execution, plan: Plan, history: tuple[Event, ...]) -> Run:
        """Take on an execution that is stored, and run it."""
        run = Run(execution, plan, history)
        self._runs[execution.id] = run
        run.task = asyncio.create_task(self._drive(run), name=f"run {execution.id}")
        return run

    def owned(self, execution_id: str) -> Run | None:
        """Return the open execution of that id."""
        return self._runs.get(execution_id)

    @property
    def open_count(self) -> int:
        """How many executions are open."""
        return len(self._runs)

    def store_changed(self, state: StoreState) -> None:
        """Let go of everything while the store is broken; take it on again afterwards.

        What was being written when it broke may or may not be there: only the
        store knows, so the memory is thrown away.
        """
        if state is StoreState.BROKEN:
            error = StoreUnavailableError("the store failed; whether the last step is recorded is unknown")
            for run in list(self._runs.values()):
                self._release(run, error)
        elif not self._draining:
            self.start_recovery()

    def start_recovery(self) -> None:
        """Take on, in the background, every open execution that is stored."""
        if self._recovery is not None:
            self._recovery.cancel()
        self._recovery = asyncio.create_task(self._recover(), name="recover executions")

    async def _recover(self) -> None:
        count, after = 0, ""
        try:
            while page := await self._store.open_executions(after, _PAGE):
                after = page[-1].id
                for execution in page:
                    count += await self._take_on(execution)
        except StoreUnavailableError as error:
            _log.warning("recovery waits for the store: %s", error)
        if count:
            _log.info("took on %d open executions", count)

    async def _take_on(self, execution: Execution) -> bool:
        """Resume an execution unless it is here already; one that cannot be must not stop the others."""
        if execution.id in self._runs or execution.id in self._starting:
            return False
        try:
            return await self._resume(execution)
        except StoreUnavailableError:
            raise
        except Exception:  # one that cannot be resumed must not stop the others
            _log.exception("execution %s cannot be resumed", execution.id)
            return False

    async def _resume(self, listed: Execution) -> bool:
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
        again = StepScheduled(step_id=run.step_id, attempt=run.attempt + 1, cause="the server restarted")
        self._runs[execution.id] = run
        run.task = asyncio.create_task(self._drive(run, again), name=f"run {execution.id}")
        return True

    async def drain(self, grace: timedelta) -> None:
        """Stop at a durable point: finish the steps that run, within the grace, and start no more."""
        self._draining = True
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace.total_seconds())
        for run in list(self._runs.values()):
            async with run.lock:
                self._release(run, draining())
        await asyncio.gather(*tasks, return_exceptions=True)
        self.hub.wake_all()

    @property
    def draining(self) -> bool:
        """Whether it is stopping."""
        return self._draining

    def _release(self, run: Run, error: WeftError) -> None:
        self._forget(run)
        if run.task is not None and run.task is not asyncio.current_task():
            run.task.cancel()
        if not run.ended.done():
            run.ended.set_exception(error)

    def _forget(self, run: Run) -> None:
        """Own an execution no longer, unless it was taken on again since."""
        if self._runs.get(run.execution.id) is run:
            del self._runs[run.execution.id]

    # ---- running

    async def end(self, run: Run, body: EventBody) -> None:
        """Bring an execution to a final state from outside, and stop what runs for it.

        A caller who leaves does not stop it half way: what is on its way to the
        disk would be recorded there and not here.

        Raises:
            StaleWriteError: It has ended already.
        """
        await asyncio.shield(self._end(run, body))

    async def _end(self, run: Run, body: EventBody) -> None:
        try:
            await run.record(self._store, self.hub, self._clock, body)
        except StaleWriteError:
            self._stale(run)
            raise
        self._forget(run)
        if run.task is not None:
            run.task.cancel()

    def _stale(self, run: Run) -> None:
        """Let go of a run that was refused a write; unless it has ended here, read again what is stored."""
        if run.execution.state.final or self._runs.get(run.execution.id) is not run:
            return
        _log.warning("execution %s is not as it was last seen; reading it again", run.execution.id)
        self._release(run, StoreUnavailableError("the execution changed meanwhile; look again"))
        if not self._draining:
            self.start_recovery()

    async def _drive(self, run: Run, first: StepScheduled | None = None) -> None:
        """Run an execution to its end, or until this server lets go of it."""
        context = run.execution.context.flat()
        with bind_log_context(**context, execution_id=run.execution.id):
            timer = self._start_timer(run)
            try:
                if first is not None:
                    await run.record(self._store, self.hub, self._clock, first)
                while not run.execution.state.final:
                    if self._draining:
                        self._release(run, draining())
                        return
                    await self._step(run)
            except StaleWriteError:
                self._stale(run)
            except (StoreUnavailableError, StoreFullError) as error:
                _log.warning("stopped: %s", error)
                self._release(run, error)
            except Exception as error:
                _log.exception("a defect of the engine")
                self._release(run, InternalError(f"{type(error).__name__}: {error}"))
            finally:
                if timer is not None:
                    timer.cancel()
                if run.execution.state.final:
                    self._forget(run)

    async def _step(self, run: Run) -> None:
        """Run the scheduled step once and record how it went and what follows."""
        planned = run.plan.steps[run.step_id]
        async with self._turns:
            if self._draining:
                return  # its turn came too late; it is recorded as due
            try:
                completed, output = await self._attempt(run, planned)
            except WeftError as error:
                bodies = self._failed(run, error)
            except Exception as error:  # a defect must end the execution, not wedge it
                _log.exception("step %s: a defect of the engine", run.step_id)
                bodies = self._failed(run, InternalError(f"{type(error).__name__}: {error}"))
            else:
                bodies = self._succeeded(run, planned, completed, output)
        await run.record(self._store, self.hub, self._clock, *bodies)

    async def _attempt(self, run: Run, planned: PlannedStep) -> tuple[StepCompleted, JsonObject]:
        step = planned.step
        identity = CallIdentity(
            execution_id=run.execution.id,
            workflow_id=run.execution.workflow_id,
            step_id=step.id,
            attempt=run.attempt,
            idempotency_key=f"{run.execution.id}/{step.id}",
            context=run.execution.context,
        )

        def make_input(schema: Schema) -> JsonObject:
            if planned.template is None:
                return implicit_input(schema, run.input, run.outputs.values())
            return planned.template.render(_scope(run))

        outcome = await self._dispatcher.call(step.service, step.action, make_input, identity, step.timeout)
        completed = StepCompleted(
            step_id=step.id,
            attempt=run.attempt,
            output=outcome.text,
            instance_id=outcome.instance_id,
        )
        return completed, outcome.output

    def _succeeded(
        self, run: Run, planned: PlannedStep, completed: StepCompleted, output: JsonObject
    ) -> tuple[EventBody, ...]:
        if planned.step.next:
            return completed, StepScheduled(step_id=planned.step.next)
        violations = run.plan.output_schema.violations(output, "result")
        if not violations:
            return completed, ExecutionCompleted(result=completed.output)
        error = PreconditionError(
            f"the result does not fit the workflow's output schema: {violations[0]}",
            reason=Reason.RESULT_INVALID,
            violations=violations,
        )
        return completed, ExecutionFailed(failure=Failure.of(error))

    def _failed(self, run: Run, error: WeftError) -> tuple[EventBody, ...]:
        failure = Failure.of(error)
        # Not the message: it may quote values of the payload, which have no place in a log.
        _log.info("step %s failed: %s", run.step_id, failure.reason)
        failed = StepFailed(
            step_id=run.step_id,
            attempt=run.attempt,
            failure=failure,
            instance_id=error.metadata.get("instance_id", ""),
        )
        return failed, ExecutionFailed(failure=failure)

    # ---- time

    def _start_timer(self, run: Run) -> asyncio.Task[None] | None:
        if run.execution.expire_time is None:
            return None
        return asyncio.create_task(self._expire(run), name=f"timer {run.execution.id}")

    async def _expire(self, run: Run) -> None:
        expire_time = run.execution.expire_time
        if expire_time is None:
            return
        while (left := (expire_time - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(left)
        timed_out = ExecutionTimedOut(timeout=expire_time - run.execution.create_time)
        with contextlib.suppress(StaleWriteError, StoreUnavailableError, StoreFullError):
            await self.end(run, timed_out)


def draining() -> ServiceUnavailableError:
    """Say that the server is stopping."""
    return ServiceUnavailableError(
        "weft",
        "the server is stopping; the execution goes on when it is back",
        reason=Reason.SERVER_DRAINING,
        retry_after=timedelta(seconds=1),
    )


def _scope(run: Run) -> dict[str, object]:
    """Return the names that an expression may use."""
    execution = run.execution
    return {
        "input": run.input,
        "steps": run.outputs,
        "context": {"project_id": "", "request_id": "", **execution.context.flat()},
        "execution": {
            "id": execution.id,
            "workflow_id": execution.workflow_id,
            "workflow_name": execution.workflow_name,
            "workflow_version": execution.workflow_version,
            "create_time": execution.create_time.isoformat(),
        },
    }
