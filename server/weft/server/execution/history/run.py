"""An execution that this server owns: the cache of its history, and the only way to add to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from weft.core.clock import Clock
from weft.core.payload import JsonObject, loads
from weft.core.values import dataclass
from weft.server.execution.history.hub import Hub
from weft.server.execution.history.kept import KeptParsed
from weft.server.execution.history.model import (
    Event,
    EventBody,
    Execution,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionState,
    Failure,
    StepCompleted,
    StepReused,
    StepScheduled,
    StepWaiting,
    TraceLink,
    Waits,
)
from weft.server.execution.history.numbered import summarize
from weft.server.execution.history.paths import TOP, UNDO, container_of, scope_of
from weft.server.execution.history.place import Parsed, Phase, Place
from weft.server.execution.history.plan import Plan, PlannedStep, undo_by_action
from weft.server.execution.history.standing import Standing
from weft.server.execution.history.step_states import StepExecution, Steps
from weft.server.execution.history.waits import STAY, rest
from weft.server.store.base import ExecutionStore, StaleWriteError
from weft.server.workflow.kinds import Child, Loop, SetVariables
from weft.server.workflow.model import Step

__all__ = [
    "Decide",
    "Done",
    "ExecutionDetails",
    "Recording",
    "Run",
    "Settle",
]


_KEEP_PARSED: Final = 64 * 1024
"""Bytes of JSON text up to which an execution keeps it parsed; parsed it takes up to thirty times as much."""

_KEPT: Final = KeptParsed(4 * 1024 * 1024)
"""Who is beyond that and keeps the input and the outputs at the top: each item of a map needs them."""

_NOTHING_KNOWN: Final[tuple[bytes | None, JsonObject]] = (None, {})

_UNDO_PREFIX: Final = UNDO + "/"

_DONE: Final = (StepCompleted, StepReused)

_FOLD_AT: Final = 1_000
"""How many events wait to be added up for whoever asks: nobody is to wait for a long history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionDetails:
    """An execution with everything that its history adds up to."""

    execution: Execution
    """The summary."""
    steps: tuple[StepExecution, ...]
    """Every step that was scheduled so far."""
    defined: Mapping[str, Step]
    """The steps of its workflow's version, by id; empty when that is gone."""
    input: bytes | None
    """JSON text; none when it was not asked for."""
    result: bytes | None
    """JSON text; none unless it is COMPLETED and was asked for."""
    variables: JsonObject | None = None
    """What ``set`` has set; none when it was not asked for."""


class Done(NamedTuple):
    """A completed step that can be undone."""

    path: str
    """Which step."""
    output: bytes
    """JSON text of what it gave."""
    place: Place
    """Where it ran: what it saw can be seen again."""
    child: str = ""
    """Id of the child that it was."""
    action: str = ""
    """The action that undoes it, where that was registered with its own."""


class Listener(Protocol):
    """Listens to one attempt."""

    def __call__(self, details: bytes) -> None:
        """Take a heartbeat."""

    def unheard(self) -> None:
        """Take note that no heartbeat can come any more."""


class Outcomes(Protocol):
    """Says what is recorded of an attempt that ended."""

    def told(self, run: Run, place: Place, output: bytes, compensation: str) -> Sequence[EventBody]:
        """Return what is recorded of an output that fits its schema, and is undone by an action."""
        ...

    def failed(self, place: Place, failure: Failure) -> Sequence[EventBody]:
        """Return what is recorded of a failure."""
        ...


class Recording:
    """What is recorded in one commit; each event counts at once for what is decided next.

    Attributes:
        events: So far.
        now: When.
    """

    __slots__ = ("_run", "events", "now")

    def __init__(self, run: Run, now: datetime) -> None:
        self._run = run
        self.events: list[Event] = []
        self.now = now

    def add(self, *bodies: EventBody) -> None:
        """Add what happened."""
        for body in bodies:
            event = Event(self._run.execution.last_event + len(self.events) + 1, self.now, body)
            self.events.append(event)
            self._run.apply(event)


