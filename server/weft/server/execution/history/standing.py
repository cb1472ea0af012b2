"""Where an execution stands, as far as that decides what comes next: a pure fold over its history.

It is a tree of places: each list of steps that runs has one, and one step of it at a
time is what the place is about. A flat workflow has a single place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from weft.core.errors import CallCancelledError, DeadlineExceededError
from weft.core.reasons import Reason
from weft.server.execution.history.model import (
    Event,
    EventBody,
    ExecutionCancelled,
    ExecutionClosing,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionState,
    ExecutionTimedOut,
    Failure,
    IncidentRaised,
    IncidentResolved,
    MapStarted,
    ScopeCompleted,
    ScopeFailed,
    SignalReceived,
    StepAccepted,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepRetryScheduled,
    StepReused,
    StepScheduled,
    StepWaiting,
    Waits,
)
from weft.server.execution.history.paths import FINALLY, TOP, UNDO, container_of, scope_of
from weft.server.execution.history.place import Phase, Place

__all__ = ["Phase", "Place", "Standing"]

_FINAL = {
    ExecutionCompleted: ExecutionState.COMPLETED,
    ExecutionFailed: ExecutionState.FAILED,
    ExecutionCancelled: ExecutionState.CANCELLED,
    ExecutionTimedOut: ExecutionState.TIMED_OUT,
}


class Standing:
    """What the events so far add up to.

    Attributes:
        top: The place of the workflow's own list; it stays also when nothing runs there any more.
        places: Every place where something runs, by its scope.
        touched: The places where something may be decided, by scope.
        paused: Whether it is paused.
        failure: Why it ended.
        final: In which state it ended.
        closing: What is left to do, once the outcome is decided.
        signals: Messages that came and were not taken, in that order.
        known_signals: Ids of all messages that came.
    """

    __slots__ = (
        "closing",
        "failure",
        "final",
        "known_signals",
        "paused",
        "places",
        "signals",
        "top",
        "touched",
    )

    def __init__(self) -> None:
        self.top = Place(TOP)
        self.places: dict[str, Place] = {TOP: self.top}
        self.touched: dict[str, Place] = {TOP: self.top}
        self.paused = False
        self.failure: Failure | None = None
        self.final: ExecutionState | None = None
        self.closing: ExecutionClosing | None = None
        self.signals: dict[str, SignalReceived] = {}
        self.known_signals: set[str] = set()

    @property
    def state(self) -> ExecutionState:
        """What people are told."""
        if self.final is not None:
            return self.final
        if self.paused:
            return ExecutionState.PAUSED
        return ExecutionState.RUNNING if self.incident is None else ExecutionState.INCIDENT

    @property
    def incident(self) -> Failure | None:
        """Why somebody has to decide, if so."""
        for place in self.places.values():
            if place.phase is Phase.INCIDENT:
                return place.failure
        return None

    def at(self, path: str) -> Place | None:
        """Return the place that is about a step now; None when none is."""
        place = self.places.get(scope_of(path))
        return place if place is not None and place.path == path else None

    def in_phase(self, *phases: Phase) -> Iterator[Place]:
        """Yield the places in some phases."""
        return (place for place in self.places.values() if place.phase in phases)

    def apply(self, event: Event) -> None:
        """Go on by one event."""
        body = event.body
        self._apply.get(type(body), Standing._whole)(self, body, event.time)

    def _schedule(self, body: StepScheduled, time: datetime) -> None:
        scope = scope_of(body.step_id)
        place = self.places.get(scope) or self._open(scope)
        place.schedule(body, time)

    def _of_attempt(
        self,
        body: StepAccepted | StepProgressed | StepRetryScheduled | IncidentRaised | IncidentResolved,
        time: datetime,
    ) -> None:
        self._place(body.step_id).go_on(body, time)

    def _enter(self, body: MapStarted | StepWaiting, time: datetime) -> None:
        place = self._place(body.step_id)
        place.enter(body, time)
        self.touched[place.scope] = place

    def _whole(self, body: EventBody, _: datetime) -> None:
        match body:
            case ExecutionPaused() | ExecutionResumed():
                self.paused = isinstance(body, ExecutionPaused)
            case ExecutionClosing():
                self.closing = body
                self._drop_all()
                place = self._open(UNDO if body.undo else FINALLY)
                self.touched[place.scope] = place
            case ExecutionCompleted() | ExecutionFailed() | ExecutionCancelled() | ExecutionTimedOut():
                self.final = _FINAL[type(body)]
                self.failure = _why(body)
                self._drop_all()
            case _:
                pass

    def _place(self, path: str) -> Place:
        return self.places[scope_of(path)]

    def _open(self, scope: str) -> Place:
        if scope == FINALLY and UNDO in self.places:
            self._drop(self.places[UNDO])
        path, number = container_of(scope)
        holder = self.places.get(scope_of(path)) if path else None
        place = Place(scope, holder, number)
        self.places[scope] = place
        if holder is not None:
            holder.hold(place)
        return place

    def _completed(self, body: StepCompleted | StepReused, _: datetime) -> None:
        place = self.places.get(scope_of(body.step_id))
        if place is None:  # reused from a body that is not run again: only its variables count
            return
        if place.inside:
            self._drop_inside(place)
        if isinstance(body, StepReused):
            place.complete(body.step_id, body.output, None)
        else:
            place.complete(body.step_id, body.output, body.next)
            if body.signal_id:
                self.signals.pop(body.signal_id, None)
        self.touched[place.scope] = place

    def _failed(self, body: StepFailed, _: datetime) -> None:
        place = self._place(body.step_id)
        self._drop_inside(place)
        place.fail(body)
        self.touched[place.scope] = place

    def _scope_ended(self, body: ScopeCompleted | ScopeFailed, _: datetime) -> None:
        place = self.places[body.scope]
        holder = place.holder
        self._drop(place)
        if holder is None:
            return
        if isinstance(body, ScopeCompleted):
            holder.inside_completed(place, body.output)
        else:
            holder.inside_failed(place, body.failure)
        self.touched[holder.scope] = holder

    def _signal(self, body: SignalReceived, _: datetime) -> None:
        self.signals[body.signal_id] = body
        self.known_signals.add(body.signal_id)
        for place in self.places.values():
            if (
                place.phase is Phase.WAITING
                and place.waiting is not None
                and place.waiting.waits is Waits.SIGNAL
            ):
                self.touched[place.scope] = place

    def _drop_inside(self, place: Place) -> None:
        """Forget what runs inside of the step that a place is about."""
        for inner in list(place.inside.values()):
            self._drop(inner)
        place.inside.clear()

    def _drop(self, place: Place) -> None:
        self._drop_inside(place)
        place.phase = Phase.ENDED
        self.places.pop(place.scope, None)
        self.touched.pop(place.scope, None)
        if place.holder is not None:
            place.holder.inside.pop(place.number, None)

    def _drop_all(self) -> None:
        for place in list(self.places.values()):
            place.phase = Phase.ENDED
        self.places.clear()
        self.touched.clear()

    _apply: ClassVar[Mapping[type[EventBody], Any]] = {
        StepScheduled: _schedule,
        StepCompleted: _completed,
        StepReused: _completed,
        StepFailed: _failed,
        StepAccepted: _of_attempt,
        StepProgressed: _of_attempt,
        StepRetryScheduled: _of_attempt,
        IncidentRaised: _of_attempt,
        IncidentResolved: _of_attempt,
        MapStarted: _enter,
        StepWaiting: _enter,
        ScopeCompleted: _scope_ended,
        ScopeFailed: _scope_ended,
        SignalReceived: _signal,
    }
    """What each kind of event does; the others are about the execution as a whole."""


def _why(
    body: ExecutionCompleted | ExecutionFailed | ExecutionCancelled | ExecutionTimedOut,
) -> Failure | None:
    match body:
        case ExecutionFailed():
            return body.failure
        case ExecutionCancelled():
            return Failure.of(_cancelled(body.reason))
        case ExecutionTimedOut():
            return Failure.of(_timed_out(body.timeout))
        case _:
            return None


def _cancelled(reason: str) -> CallCancelledError:
    text = f"the execution was cancelled: {reason}" if reason else "the execution was cancelled"
    return CallCancelledError(text, reason=Reason.EXECUTION_CANCELLED)


def _timed_out(limit: timedelta) -> DeadlineExceededError:
    seconds = f"{limit.total_seconds():g}"
    return DeadlineExceededError(
        f"the execution did not end within {seconds} s",
        reason=Reason.EXECUTION_TIMEOUT,
        metadata={"timeout_seconds": seconds},
    )
