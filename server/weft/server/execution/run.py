"""An execution that this server owns: the cache of its history, and the only way to add to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Protocol

from weft.core.clock import Clock
from weft.core.payload import JsonObject, loads
from weft.server.execution.hub import Hub
from weft.server.execution.model import (
    Event,
    EventBody,
    Execution,
    ExecutionCompleted,
    ExecutionStarted,
    Failure,
    StepCompleted,
    StepExecution,
    StepReused,
    StepScheduled,
    TraceLink,
    Waits,
    fold_steps,
)
from weft.server.execution.plan import Plan, PlannedStep
from weft.server.execution.standing import Phase, Standing
from weft.server.store.base import ExecutionStore, StaleWriteError
from weft.server.workflow.model import Step

__all__ = ["Decide", "ExecutionDetails", "Run", "first_events", "number_events", "summarize"]


_KEEP_PARSED: Final = 64 * 1024
"""Bytes of JSON text up to which an execution keeps it parsed; parsed it takes up to thirty times as much."""

_NOTHING_KNOWN: Final[tuple[bytes | None, JsonObject]] = (None, {})

_STAY: Final = timedelta(seconds=30)
"""What waits longer than this is let go of, and read again when it is due."""


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


class _Parsed:
    """Input and outputs as they were read."""

    __slots__ = ("input", "merged", "outputs")

    def __init__(self, value: JsonObject) -> None:
        self.input = value
        self.outputs: dict[str, JsonObject] = {}
        self.merged: JsonObject = dict(value)

    def add(self, step_id: str, output: JsonObject) -> None:
        self.outputs[step_id] = output
        self.merged.update(output)


class Outcomes(Protocol):
    """Says what is recorded of an attempt that ended."""

    def told(self, run: Run, output: bytes) -> Sequence[EventBody]:
        """Return what is recorded of an output that fits its schema."""
        ...

    def failed(self, run: Run, failure: Failure) -> Sequence[EventBody]:
        """Return what is recorded of a failure."""
        ...


class Run:
    """One open execution in memory.

    Its input and outputs are kept as text; small ones also as they were read for the
    steps so far, so that a step costs the same however many came before it.

    Attributes:
        execution: Its summary, as stored.
        plan: What it runs.
        standing: Where it stands.
        in_flight: Whether this server runs an attempt of its step.
        released: Whether it is nobody's any more: it waits in the store, or has ended.
        result: JSON text of the result; empty until it is COMPLETED.
        trace: How it hangs in its trace.
        ended: Resolves with the summary in its final state, or fails when this
            server lets go of the execution before that.
        news: Set whenever something was recorded.
        outcomes: Says what is recorded of an attempt that ended.
        pulse: Takes the heartbeats of the attempt that runs here.
        size: How many bytes of payload it holds.
    """

    def __init__(self, execution: Execution, plan: Plan, history: Iterable[Event]) -> None:
        self.execution = execution
        self.plan = plan
        self.standing = Standing()
        self.in_flight = False
        self.released = False
        self.result = b""
        self.trace = TraceLink()
        self.ended: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()
        self.ended.add_done_callback(_retrieve)
        self.task: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()
        self.news = asyncio.Event()
        self.outcomes: Outcomes | None = None
        self.pulse: Callable[[bytes], None] | None = None
        self.size = 0
        self._input = b"{}"
        self._outputs: dict[str, bytes] = {}
        self._events: list[Event] = []
        self._parsed: _Parsed | None = None
        self._known: tuple[bytes | None, JsonObject] = _NOTHING_KNOWN
        for event in history:
            self.standing.apply(event)
            self._cache(event)

    @property
    def step_id(self) -> str:
        """The step that it is about."""
        return self.standing.step_id

    @property
    def attempt(self) -> int:
        """The newest attempt of it."""
        return self.standing.attempt

    @property
    def planned(self) -> PlannedStep | None:
        """The step that it is about, if the workflow has it."""
        return self.plan.steps.get(self.standing.step_id)

    @property
    def service(self) -> str:
        """Whose turn the scheduled step needs; an unknown step needs nobody's."""
        planned = self.planned
        return planned.step.service if planned else ""

    def input(self) -> JsonObject:
        """Return what it was started with; not to be changed."""
        return self._read().input

    def outputs(self) -> Mapping[str, JsonObject]:
        """Return what its steps gave so far, in that order; not to be changed."""
        return self._read().outputs

    def merged(self) -> JsonObject:
        """Return its input merged with all outputs so far, later ones winning; not to be changed."""
        return self._read().merged

    def know(self, text: bytes, value: JsonObject) -> None:
        """Keep what the newest text says, for who reads it next: it was parsed already."""
        self._known = (text, value)

    def know_input(self, value: JsonObject) -> None:
        """Keep what its input says, likewise."""
        self.know(self._input, value)

    def _read(self) -> _Parsed:
        """Parse what is not parsed yet; of a large execution nothing is kept parsed."""
        parsed = self._parsed or _Parsed(self._value(self._input))
        for step_id, text in islice(self._outputs.items(), len(parsed.outputs), None):
            parsed.add(step_id, self._value(text))
        self._parsed = parsed if self.size <= _KEEP_PARSED else None
        self._known = _NOTHING_KNOWN
        return parsed

    def _value(self, text: bytes) -> JsonObject:
        known, value = self._known
        return value if known is text else loads(text)

    def next_step(self) -> StepScheduled:
        """Return that the next step is scheduled, when it is READY."""
        planned = self.planned
        return StepScheduled(step_id=planned.step.next if planned else self.plan.first)

    async def record(self, store: ExecutionStore, hub: Hub, clock: Clock, decide: Decide) -> None:
        """Add to the history durably, then to this cache of it.

        Args:
            store: Where the history is kept.
            hub: Is told.
            clock: Dates it.
            decide: Says what is recorded, with nobody recording anything else meanwhile.

        Raises:
            StaleWriteError: The execution has ended, or is not this server's.
            StoreUnavailableError: Whether it is recorded is not known.
        """
        async with self.lock:
            if self.released:
                raise StaleWriteError
            bodies = decide(self)
            if not bodies:
                return
            events = number_events(self.execution.last_event, bodies, clock)
            await self._append(store, events, events[0].time)
        hub.changed(self.execution.id)

    async def park(self, store: ExecutionStore, waits: Waits) -> None:
        """Let go of an execution that waits, without anything new in its history.

        Raises:
            StaleWriteError: The execution has ended, or is not this server's.
            StoreUnavailableError: Whether it is recorded is not known.
        """
        async with self.lock:
            if self.released:
                return
            due = self.execution.expire_time
            waiting = replace(self.execution, waits=waits, due_time=due)
            await store.append_events(waiting, (), self.execution.last_event, release=True)
            self.execution = waiting
            self.released = True

    async def _append(self, store: ExecutionStore, events: Sequence[Event], now: datetime) -> None:
        standing = self.standing.copy()
        for event in events:
            standing.apply(event)
        waits, due = self._rest(standing, now)
        new = summarize(self.execution, standing, events[-1], waits, due)
        released = new.state.final or (waits is not Waits.NOTHING and (due is None or due - now > _STAY))
        await store.append_events(new, events, self.execution.last_event, release=released)
        self.execution, self.standing, self.released = new, standing, released
        for event in events:
            self._cache(event)
        self.news.set()
        if new.state.final and not self.ended.done():
            self.ended.set_result(new)

    def _rest(self, standing: Standing, now: datetime) -> tuple[Waits, datetime | None]:
        """Return what is waited for, and until when."""
        if standing.phase is Phase.ENDED:
            return Waits.NOTHING, None
        waits, due = _waits(standing, self)
        if waits is Waits.NOTHING:
            since = self.execution.due_time
            return waits, since if since is not None and since <= now else now
        expire = self.execution.expire_time
        return waits, min(due, expire) if due and expire else due or expire

    def details(self) -> ExecutionDetails:
        """Return everything that the history adds up to."""
        return ExecutionDetails(
            execution=self.execution,
            steps=tuple(fold_steps(self._events).values()),
            defined=self.plan.defined,
            input=self._input,
            result=self.result or None,
        )

    def _cache(self, event: Event) -> None:
        self._events.append(event)
        body = event.body
        match body:
            case ExecutionStarted():
                self._input, self.trace = body.input, body.trace
                self.size += len(body.input)
            case StepCompleted() | StepReused():
                self._outputs[body.step_id] = body.output
                self.size += len(body.output)
            case ExecutionCompleted():
                self.result = body.result
            case _:
                pass


