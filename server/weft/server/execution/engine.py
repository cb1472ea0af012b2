"""The engine: owns open executions and drives each to its end, survives crashes.

What it promises: a step's action runs at least once, its result is recorded
exactly once. "Step done" and "next step scheduled" are one commit, so at any
moment the history says what to do next; the memory is a cache of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from functools import partial

from weft.core.clock import Clock
from weft.core.context import bind_log_context
from weft.core.errors import InternalError, ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.server.execution.dispatch import Dispatcher
from weft.server.execution.hub import Hub
from weft.server.execution.limits import EngineLimits, Room, Turns
from weft.server.execution.model import Event, EventBody, Execution, ExecutionTimedOut, StepScheduled
from weft.server.execution.plan import Plan
from weft.server.execution.recovery import FindPlan, Recovery, give_up
from weft.server.execution.run import Run
from weft.server.execution.steps import StepRunner
from weft.server.execution.traces import ExecutionTraces
from weft.server.store.base import (
    ExecutionStore,
    StaleWriteError,
    StoreFullError,
    StoreState,
    StoreUnavailableError,
)

__all__ = ["Engine", "EngineLimits", "draining"]

_log = logging.getLogger("weft.server.engine")


class Engine:
    """Runs the executions of this server.

    Args:
        store: Where histories are kept.
        dispatcher: Calls actions.
        find_plan: Returns what a workflow's version does.
        clock: For times and timeouts.
        limits: How much it takes on.
        traces: Keeps each execution in its trace.
    """

    def __init__(
        self,
        store: ExecutionStore,
        dispatcher: Dispatcher,
        find_plan: FindPlan,
        clock: Clock,
        limits: EngineLimits | None = None,
        traces: ExecutionTraces | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._room = Room(limits or EngineLimits())
        self._turns = Turns(limits or EngineLimits())
        self._traces = traces or ExecutionTraces()
        self._steps = StepRunner(dispatcher, self._traces, clock)
        self._runs: dict[str, Run] = {}
        self._draining = False
        self.hub = Hub()
        self._recovery = Recovery(self, store, find_plan, self.hub, clock)

    # ---- taking on and letting go

    def admit(self, execution_id: str, size: int) -> None:
        """Keep a place for an execution that is being stored; recovery lets it alone until it is ``settled``.

        Args:
            execution_id: Which one.
            size: How many bytes its input has.

        Raises:
            ServiceUnavailableError: SERVER_DRAINING.
            ExhaustedError: ENGINE_FULL.
        """
        if self._draining:
            raise draining()
        self._room.reserve(execution_id, size)

    def settled(self, execution_id: str) -> None:
        """Give back the place of an execution, unless it is owned by now: it was not stored."""
        if execution_id not in self._runs:
            self._room.free(execution_id)

    def own(self, execution: Execution, plan: Plan, history: tuple[Event, ...]) -> None:
        """Take on an execution that is stored, and run it."""
        self.launch(Run(execution, plan, history))

    def launch(self, run: Run, first: StepScheduled | None = None) -> None:
        """Take on a run, recording what comes first."""
        execution_id = run.execution.id
        self._runs[execution_id] = run
        self._room.hold(execution_id, run.size)
        run.ended.add_done_callback(partial(self._trace_end, run))
        run.task = asyncio.create_task(self._drive(run, first), name=f"run {execution_id}")

    def _trace_end(self, run: Run, ended: asyncio.Future[Execution]) -> None:
        if not ended.cancelled() and ended.exception() is None:
            self._traces.ended(run, ended.result())

    def has(self, execution_id: str) -> bool:
        """Tell whether an execution is open here, or about to be."""
        return execution_id in self._room

    def owned(self, execution_id: str) -> Run | None:
        """Return the open execution of that id."""
        return self._runs.get(execution_id)

    @property
    def open_count(self) -> int:
        """How many executions are open."""
        return len(self._runs)

    @property
    def held_bytes(self) -> int:
        """How many bytes of payload the open ones hold."""
        return self._room.held_bytes

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
            self.start_recovery("the store failed")

    def start_recovery(self, cause: str = "the server restarted") -> None:
        """Take on, in the background, every open execution that is stored.

        Args:
            cause: What the history says of a step that is scheduled again.
        """
        self._recovery.start(cause)

    async def drain(self, grace: timedelta) -> None:
        """Stop at a durable point: finish the steps that run, within the grace, and start no more."""
        self._draining = True
        await self._recovery.stop()
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
            self._room.free(run.execution.id)

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
            self.start_recovery("its record had changed")

    async def _drive(self, run: Run, first: StepScheduled | None = None) -> None:
        """Run an execution to its end, or until this server lets go of it."""
        ids = {**run.execution.context.flat(), "execution_id": run.execution.id}
        with bind_log_context(**ids), self._traces.within(run):
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
                await self._abandon(run, error)
            finally:
                if timer is not None:
                    timer.cancel()
                if run.execution.state.final:
                    self._forget(run)

    async def _step(self, run: Run) -> None:
        """Run the scheduled step once and record how it went and what follows."""
        async with self._turns.turn(run.service):
            if self._draining:
                return  # its turn came too late; it is recorded as due
            bodies = await self._steps.run(run)
        await run.record(self._store, self.hub, self._clock, *bodies)
        if self._runs.get(run.execution.id) is run:
            self._room.hold(run.execution.id, run.size)

    async def _abandon(self, run: Run, error: Exception) -> None:
        """Let go of a run that a defect stopped, and end it: nobody else would."""
        self._release(run, InternalError(f"{type(error).__name__}: {error}"))
        with contextlib.suppress(StoreUnavailableError, StoreFullError):  # recovery comes by when it is back
            await give_up(run.execution, error, self._store, self.hub, self._clock)

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