Settle = Callable[["Run", Recording], None]
"""Adds what follows from what was recorded."""


class Run:
    """One open execution in memory.

    Its input and outputs are kept as text; small ones also as they were read for the
    steps so far, so that a step costs the same however many came before it.

    Attributes:
        execution: Its summary, as stored.
        plan: What it runs.
        standing: Where it stands; ahead of the store while something is being written.
        in_flight: Paths of the steps whose attempts run at this server.
        released: Whether it is nobody's any more: it waits in the store, or has ended.
        torn: Whether the memory is ahead of the store for good: a write failed.
        trouble: Why, unless who wrote was only stopped.
        result: JSON text of the result; empty until it is COMPLETED.
        trace: How it hangs in its trace.
        ended: Resolves with the summary in its final state, or fails when this
            server lets go of the execution before that.
        task: Drives it; none while somebody has something to record before.
        lock: Held by who records.
        news: Set whenever something was recorded.
        outcomes: Says what is recorded of an attempt that ended.
        pulses: Take the heartbeats of the attempts that run here, by path.
        size: How many bytes of payload it holds.
        turns: Paths of calls of steps with a limit that have their turn, or wait for it.
        turns_taken: Those that have it.
        turn_came: Whether one that waits may have it by now.
        variables: What its ``set`` steps have set.
        done: Completed steps that can be undone, in that order.
    """

    def __init__(self, execution: Execution, plan: Plan, history: Iterable[Event]) -> None:
        self.execution = execution
        self.plan = plan
        self.standing = Standing()
        self.in_flight: set[str] = set()
        self.released = False
        self.torn = False
        self.trouble: Exception | None = None
        self.result = b""
        self.trace = TraceLink()
        self.ended: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()
        self.ended.add_done_callback(_retrieve)
        self.task: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()
        self.news = asyncio.Event()
        self.outcomes: Outcomes | None = None
        self.pulses: dict[str, Listener] = {}
        self.size = 0
        self.turns: set[str] = set()
        self.turns_taken: set[str] = set()
        self.turn_came = False
        self.variables: JsonObject = {}
        self.done: list[Done] = []
        self._children: dict[str, str] = {}
        self._input = b"{}"
        self._steps = Steps()
        self._unfolded: list[Event] = []
        self._input_value: JsonObject | None = None
        self._known: tuple[bytes | None, JsonObject] = _NOTHING_KNOWN
        for event in history:
            self.apply(event)
            self._unfolded.append(event)
        self._stored_variables = self.variables

    @property
    def closing_step(self) -> str:
        """Id of the step that the end begins with; empty: none, as where a child is only undone."""
        only_undoes = bool(self.execution.origin.execution_id) and not self.execution.origin.from_step
        return "" if only_undoes else self.plan.closing

    @property
    def queued(self) -> bool:
        """Whether it waits for its turn among those of its concurrency key; its end waits for no turn."""
        return self.execution.waits is Waits.SLOT and self.standing.closing is None

    def _planned_at(self, path: str) -> PlannedStep | None:
        if path.startswith(_UNDO_PREFIX):
            return self.undo_of(path.removeprefix(_UNDO_PREFIX))
        return self.plan.at(path)

    def undo_of(self, path: str) -> PlannedStep | None:
        """Return what undoes a completed step."""
        found = self.plan.at(path)
        if found is None or found.undo is not None:
            return found.undo if found is not None else None
        done = next((it for it in reversed(self.done) if it.path == path), None)
        return undo_by_action(found.step, done.action) if done is not None and done.action else None

    # ---- what is known

    def input(self) -> JsonObject:
        """Return what it was started with; not to be changed."""
        if self._input_value is not None:
            return self._input_value
        value = self.value(self._input)
        if self._keeps(self.standing.top):
            self._input_value = value
        return value

    def _keeps(self, place: Place) -> bool:
        """Tell whether what is read of a list's outputs, or of the input, is kept."""
        if self.size <= _KEEP_PARSED:
            return True
        if place is not self.standing.top or self.plan.flat:
            return False
        return _KEPT.may_keep(self, len(self._input) + sum(map(len, place.outputs.values())))

    def forget_parsed(self) -> None:
        """Drop what was read of the input, and of the outputs at the top."""
        self._input_value = self.standing.top.parsed = None

    def parsed(self, place: Place) -> Parsed:
        """Return what the steps of one list gave; at the top merged with the input. Not to be changed."""
        parsed = place.parsed
        if parsed is None:
            parsed = Parsed(dict(self.input()) if place.scope == TOP else {})
            place.fresh = list(place.outputs)
        for step_id in place.fresh:
            parsed.add(step_id, self.value(place.outputs[step_id]))
        place.fresh = []
        place.parsed = parsed if self._keeps(place) else None
        self._known = _NOTHING_KNOWN
        return parsed

    def know(self, text: bytes, value: JsonObject) -> None:
        """Keep what the newest text says, for who reads it next: it was parsed already."""
        self._known = (text, value)

    def know_input(self, value: JsonObject) -> None:
        """Keep what its input says, likewise."""
        self.know(self._input, value)

    def value(self, text: bytes) -> JsonObject:
        """Read a text, unless it is the one that was just written."""
        known, value = self._known
        return value if known is text else loads(text)

    # ---- recording

    async def record(
        self, store: ExecutionStore, hub: Hub, clock: Clock, decide: Decide, settle: Settle | None = None
    ) -> None:
        """Add to the history durably, then to this cache of it.

        Args:
            store: Where the history is kept.
            hub: Is told.
            clock: Dates it.
            decide: Says what is recorded, with nobody recording anything else meanwhile.
            settle: Adds what follows from it.

        Raises:
            StaleWriteError: The execution has ended, or is not this server's.
            StoreUnavailableError: Whether it is recorded is not known.
        """
        async with self.lock:
            if self.released or self.torn:
                raise StaleWriteError
            recording = Recording(self, clock.now())
            try:
                recording.add(*decide(self))
                if settle is not None and self.standing.final is None:
                    settle(self, recording)
                if not recording.events:
                    return
                await self._append(store, recording)
            except BaseException as error:
                # The memory is ahead of the store now, so it is of no use any more.
                self.torn = bool(recording.events)
                self.trouble = error if self.torn and isinstance(error, Exception) else None
                self.news.set()
                raise
        hub.changed(self.execution.id)

    async def park(self, store: ExecutionStore, waits: Waits, due: datetime | None = None) -> None:
        """Let go of an execution that waits, without anything new in its history; not when there is news.

        Raises:
            StaleWriteError: The execution has ended, or is not this server's.
            StoreUnavailableError: Whether it is recorded is not known.
        """
        async with self.lock:
            if self.released or self.torn or self.news.is_set():
                return
            expire = self.execution.expire_time
            due = min(due, expire) if due and expire else due or expire
            waiting = replace(self.execution, waits=waits, due_time=due)
            await store.append_events(waiting, (), self.execution.last_event, release=True)
            self.execution = waiting
            self.released = True

    async def _append(self, store: ExecutionStore, recording: Recording) -> None:
        standing, events, now = self.standing, recording.events, recording.now
        waits, due = self._rest(now)
        new = summarize(self.execution, standing, events[-1], waits, due)
        released = new.state.final or (waits is not Waits.NOTHING and (due is None or due - now > STAY))
        before = self.execution
        await store.append_events(new, events, before.last_event, release=released, before=before)
        self.released = released
        self.stored(new, recording)

    def stored(self, new: Execution, recording: Recording) -> None:
        """Show what was recorded: it is stored now."""
        self.execution = new
        self._unfolded += recording.events
        if len(self._unfolded) >= _FOLD_AT:
            self._fold()
        self._stored_variables = self.variables
        self.news.set()
        if new.state.final and not self.ended.done():
            self.ended.set_result(new)

    def _rest(self, now: datetime) -> tuple[Waits, datetime | None]:
        """Return what is waited for, and until when."""
        if self.standing.final is not None:
            return Waits.NOTHING, None
        if self.queued:
            return Waits.SLOT, self.execution.expire_time
        waits, due = rest(self.standing, self.in_flight)
        if waits is Waits.NOTHING:
            since = self.execution.due_time
            return waits, since if since is not None and since <= now else now
        expire = self.execution.expire_time
        return waits, min(due, expire) if due and expire else due or expire

    def orphans(self) -> list[str]:
        """Return the children whose steps are over, each once; also those that have ended."""
        if not self._children:
            return []
        found = []
        for path, child_id in list(self._children.items()):
            place = self.standing.at(path)
            if place is None or place.phase is not Phase.WAITING:
                del self._children[path]
                planned = self.plan.at(path)
                does = planned.step.does if planned is not None else None
                if not (isinstance(does, Child) and does.abandon):
                    found.append(child_id)
        return found

    def details(self) -> ExecutionDetails:
        """Return everything that the stored history adds up to."""
        self._fold()
        return ExecutionDetails(
            execution=self.execution,
            steps=tuple(self._steps.by_path.values()),
            defined=self.plan.defined,
            input=self._input,
            result=self.result if self.execution.state is ExecutionState.COMPLETED else None,
            variables=self._stored_variables or None,
        )

    def _fold(self) -> None:
        """Add up what was not added up yet; most executions end before anybody asks."""
        for event in self._unfolded:
            self._steps.apply(event)
        self._unfolded.clear()

    def apply(self, event: Event) -> None:
        """Go on by one event."""
        self.standing.apply(event)
        body = event.body
        if isinstance(body, StepScheduled):
            self._scheduled(body.step_id)
        elif isinstance(body, _DONE):
            self.size += len(body.output)
            self._completed(body)
        elif isinstance(body, StepWaiting):
            if body.child:
                self._children[body.step_id] = body.child
        elif isinstance(body, ExecutionStarted):
            self._input, self.trace = body.input, body.trace
            self.size += len(body.input)
        elif isinstance(body, ExecutionCompleted):
            self.result = body.result

    def _scheduled(self, path: str) -> None:
        standing = self.standing
        scope = scope_of(path)
        place = standing.places[scope]
        planned = place.planned = self._planned_at(path)
        if planned is not None and planned.step.does is not None:
            standing.touched[scope] = place
        else:
            standing.touched.pop(scope, None)  # nothing to decide before its action has ended
        if scope.endswith("]"):
            self._inherit(scope)

    def _inherit(self, scope: str) -> None:
        """Let an iteration of a loop see what the one before left."""
        place = self.standing.places[scope]
        holder = place.holder
        if holder is None or holder.previous is None or place.outputs or place.attempt > 1:
            return
        container, _ = container_of(scope)
        planned = self.plan.at(container)
        if planned is not None and isinstance(planned.step.does, Loop):
            place.outputs = dict(holder.previous.outputs)
            place.fresh = list(place.outputs)

    def _completed(self, body: StepCompleted | StepReused) -> None:
        place = self.standing.at(body.step_id)
        child = self._children.pop(body.step_id, "")  # it has ended
        if place is None or isinstance(body, StepReused):
            planned = self._planned_at(body.step_id)
            if place is not None:
                place.planned = planned
                place.goto = self.execution.origin.from_step or None
        else:
            planned = place.planned
        if planned is None:
            return
        if isinstance(planned.step.does, SetVariables):
            self.variables = {**self.variables, **loads(body.output)}
        if place is None or isinstance(body, StepReused) or place.scope == UNDO:
            return
        if planned.undo is not None or body.undo:
            self.done.append(Done(body.step_id, body.output, place, child, body.undo))


Decide = Callable[[Run], Sequence[EventBody]]
"""Returns what is to be recorded of a run, as it stands; nothing, when there is nothing to say."""


def _retrieve(ended: asyncio.Future[Execution]) -> None:
    """Look at the outcome, so that nobody waiting for it is no complaint."""
    if not ended.cancelled():
        ended.exception()