Decide = Callable[[Run], Sequence[EventBody]]
"""Returns what is to be recorded of a run, as it stands; nothing, when there is nothing to say."""


def _waits(standing: Standing, run: Run) -> tuple[Waits, datetime | None]:
    if standing.phase is Phase.ACCEPTED:
        planned = run.planned
        return Waits.COMPLETION, standing.silent_at(planned.step.heartbeat_timeout if planned else None)
    if standing.paused and not (run.in_flight and standing.phase is Phase.SCHEDULED):
        return Waits.RESUME, None
    if standing.phase is Phase.INCIDENT:
        return Waits.INCIDENT, None
    if standing.phase is Phase.RETRYING:
        return Waits.RETRY, standing.retry_time
    return Waits.NOTHING, None


def first_events(
    started: ExecutionStarted, plan: Plan, clock: Clock, reused: Sequence[StepReused] = ()
) -> tuple[Event, ...]:
    """Return the beginning of a history: accepted, and the first step scheduled."""
    first = started.origin.from_step or plan.first
    return number_events(0, (started, *reused, StepScheduled(step_id=first)), clock)


def number_events(last: int, bodies: Sequence[EventBody], clock: Clock) -> tuple[Event, ...]:
    """Give the next numbers and the present time to what happened."""
    now = clock.now()
    return tuple(Event(last + offset, now, body) for offset, body in enumerate(bodies, start=1))


def summarize(
    execution: Execution,
    standing: Standing,
    newest: Event,
    waits: Waits = Waits.NOTHING,
    due_time: datetime | None = None,
) -> Execution:
    """Bring a summary up to date with further events.

    Args:
        execution: As it was.
        standing: Where it stands after them.
        newest: The last of them.
        waits: What it waits for.
        due_time: When it wants to be worked on.
    """
    final = standing.final is not None
    return execution.after(
        last_event=newest.number,
        state=standing.state,
        failure=standing.failure if final or standing.phase is Phase.INCIDENT else None,
        end_time=newest.time if final else None,
        waits=waits,
        due_time=due_time,
    )


def _retrieve(ended: asyncio.Future[Execution]) -> None:
    """Look at the outcome, so that nobody waiting for it is no complaint."""
    if not ended.cancelled():
        ended.exception()
