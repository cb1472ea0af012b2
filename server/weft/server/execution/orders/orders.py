"""What may be asked of an open execution from outside: what is recorded of it, and when it is met.

An order is carried out by the server that owns the execution. It has a form at
rest, so that another server can leave it in the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

import orjson

from weft.core.errors import PreconditionError, ValidationError, Violation, WeftError
from weft.core.reasons import Reason, Rule
from weft.server.execution.engine.claims import again, lost
from weft.server.execution.history.model import (
    EventBody,
    ExecutionCancelled,
    ExecutionClosing,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionState,
    Failure,
    IncidentRaised,
    IncidentResolved,
    Outcome,
    Resolution,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepRetryScheduled,
)
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.run import Run
from weft.server.execution.history.standing import Standing
from weft.server.execution.rules.endings import ending, failed
from weft.server.forms import build
from weft.server.store.base import Command

__all__ = [
    "Cancel",
    "Complete",
    "LookAtChild",
    "Order",
    "Pause",
    "Progress",
    "Resolve",
    "Resume",
    "check_attempt",
    "stale",
]

_NOTHING: Final[tuple[EventBody, ...]] = ()
_OUTCOMES: Final = (StepCompleted, StepFailed, StepRetryScheduled, IncidentRaised)
_RUNNING: Final = (Phase.SCHEDULED, Phase.ACCEPTED)
_CANCELLED: Final = "it is cancelled"
_NAMED: Final = 10
"""Steps that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Something asked of one execution."""

    kind: ClassVar[str]
    texts: ClassVar[frozenset[str]] = frozenset()
    """Members that are JSON texts, or none."""
    local: ClassVar[frozenset[str]] = frozenset({"execution_id"})
    """Members that are no part of its form at rest."""
    named: ClassVar[bool] = False
    """Whether it has an id, by which a history tells a repeat for as long as it is there."""

    execution_id: str
    """Which execution."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return what is recorded; nothing, when it is as asked already.

        Raises:
            PreconditionError: It cannot be.
        """
        raise NotImplementedError

    def met(self, standing: Standing) -> bool:
        """Tell whether an execution is as asked, whoever asked it; never, where only the history tells."""
        return False

    def check(self, standing: Standing) -> None:
        """Refuse what cannot be asked of an execution as it stands, before it is left for another server.

        Raises:
            PreconditionError: It cannot be.
        """

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that this was done, and not what somebody else asked."""
        return False

    def command(self) -> Command:
        """Write it, for the server that owns the execution."""
        body = {it.name: _plain(getattr(self, it.name)) for it in fields(self) if it.name not in self.local}
        return Command(execution_id=self.execution_id, kind=self.kind, body=orjson.dumps(body))

    @classmethod
    def read(cls, execution_id: str, body: dict[str, Any]) -> Order:
        """Read it.

        Raises:
            NewerReleaseError: It says something that this release does not know.
        """
        texts = {name: body[name].encode() for name in cls.texts if body.get(name) is not None}
        return build(cls, {**body, **texts, "execution_id": execution_id})


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Order):
    """End it; what was done is undone first, and what runs at the end runs."""

    kind = "cancel"

    reason: str = ""
    """Why."""
    at_once: bool = False
    """Whether nothing more is run."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that it is cancelled, or that it closes."""
        if self.at_once:
            return (ExecutionCancelled(reason=self.reason),)
        self.check(run.standing)
        if run.standing.closing is not None:
            return _NOTHING
        closes = ending(run, cancelled=self.reason)
        if run.standing.paused and isinstance(closes, ExecutionClosing):
            # What undoes is to run; nobody who cancels wants to have to resume it too.
            return ExecutionResumed(reason=_CANCELLED), closes
        return (closes,)

    def check(self, standing: Standing) -> None:
        """Refuse to cancel what is about to end otherwise."""
        closing = standing.closing
        if closing is not None and closing.outcome is not Outcome.CANCELLED and not self.at_once:
            raise _decided(self.execution_id, closing.outcome)

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that it was cancelled."""
        if isinstance(body, ExecutionClosing):
            return body.outcome is Outcome.CANCELLED and not self.at_once
        return isinstance(body, ExecutionCancelled)

    def met(self, standing: Standing) -> bool:
        """Tell whether it was cancelled; one that ended otherwise was not."""
        closing = standing.closing
        if standing.final is not None or closing is None or self.at_once:
            return standing.final is ExecutionState.CANCELLED
        return closing.outcome is Outcome.CANCELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Order):
    """Dispatch no further step."""

    kind = "pause"

    reason: str = ""
    """Why."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that it is paused."""
        return _NOTHING if run.standing.paused else (ExecutionPaused(reason=self.reason),)

    def met(self, standing: Standing) -> bool:
        """Tell whether it is paused."""
        return standing.paused or standing.final is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(Order):
    """Go on."""

    kind = "resume"

    reason: str = ""
    """Why."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that it goes on; an attempt that was scheduled and never ran is scheduled anew."""
        if not run.standing.paused:
            return _NOTHING
        cause = "the execution was resumed"
        return ExecutionResumed(reason=self.reason), *(again(place, cause) for place in lost(run))

    def met(self, standing: Standing) -> bool:
        """Tell whether it goes on."""
        return not standing.paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve(Order):
    """Decide what becomes of a step with an incident."""

    kind = "resolve"
    texts = frozenset({"input"})

    resolution: str
    """A ``Resolution``."""
    input: bytes | None = None
    """JSON text that further attempts take."""
    note: str = ""
    """What whoever resolves it says."""
    step_id: str = ""
    """Which step; empty: the only one."""
    every: bool = False
    """Whether all of them; with RETRY."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that the incident is resolved."""
        places = self._incidents(run.standing)
        resolution = Resolution(self.resolution)
        resolved = [
            IncidentResolved(step_id=place.path, resolution=resolution, input=self.input, note=self.note)
            for place in places
        ]
        if resolution is Resolution.RETRY:
            return resolved
        (place,) = places
        assert place.failure is not None  # an incident has one
        return *resolved, failed(place, place.failure)

    def check(self, standing: Standing) -> None:
        """Refuse to resolve what is no incident."""
        self._incidents(standing)

    def _incidents(self, standing: Standing) -> list[Place]:
        found = list(standing.in_phase(Phase.INCIDENT))
        if self.step_id:
            found = [place for place in found if place.path == self.step_id]
        if not found:
            raise no_incident(self.execution_id, self.step_id)
        if len(found) > 1 and not self.every:
            paths = ", ".join(sorted(place.path for place in found)[:_NAMED])
            raise ValidationError(
                [Violation("step_id", f"{len(found)} steps have incidents: {paths}", Rule.REQUIRED)]
            )
        return found

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that an incident was resolved so."""
        if not isinstance(body, IncidentResolved) or self.step_id not in {"", body.step_id}:
            return False
        return (body.resolution, body.input, body.note) == (self.resolution, self.input, self.note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Order):
    """Keep what a running attempt told."""

    kind = "progress"
    texts = frozenset({"details"})

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt."""
    details: bytes
    """JSON text."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that the attempt made progress."""
        place = check_attempt(run.standing, self.step_id, self.attempt)
        pulse = run.pulses.get(self.step_id)
        if pulse is not None:  # it is listened to here, and not everything goes into the history
            pulse(self.details)
            return _NOTHING
        details = self.details or place.progress or b"{}"
        return (StepProgressed(step_id=self.step_id, attempt=self.attempt, details=details),)

    def check(self, standing: Standing) -> None:
        """Refuse what is told of an attempt that is over."""
        check_attempt(standing, self.step_id, self.attempt)

    def met(self, standing: Standing) -> bool:
        """Nobody waits for it."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete(Order):
    """Record how an attempt ended that an action took on before."""

    kind = "complete"
    texts = frozenset({"output"})
    local = Order.local | {"mapped"}

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt."""
    output: bytes | None
    """JSON text; none: it failed."""
    failure: Mapping[str, Any]
    """Why it failed, as it is at rest."""
    compensation: str = ""
    """The action that undoes it, as it is registered."""
    mapped: bool = False
    """Whether the step makes something else of the output, which is what is recorded then."""

    @classmethod
    def of(
        cls,
        execution_id: str,
        step_id: str,
        attempt: int,
        output: bytes | None = None,
        failure: WeftError | None = None,
        compensation: str = "",
        *,
        mapped: bool = False,
    ) -> Complete:
        """Make one of an output, which fits its schema, or of a failure."""
        at_rest = {} if failure is None else orjson.loads(orjson.dumps(Failure.of(failure), default=dict))
        return cls(
            execution_id=execution_id,
            step_id=step_id,
            attempt=attempt,
            output=output,
            failure=at_rest,
            compensation=compensation,
            mapped=mapped,
        )

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return what is recorded of the attempt."""
        place = check_attempt(run.standing, self.step_id, self.attempt)
        assert run.outcomes is not None  # whoever drives a run knows what follows
        if self.output is not None:
            return run.outcomes.told(run, place, self.output, self.compensation)
        return run.outcomes.failed(place, Failure.read(self.failure))

    def check(self, standing: Standing) -> None:
        """Refuse what is told of an attempt that is over."""
        check_attempt(standing, self.step_id, self.attempt)

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that the attempt ended so."""
        if not isinstance(body, _OUTCOMES) or (body.step_id, body.attempt) != (self.step_id, self.attempt):
            return False
        if isinstance(body, StepCompleted):
            return self.output is not None and (self.mapped or body.output == self.output)
        return self.output is None and body.failure == Failure.read(self.failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtChild(Order):
    """Look at a child: it has ended."""

    kind = "look_at_child"

    step_id: str
    """The step that waits for it."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Let whoever drives the run look."""
        place = run.standing.at(self.step_id)
        if place is not None:
            place.seen = False
            run.news.set()
        return _NOTHING

    def met(self, standing: Standing) -> bool:
        """Nobody waits for it."""
        return True


def check_attempt(standing: Standing, step_id: str, attempt: int) -> Place:
    """Refuse what is told of an attempt that is not the newest, or is over; return where it runs.

    Raises:
        PreconditionError: ATTEMPT_STALE.
    """
    place = standing.at(step_id)
    if place is None or place.attempt != attempt or place.phase not in _RUNNING:
        raise stale(step_id, attempt)
    return place


def _decided(execution_id: str, outcome: Outcome) -> PreconditionError:
    return PreconditionError(
        f"the outcome of the execution is decided: {outcome}; what is left to do at its end is being done",
        reason=Reason.EXECUTION_ENDED,
        metadata={"execution_id": execution_id, "state": str(outcome)},
    )


def stale(step_id: str, attempt: int) -> PreconditionError:
    """Say that an attempt is over."""
    return PreconditionError(
        f"attempt {attempt} of step {step_id} is over; what it tells now is not recorded",
        reason=Reason.ATTEMPT_STALE,
        metadata={"step_id": step_id, "attempt": str(attempt)},
    )


def no_incident(execution_id: str, step_id: str = "") -> PreconditionError:
    """Say that there is nothing to resolve; at one step, where it was named."""
    return PreconditionError(
        f"step {step_id!r} has no incident" if step_id else "the execution has no incident",
        reason=Reason.NO_INCIDENT,
        metadata={"execution_id": execution_id, "step_id": step_id},
    )
