"""Takes on what is open in the store, due, and nobody's: after a start, a failure, a wait, a death."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from weft.core.clock import Clock
from weft.core.errors import Code, InternalError, WeftError
from weft.core.reasons import Reason
from weft.server.execution.engine.step_turns import StepTurns
from weft.server.execution.history.hub import Hub
from weft.server.execution.history.model import (
    Event,
    EventBody,
    Execution,
    ExecutionFailed,
    ExecutionTimedOut,
    Failure,
    IncidentRaised,
    StepScheduled,
)
from weft.server.execution.history.numbered import number_events, summarize
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.plan import Plan
from weft.server.execution.history.run import Run
from weft.server.execution.history.standing import Standing
from weft.server.execution.rules.endings import ending
from weft.server.forms import NewerReleaseError
from weft.server.store.base import Claim, Command, ExecutionStore, StoreFullError, StoreUnavailableError

__all__ = ["Claims", "FindPlan", "again", "give_up", "lost"]

_log = logging.getLogger("weft.server.engine")

_PAGE: Final = 500
_AT_ONCE: Final = 50
"""How many histories are read at the same time; a page of one has up to 2 MiB."""
_LOOK_SECONDS: Final = 1.0
"""How often the store is looked at, when nothing is known to be due earlier."""
_SWEEP_SECONDS: Final = 5.0
"""How often slots are looked at, beside the moments when one becomes free."""

_LEAVE: Final = timedelta(seconds=5)
"""For how long an execution, or a command, is left alone that only newer servers can go on with."""

_GONE: Final = "the server that ran it is gone"
_NO_PARENT: Final = "the execution that started it has ended"

FindPlan = Callable[[str, int], Awaitable[Plan]]


class Owner(Protocol):
    """Who has executions in its hands."""

    paused_workflows: frozenset[str]

    def has(self, execution_id: str) -> bool:
        """Tell whether an execution is here, or about to be."""
        ...

    def reserve(self, execution_id: str) -> bool:
        """Keep a place for an execution until it is ``settled``; False: it has one."""
        ...

    def settled(self, execution_id: str) -> None:
        """Give back the place of an execution, unless it is run by now."""
        ...

    @property
    def places(self) -> int:
        """How many more it has room for."""
        ...

    def launch(self, run: Run, first: Sequence[EventBody] = ()) -> None:
        """Take on an execution, recording what comes first."""
        ...

    @property
    def step_turns(self) -> StepTurns:
        """The turns of steps with a limit."""
        ...

    def turn_came(self, execution_id: str) -> None:
        """Take note that a call of an execution may have its turn."""
        ...

    async def sweep_turns(self) -> None:
        """Give on the turns that nobody gave back."""
        ...


class Claims:
    """Looks after the executions of the store that are nobody's.

    Args:
        owner: Who takes them on.
        store: Where they are.
        find_plan: Returns what a workflow's version does.
        hub: Is told of what ends here.
        clock: For times.

    Attributes:
        obey: Is given the commands that other servers left for executions of this one.
        obeys: Of which kinds.
        task: Claims in the background; none before it was started.
    """

    def __init__(
        self, owner: Owner, store: ExecutionStore, find_plan: FindPlan, hub: Hub, clock: Clock
    ) -> None:
        self._owner = owner
        self._store = store
        self._find_plan = find_plan
        self._hub = hub
        self._clock = clock
        self._cause = ""
        self._listens_since = clock.now()
        self._poke = asyncio.Event()
        self._sweep_due = True
        self._swept = float("-inf")
        self._full = False
        self._again: set[str] = set()
        self._left: list[tuple[float, Command]] = []
        self.task: asyncio.Task[None] | None = None
        self.obey: Callable[[Command], Awaitable[None]] | None = None
        self.obeys: frozenset[str] = frozenset()
        store.on_change(self._changed)

    def start(self, cause: str) -> None:
        """Begin, or begin again.

        Args:
            cause: Why an attempt that nobody runs any more is scheduled again.
        """
        self._cause = cause
        self._listens_since = self._clock.now()
        if self.task is not None:
            self.task.cancel()
        self.task = asyncio.create_task(self._run(), name="claim executions")

    async def stop(self) -> None:
        """End it where it stands."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        with suppress(StoreUnavailableError, StoreFullError):
            await self._leave_again(float("inf"))

    def room_made(self) -> None:
        """Tell that there may be room where there was none."""
        if self._full:
            self._full = False
            self._poke.set()

    def slot_free(self) -> None:
        """Tell that an execution with a slot has ended."""
        self._sweep_due = True
        self._poke.set()

    def commands_left(self) -> None:
        """Tell that there may be commands for executions that are here, or nobody's."""
        self._poke.set()

    def workflows_changed(self) -> None:
        """Tell that a workflow was paused or resumed."""
        self._sweep_due = True
        self._poke.set()

    def read_again(self, execution_id: str) -> None:
        """Take on an execution that was let go of because it was not as it was last seen."""
        self._again.add(execution_id)
        self._poke.set()

    def _changed(self, execution_ids: Sequence[str]) -> None:
        for execution_id in execution_ids:
            self._hub.changed(execution_id)
            if self._owner.has(execution_id):
                self._owner.turn_came(execution_id)
        if not execution_ids or any(map(self._owner.has, execution_ids)):
            self._poke.set()  # something is due, or there is a command for what is here

    async def _run(self) -> None:
        while True:
            self._poke.clear()
            try:
                pause = await self._look()
            except (StoreUnavailableError, StoreFullError) as error:
                _log.warning("claims wait for the store: %s", error)
                pause = _LOOK_SECONDS
            except Exception:  # nobody waits for this task, so nobody else would tell
                _log.exception("looking for due executions failed")
                pause = _LOOK_SECONDS
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        sleeping = asyncio.create_task(self._clock.sleep(seconds))
        poked = asyncio.create_task(self._poke.wait())
        try:
            await asyncio.wait((sleeping, poked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            poked.cancel()

    async def _look(self) -> float:
        """Do what there is to do; return after how many seconds to look again."""
        self._owner.paused_workflows = await self._store.paused_workflows()
        await self._grant()
        await self._leave_again(self._clock.monotonic())
        if self.obey is not None:
            for command in await self._store.take_commands(kinds=self.obeys):
                await self._obey(command, self.obey)
        for execution_id in tuple(self._again):
            self._again.discard(execution_id)
            claim = await self._store.claim_execution(execution_id)
            if claim is not None and claim.granted:
                await self.take_on(claim.execution, "its record had changed")
        due = await self._claim()
        if due is None:
            return _LOOK_SECONDS
        return min(_LOOK_SECONDS, max(0.0, (due - self._clock.now()).total_seconds()))

    async def _obey(self, command: Command, obey: Callable[[Command], Awaitable[None]]) -> None:
        try:
            await obey(command)
        except NewerReleaseError as error:
            _log.warning(
                "%s for %s is left for another server: %s", command.kind, command.execution_id, error
            )
            self._left.append((self._clock.monotonic() + _LEAVE.total_seconds(), command))

    async def _leave_again(self, now: float) -> None:
        """Leave commands again that only newer servers can carry out; later, or they came back at once."""
        for moment, command in tuple(self._left):
            if moment <= now:
                await self._store.post_command(command)
                self._left.remove((moment, command))

    async def _grant(self) -> None:
        now = self._clock.monotonic()
        if self._sweep_due or now - self._swept >= _SWEEP_SECONDS:
            self._sweep_due, self._swept = False, now
            await self._store.grant_slots(self._clock.now())
            await self._store.wake_resumed(self._clock.now())
            await self._owner.sweep_turns()

    async def _claim(self) -> datetime | None:
        """Take on what is due while there is room; return when more will be, as far as is known."""
        count, due = 0, None
        while (room := self._owner.places) > 0:
            due = await self._store.next_due()
            if due is None or due > self._clock.now():
                break
            count += await self._take_on_all(await self._store.claim_due(self._clock.now(), min(room, _PAGE)))
        self._full = not room  # then whoever leaves tells
        if count:
            _log.info("took on %d open executions", count)
        if room:
            self._cause = _GONE  # what comes free from now on was another server's
        return due

    async def _take_on_all(self, executions: Sequence[Execution]) -> int:
        """Take on executions, some at the same time: one by one, each would wait behind all that run.

        One that fails does not keep the others out: they are owned here, so nobody else would take them on.
        """
        count = 0
        failed: list[BaseException] = []
        for begin in range(0, len(executions), _AT_ONCE):
            part = executions[begin : begin + _AT_ONCE]
            done = await asyncio.gather(
                *(self.take_on(each, self._cause) for each in part), return_exceptions=True
            )
            for outcome in done:
                if isinstance(outcome, BaseException):
                    failed.append(outcome)
                else:
                    count += outcome
        if failed:
            raise failed[0]
        return count

    async def _load(self, execution: Execution) -> Run:
        """Read the history of an execution that is owned here, so that nobody adds to it meanwhile."""
        plan = await self._find_plan(execution.workflow_id, execution.workflow_version)
        events: list[Event] = []
        while len(events) < execution.last_event and (
            page := await self._store.read_events(execution.id, after=events[-1].number if events else 0)
        ):
            events += page
        return Run(execution, plan, events)

    async def take_on(self, execution: Execution, cause: str) -> bool:
        """Run an execution that is owned here, unless it runs already; one that cannot be is ended, visibly.

        Raises:
            StoreUnavailableError: Of the store.
            StoreFullError: Of the store.
        """
        if execution.state.final or not self._owner.reserve(execution.id):
            return False
        try:
            run = await self.take_in(execution)
            if run is not None:
                first = self.first(run, cause)
                if await self._is_orphan(run):
                    first = (ending(run, cancelled=_NO_PARENT),)
                self._owner.launch(run, first)
        finally:
            self._owner.settled(execution.id)
        return run is not None

    async def take_in(self, execution: Execution) -> Run | None:
        """Read an execution that is owned here; one that cannot go on is ended, visibly, and None.

        One that only servers of a newer release can go on with is given back, for one of them.

        Raises:
            StoreUnavailableError: Of the store.
            StoreFullError: Of the store.
        """
        try:
            run = await self._load(execution)
            for place in run.standing.in_phase(Phase.ACCEPTED):
                place.unheard_before(self._listens_since)
            await self._owner.step_turns.take_in(run)
            return run  # noqa: TRY300 - whatever fails up to here is told below
        except (StoreUnavailableError, StoreFullError):
            raise
        except NewerReleaseError as error:
            _log.warning("execution %s is left for another server: %s", execution.id, error)
            later = replace(execution, due_time=self._clock.now() + _LEAVE)
            await self._store.append_events(later, (), execution.last_event, release=True)
            return None
        except Exception as error:  # one that cannot be resumed must not stop the others
            _log.exception("execution %s cannot be resumed", execution.id)
            await give_up(execution, error, self._store, self._hub, self._clock)
            return None

    async def _is_orphan(self, run: Run) -> bool:
        """Tell whether the parent of an execution is over: the server that was to tell it may have died."""
        parent = run.execution.parent
        if not parent.execution_id or parent.abandon or run.standing.closing is not None:
            return False
        try:
            found = await self._store.get_execution(parent.execution_id)
        except NewerReleaseError:  # newer servers know what it is, and look after its children
            return False
        return found is None or found.state.final

    def first(self, run: Run, cause: str) -> tuple[EventBody, ...]:
        """Return what is recorded first of a run that was read: an attempt that nobody runs is lost."""
        expire = run.execution.expire_time
        if expire is not None and expire <= self._clock.now():
            return (ExecutionTimedOut(timeout=expire - run.execution.create_time),)
        if run.standing.paused:
            return ()
        return tuple(again(place, cause) for place in lost(run))


def lost(run: Run) -> list[Place]:
    """Return where an attempt is scheduled that nobody runs."""
    return [
        place
        for place in run.standing.in_phase(Phase.SCHEDULED)
        if place.path not in run.in_flight and ((it := place.planned) is None or it.step.does is None)
    ]


def again(place: Place, cause: str) -> EventBody:
    """Return what is recorded of an attempt that is lost: another one, unless it must not run twice."""
    planned = place.planned
    if planned is None or not planned.step.at_most_once:
        return StepScheduled(step_id=place.path, attempt=place.attempt + 1, cause=cause)
    failure = Failure(
        reason=str(Reason.OUTCOME_UNKNOWN),
        message=f"whether attempt {place.attempt} of {place.path} ran is not known: {cause}",
        code=Code.UNKNOWN,
        metadata={"step_id": place.path, "attempt": str(place.attempt)},
    )
    return IncidentRaised(step_id=place.path, attempt=place.attempt, failure=failure)


async def give_up(
    execution: Execution, error: Exception, store: ExecutionStore, hub: Hub, clock: Clock
) -> None:
    """End an execution that nobody can go on with: whoever waits for it sees that, and why.

    Raises:
        StoreUnavailableError: Of the store.
        StoreFullError: Of the store.
    """
    known = error if isinstance(error, WeftError) else InternalError(f"{type(error).__name__}: {error}")
    failure = replace(Failure.of(known), message=f"the execution cannot go on: {known.message}")
    try:
        # What is known of it may be older than what is stored, all the more after a defect.
        claim = await store.claim_execution(execution.id)
        if claim is None or not claim.granted or claim.execution.state.final:
            return
        await _end(claim, ExecutionFailed(failure=failure), store, clock)
    except (StoreUnavailableError, StoreFullError):
        raise
    except Exception:  # it must not stop the others either
        _log.exception("execution %s cannot be ended", execution.id)
    else:
        hub.changed(execution.id)


async def _end(claim: Claim, body: ExecutionFailed, store: ExecutionStore, clock: Clock) -> None:
    current, standing = claim.execution, Standing()
    events = number_events(current.last_event, (body,), clock)
    standing.apply(events[0])
    await store.append_events(
        summarize(current, standing, events[0]), events, current.last_event, release=True
    )
