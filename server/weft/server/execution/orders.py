"""What may be asked of an open execution from outside: what is recorded of it, and when it is met.

An order is carried out by the server that owns the execution. It has a form at
rest, so that another server can leave it in the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

import orjson

from weft.core.errors import PreconditionError, WeftError
from weft.core.reasons import Reason
from weft.server.execution.model import (
    EventBody,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionState,
    Failure,
    IncidentRaised,
    IncidentResolved,
    Resolution,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepRetryScheduled,
    StepScheduled,
)
from weft.server.execution.run import Run
from weft.server.execution.standing import Phase, Standing
from weft.server.store.base import Command

__all__ = [
    "Cancel",
    "Complete",
    "Order",
    "Pause",
    "Progress",
    "Resolve",
    "Resume",
    "check_attempt",
    "read_order",
]

_NOTHING: Final[tuple[EventBody, ...]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Something asked of one execution."""

    kind: ClassVar[str]

    execution_id: str
    """Which execution."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return what is recorded; nothing, when it is as asked already.

        Raises:
            PreconditionError: It cannot be.
        """
        raise NotImplementedError

    def met(self, standing: Standing) -> bool:
        """Tell whether an execution is as asked."""
        raise NotImplementedError

    def check(self, standing: Standing) -> None:
        """Refuse what cannot be asked of an execution as it stands, before it is left for another server.

        Raises:
            PreconditionError: It cannot be.
        """

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that this was done."""
        return False

    def command(self) -> Command:
        """Write it, for the server that owns the execution."""
        body = {it.name: _plain(getattr(self, it.name)) for it in fields(self) if it.name != "execution_id"}
        return Command(execution_id=self.execution_id, kind=self.kind, body=orjson.dumps(body))

    @classmethod
    def read(cls, execution_id: str, body: dict[str, Any]) -> Order:
        """Read it."""
        return cls(execution_id=execution_id, **body)


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Order):
    """End it."""

    kind = "cancel"

    reason: str = ""
    """Why."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that it is cancelled."""
        return (ExecutionCancelled(reason=self.reason),)

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that it was cancelled."""
        return isinstance(body, ExecutionCancelled)

    def met(self, standing: Standing) -> bool:
        """Tell whether it was cancelled; one that ended otherwise was not."""
        return standing.final is ExecutionState.CANCELLED


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
        resumed = ExecutionResumed(reason=self.reason)
        if run.standing.phase is not Phase.SCHEDULED or run.in_flight:
            return (resumed,)
        cause = "the execution was resumed"
        return resumed, StepScheduled(step_id=run.step_id, attempt=run.attempt + 1, cause=cause)

    def met(self, standing: Standing) -> bool:
        """Tell whether it goes on."""
        return not standing.paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve(Order):
    """Decide what becomes of a step with an incident."""

    kind = "resolve"

    resolution: str
    """A ``Resolution``."""
    input: bytes | None = None
    """JSON text that further attempts take."""
    note: str = ""
    """What whoever resolves it says."""

    @classmethod
    def read(cls, execution_id: str, body: dict[str, Any]) -> Order:
        """Read it."""
        text = body.pop("input", None)
        return cls(execution_id=execution_id, input=None if text is None else text.encode(), **body)

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that the incident is resolved."""
        standing = run.standing
        self.check(standing)
        resolution = Resolution(self.resolution)
        resolved = IncidentResolved(
            step_id=standing.step_id, resolution=resolution, input=self.input, note=self.note
        )
        if resolution is Resolution.RETRY:
            return (resolved,)
        assert standing.failure is not None  # an incident has one
        failed = StepFailed(step_id=standing.step_id, attempt=standing.attempt, failure=standing.failure)
        return resolved, failed, ExecutionFailed(failure=standing.failure)

    def check(self, standing: Standing) -> None:
        """Refuse to resolve what is no incident."""
        if standing.phase is not Phase.INCIDENT:
            raise no_incident(self.execution_id)

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that an incident was resolved."""
        return isinstance(body, IncidentResolved)

    def met(self, standing: Standing) -> bool:
        """Tell whether there is no incident."""
        return standing.phase is not Phase.INCIDENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Order):
    """Keep what a running attempt told."""

    kind = "progress"

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt."""
    details: bytes
    """JSON text."""

    @classmethod
    def read(cls, execution_id: str, body: dict[str, Any]) -> Order:
        """Read it."""
        return cls(execution_id=execution_id, details=body.pop("details").encode(), **body)

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that the attempt made progress."""
        self.check(run.standing)
        if run.pulse is not None:  # it is listened to here, and not everything goes into the history
            run.pulse(self.details)
            return _NOTHING
        details = self.details or run.standing.progress or b"{}"
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

    step_id: str
    """Which step."""
    attempt: int
    """Which attempt."""
    output: bytes | None
    """JSON text; none: it failed."""
    failure: Mapping[str, Any]
    """Why it failed, as it is at rest."""

    @classmethod
    def of(
        cls,
        execution_id: str,
        step_id: str,
        attempt: int,
        output: bytes | None = None,
        failure: WeftError | None = None,
    ) -> Complete:
        """Make one of an output, which fits its schema, or of a failure."""
        at_rest = {} if failure is None else orjson.loads(orjson.dumps(Failure.of(failure), default=dict))
        return cls(
            execution_id=execution_id, step_id=step_id, attempt=attempt, output=output, failure=at_rest
        )

    @classmethod
    def read(cls, execution_id: str, body: dict[str, Any]) -> Order:
        """Read it."""
        text = body.pop("output")
        return cls(execution_id=execution_id, output=None if text is None else text.encode(), **body)

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return what is recorded of the attempt."""
        self.check(run.standing)
        assert run.outcomes is not None  # whoever drives a run knows what follows
        if self.output is not None:
            return run.outcomes.told(run, self.output)
        return run.outcomes.failed(run, Failure.read(self.failure))

    def check(self, standing: Standing) -> None:
        """Refuse what is told of an attempt that is over."""
        check_attempt(standing, self.step_id, self.attempt)

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says how the attempt ended."""
        told = StepCompleted if self.output is not None else StepFailed | StepRetryScheduled | IncidentRaised
        return isinstance(body, told) and (body.step_id, body.attempt) == (self.step_id, self.attempt)

    def met(self, standing: Standing) -> bool:
        """Tell whether the attempt is over."""
        current = standing.step_id == self.step_id and standing.attempt == self.attempt
        return not current or standing.phase not in {Phase.SCHEDULED, Phase.ACCEPTED}


def check_attempt(standing: Standing, step_id: str, attempt: int) -> None:
    """Refuse what is told of an attempt that is not the newest, or is over.

    Raises:
        PreconditionError: ATTEMPT_STALE.
    """
    current = standing.step_id == step_id and standing.attempt == attempt
    if current and standing.phase in {Phase.SCHEDULED, Phase.ACCEPTED}:
        return
    raise PreconditionError(
        f"attempt {attempt} of step {step_id} is over; what it tells now is not recorded",
        reason=Reason.ATTEMPT_STALE,
        metadata={"step_id": step_id, "attempt": str(attempt)},
    )


def no_incident(execution_id: str) -> PreconditionError:
    """Say that there is nothing to resolve."""
    return PreconditionError(
        "the execution has no incident",
        reason=Reason.NO_INCIDENT,
        metadata={"execution_id": execution_id},
    )


_ORDERS: Final[Mapping[str, type[Order]]] = {
    order.kind: order for order in (Cancel, Pause, Resume, Resolve, Progress, Complete)
}


def read_order(command: Command) -> Order | None:
    """Read what another server asks; None when this release does not know it."""
    order = _ORDERS.get(command.kind)
    return order.read(command.execution_id, orjson.loads(command.body)) if order else None
