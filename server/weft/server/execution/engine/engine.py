"""The engine: drives the executions that this server owns, each to its end or to where it waits.

What it promises: a step's action runs at least once, its result is recorded
exactly once. "Step done" and "next step scheduled" are one commit, so at any
moment the history says what to do next; the memory is a cache of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from weft.core.clock import Clock
from weft.core.context import bind_log_context
from weft.core.errors import InternalError, ServiceUnavailableError, WeftError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.server.execution.engine.attempting import Attempts
from weft.server.execution.engine.children import Children
from weft.server.execution.engine.claims import Claims, FindPlan, give_up
from weft.server.execution.engine.dispatch import Dispatcher
from weft.server.execution.engine.driver import Driver
from weft.server.execution.engine.limits import EngineLimits, Room, Turns
from weft.server.execution.engine.step_cache import StepCache
from weft.server.execution.engine.step_limits import StepLimits
from weft.server.execution.engine.step_turns import StepTurns
from weft.server.execution.engine.steps import StepRunner
from weft.server.execution.engine.traces import ExecutionTraces
from weft.server.execution.history.hub import Hub
from weft.server.execution.history.model import (
    Event,
    EventBody,
    Execution,
    ExecutionClosing,
    ExecutionTimedOut,
    StepProgressed,
    Waits,
)
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.plan import Plan
from weft.server.execution.history.run import Decide, Run
from weft.server.execution.rules.settle import settling
from weft.server.store.base import (
    ExecutionStore,
    StaleWriteError,
    StoreFullError,
    StoreState,
    StoreUnavailableError,
)
from weft.server.tasks import to_its_end

__all__ = ["Engine", "EngineLimits", "draining"]

_log = logging.getLogger("weft.server.engine")


class Family(Protocol):
    """Tells executions of each other."""

    def ended(self, child: Execution) -> None:
        """Tell a parent that its child has ended."""
        ...

    def orphaned(self, child_id: str) -> None:
        """Cancel a child that is not needed any more."""
        ...


class Engine:
    """Runs the executions of this server.

    Args:
        store: Where histories are kept.
        dispatcher: Calls actions.
        find_plan: Returns what a workflow's version does.
        clock: For times and timeouts.
        limits: How much it takes on.
        traces: Keeps each execution in its trace.

    Attributes:
        hub: Wakes whoever follows an execution.
        claims: Looks after what is in the store and nobody's.
        children: Starts child executions, and looks how they ended.
        family: Is told of executions whose parents or children have to know; set by who can reach them.
        step_turns: Has the turns of steps with a limit.
        paused_workflows: Whose executions schedule no step.
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
        self._traces = traces or ExecutionTraces()
        self._runs: dict[str, Run] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._draining = False
        self.hub = Hub()
        self.paused_workflows: frozenset[str] = frozenset()
        self.family: Family | None = None
        self.claims = Claims(self, store, find_plan, self.hub, clock)
        cache = StepCache(store, clock)
        self._steps = StepRunner(dispatcher, self._traces, clock, self._note_progress, cache=cache)
        self.children = Children(store)
        self.step_turns = StepTurns(StepLimits(store, clock, self.turn_came), clock)
        attempts = Attempts(self, self._steps, Turns(limits or EngineLimits()), self.step_turns)
        self._driver = Driver(self, self._steps, attempts, self.children, clock)
        self._settle = settling(self.held)

    # ---- taking on and letting go

    def admit(self, execution_id: str, size: int) -> None:
        """Keep a place for an execution that is being stored, until it is ``settled``.

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

    def reserve(self, execution_id: str) -> bool:
        """Keep a place for an execution that is being claimed, until it is ``settled``; False: it has one."""
        if self.has(execution_id):
            return False
        self._room.hold(execution_id, 0)
        return True

    def settled(self, execution_id: str) -> None:
        """Give back the place of an execution, unless it is owned by now: it was not stored, or it waits."""
        if execution_id not in self._runs:
            self._room.free(execution_id)

    def own(
        self, execution: Execution, plan: Plan, history: tuple[Event, ...], value: JsonObject | None = None
    ) -> None:
        """Take on an execution that is stored, and run it.

        Args:
            execution: As it is stored.
            plan: What it runs.
            history: All of its events.
            value: What its input says, where that was read already.
        """
        run = Run(execution, plan, history)
        if value is not None:
            run.know_input(value)
        self.launch(run)

    def launch(self, run: Run, first: Sequence[EventBody] = ()) -> None:
        """Take on a run and drive it, recording what comes first."""
        self.hold(run)
        self.go(run, first)

    def hold(self, run: Run) -> None:
        """Take on a run; somebody has something to record before it is driven."""
        self._runs[run.execution.id] = run
        self._room.hold(run.execution.id, run.size)
        run.ended.add_done_callback(partial(self._trace_end, run))
        run.outcomes = self._steps

    def go(self, run: Run, first: Sequence[EventBody] = ()) -> None:
        """Drive a run that is held."""
        run.task = asyncio.create_task(self._drive(run, first), name=f"run {run.execution.id}")

    def _trace_end(self, run: Run, ended: asyncio.Future[Execution]) -> None:
        if not ended.cancelled() and ended.exception() is None and ended.result().state.final:
            self._traces.ended(run, ended.result())

    def has(self, execution_id: str) -> bool:
        """Tell whether an execution is open here, or about to be."""
        return execution_id in self._room

    def owned(self, execution_id: str) -> Run | None:
        """Return the open execution of that id."""
        return self._runs.get(execution_id)

    @property
    def places(self) -> int:
        """How many more executions there is room for."""
        return self._room.places

    @property
    def open_count(self) -> int:
        """How many executions are in memory."""
        return len(self._runs)

    @property
    def held_bytes(self) -> int:
        """How many bytes of payload they hold."""
        return self._room.held_bytes

    def store_changed(self, state: StoreState) -> None:
        """Let go of everything while the store is broken; take it on again afterwards.

        What was being written when it broke may or may not be there: only the
        store knows, so the memory is thrown away.
        """
        if state is StoreState.BROKEN:
            error = StoreUnavailableError("the store failed; whether the last step is recorded is unknown")
            for run in list(self._runs.values()):
                self.release(run, error)
        elif not self._draining:
            self.start_recovery("the store failed")

    def start_recovery(self, cause: str = "the server restarted") -> None:
        """Begin to take on, in the background, what is due in the store and nobody's.

        Args:
            cause: What the history says of a step that is scheduled again.
        """
        self.claims.start(cause)

    def workflow_changed(self, workflow_id: str, *, paused: bool) -> None:
        """Hold the executions of a workflow, or let them go on."""
        known = self.paused_workflows
        self.paused_workflows = known | {workflow_id} if paused else known - {workflow_id}
        self.claims.workflows_changed()

    async def drain(self, grace: timedelta) -> None:
        """Stop at a durable point: finish the steps that run, within the grace, and start no more."""
        self._draining = True
        await self.claims.stop()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for run in self._runs.values():
            for pulse in run.pulses.values():
                pulse.unheard()
            run.news.set()
        if tasks:
            await asyncio.wait(tasks, timeout=grace.total_seconds())
        for run in list(self._runs.values()):
            async with run.lock:
                self.release(run, draining())
        await asyncio.gather(*tasks, return_exceptions=True)
        self.hub.wake_all()

    @property
    def draining(self) -> bool:
        """Whether it is stopping."""
        return self._draining

    def turn_came(self, execution_id: str) -> None:
        """Take note that a call of an execution may have its turn at a step with a limit."""
        run = self._runs.get(execution_id)
        if run is None:
            self.claims.commands_left()  # it may be due, if nobody owns it
        elif run.turns:
            run.turn_came = True
            run.news.set()

    async def sweep_turns(self) -> None:
        """Give on the turns that nobody gave back.

        Raises:
            StoreUnavailableError: Of the store.
        """
        await self.step_turns.sweep(list(self._runs.values()))

    def workflow_paused(self, run: Run) -> bool:
        """Tell whether the workflow of a run is paused."""
        return run.execution.workflow_id in self.paused_workflows

    def held(self, run: Run) -> bool:
        """Tell whether no step of a run is to be scheduled now."""
        return self._draining or run.queued or self.workflow_paused(run)

    def require_lease(self) -> None:
        """Check that what is owned here is not another server's by now.

        Raises:
            StoreUnavailableError: It may be.
        """
        if self._store.state is StoreState.BROKEN:
            raise StoreUnavailableError("the store failed; nothing is started until it is back")

    def release(self, run: Run, error: WeftError) -> None:
        """Let go of a run in memory; whoever waits for it here is told why."""
        self.forget(run)
        if run.task is not None and run.task is not asyncio.current_task():
            run.task.cancel()
        if not run.ended.done():
            run.ended.set_exception(error)
        self.hub.changed(run.execution.id)  # who follows it has to look for it elsewhere from now on

    def forget(self, run: Run) -> None:
        """Have an execution no longer, unless it was taken on again since."""
        if self._runs.get(run.execution.id) is run:
            del self._runs[run.execution.id]
            self._room.free(run.execution.id)
            self.claims.room_made()

    def orphaned(self, child_id: str) -> None:
        """Cancel a child that its parent does not need any more."""
        if self.family is not None:
            self.family.orphaned(child_id)

    # ---- recording

    async def record(self, run: Run, decide: Decide) -> None:
        """Record what happened to a run, and let go of it when it waits or has ended.

        Raises:
            StaleWriteError: It has ended, or is nobody's or another's.
            StoreUnavailableError: Whether it is recorded is not known.
        """
        try:
            await run.record(self._store, self.hub, self._clock, decide, self._settle)
        finally:
            self._after(run)
        if run.released:
            self._let_go(run)
        elif self._runs.get(run.execution.id) is run:
            self._room.hold(run.execution.id, run.size)
        if run.turns:
            await self.step_turns.settle(run)

    def _after(self, run: Run) -> None:
        """Tell those who have to do with what was recorded."""
        if run.torn or self.family is None:
            return
        for child_id in run.orphans():
            self.orphaned(child_id)
        if run.execution.state.final and run.execution.parent.execution_id:
            self.family.ended(run.execution)

    async def park(self, run: Run, waits: Waits, due: datetime | None) -> None:
        """Let a run wait in the store."""
        await run.park(self._store, waits, due)
        if not run.released:
            return  # there is news of it
        self._let_go(run)
        if run.turns:
            await self.step_turns.settle(run)

    def _let_go(self, run: Run) -> None:
        self.forget(run)
        if run.execution.slot and run.execution.state.final:
            self.claims.slot_free()
        if not run.ended.done():
            run.ended.set_result(run.execution)  # not its end: who waits looks into the store from now on

    async def end(self, run: Run, body: EventBody) -> None:
        """Bring an execution to a final state from outside, and stop what runs for it.

        A caller who leaves does not stop it half way: what is on its way to the
        disk would be recorded there and not here.

        Raises:
            StaleWriteError: It has ended already, or was let go of.
        """
        await to_its_end(self.command(run, lambda _: (body,)))

    async def command(self, run: Run, decide: Decide) -> None:
        """Record what somebody decided about a run, and stop what runs for it when that ends it.

        Raises:
            StaleWriteError: It has ended already, or was let go of.
            WeftError: Of the decision.
        """
        before: list[ExecutionClosing | None] = []

        def decide_and_look(run: Run) -> Sequence[EventBody]:
            before.append(run.standing.closing)
            return decide(run)

        try:
            await self.record(run, decide_and_look)
        except StaleWriteError:
            self._stale(run)
            raise
        except BaseException:
            if run.torn:
                self._stale(run)
            raise
        if run.task is None:
            return
        if run.released:
            run.task.cancel()
        elif run.standing.closing not in before and run.plan.flat and run.in_flight:
            run.task.cancel()  # the attempt is its own; what is left to do is driven anew
            self.go(run)

    def _stale(self, run: Run) -> None:
        """Let go of a run that was refused a write, unless it is let go of already; read it again."""
        if run.released or self._runs.get(run.execution.id) is not run:
            return
        _log.warning("execution %s is not as it was last seen; reading it again", run.execution.id)
        self.release(run, StoreUnavailableError("the execution changed meanwhile; look again"))
        if not self._draining:
            self.claims.read_again(run.execution.id)

    def _note_progress(self, run: Run, place: Place, details: bytes) -> None:
        progress = StepProgressed(step_id=place.path, attempt=place.attempt, details=details)
        noting = asyncio.create_task(self._note(run, progress), name=f"progress of {run.execution.id}")
        self._notes.add(noting)
        noting.add_done_callback(self._notes.discard)

    async def _note(self, run: Run, progress: StepProgressed) -> None:
        def decide(run: Run) -> tuple[EventBody, ...]:
            place = run.standing.at(progress.step_id)
            current = (
                place is not None and place.phase is Phase.SCHEDULED and place.attempt == progress.attempt
            )
            return (progress,) if current and progress.step_id in run.in_flight else ()

        with contextlib.suppress(StaleWriteError, StoreUnavailableError, StoreFullError):
            await self.record(run, decide)

    # ---- running

    async def _drive(self, run: Run, first: Sequence[EventBody]) -> None:
        """Run an execution until it ends, waits in the store, or this server lets go of it."""
        ids = {**run.execution.context.flat(), "execution_id": run.execution.id}
        with bind_log_context(**ids), self._traces.within(run):
            timer = self._start_timer(run)
            try:
                if first:
                    await self.record(run, lambda _: first)
                await self._driver.drive(run)
                if not run.released:
                    self.release(run, draining())
            except StaleWriteError:
                self._stale(run)
            except (StoreUnavailableError, StoreFullError) as error:
                _log.warning("stopped: %s", error)
                self.release(run, error)
            except Exception as error:
                _log.exception("a defect of the engine")
                await self._abandon(run, error)
            finally:
                if timer is not None:
                    timer.cancel()

    async def _abandon(self, run: Run, error: Exception) -> None:
        """Let go of a run that a defect stopped, and end it: nobody else would."""
        self.release(run, InternalError(f"{type(error).__name__}: {error}"))
        with contextlib.suppress(
            StoreUnavailableError, StoreFullError
        ):  # it is claimed again when it is back
            await give_up(run.execution, error, self._store, self.hub, self._clock)

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
