"""What is brought to an execution from outside: messages, and decisions of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from weft.core.errors import (
    ExhaustedError,
    PreconditionError,
    ResourceNotFoundError,
    ValidationError,
    Violation,
)
from weft.core.names import closest
from weft.core.payload import JsonObject, loads, tight
from weft.core.reasons import Reason, Rule
from weft.server.execution.history.model import EventBody, SignalReceived, StepCompleted, Waits
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.run import Run
from weft.server.execution.history.standing import Standing
from weft.server.execution.orders.orders import Order
from weft.server.execution.rules.endings import completed
from weft.server.workflow.kinds import Signal

__all__ = ["Decide", "SendSignal", "approval_at"]

_MOST: Final = 1_000
_MOST_BYTES: Final = 1024 * 1024
_NOTHING: Final[tuple[EventBody, ...]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSignal(Order):
    """Bring a message."""

    kind = "signal"
    texts = frozenset({"payload"})
    named = True

    signal_id: str
    """Unique in the execution."""
    name: str
    """Which message."""
    correlation: str = ""
    """What it belongs to."""
    payload: bytes
    """JSON text."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that it came; nothing when it had come before."""
        if self.signal_id in run.standing.known_signals:
            return _NOTHING
        self.check(run.standing)
        self._check(run)
        received = SignalReceived(
            signal_id=self.signal_id, name=self.name, correlation=self.correlation, payload=self.payload
        )
        return (received,)

    def check(self, standing: Standing) -> None:
        """Refuse what nobody will take: once the outcome is decided, only who waits for it does."""
        if self.signal_id in standing.known_signals:
            return
        if standing.closing is not None and not self._is_waited_for(standing):
            raise _closing(self.execution_id)

    def _is_waited_for(self, standing: Standing) -> bool:
        """Tell whether a step waits for it now, such as one of ``finally``."""
        waiting = (place.waiting for place in standing.in_phase(Phase.WAITING))
        return any(it is not None and it.waits is Waits.SIGNAL and it.signal == self.name for it in waiting)

    def _check(self, run: Run) -> None:
        takers = [
            planned
            for planned in run.plan.steps.values()
            if isinstance(planned.step.does, Signal) and planned.step.does.name == self.name
        ]
        if not takers:
            raise _unknown(run, self.name)
        value = loads(self.payload)
        faults = [planned.schema.violations(value, "payload") if planned.schema else [] for planned in takers]
        if all(faults):
            raise ValidationError(faults[0])
        kept = run.standing.signals.values()
        if len(kept) >= _MOST or sum(len(it.payload) for it in kept) + len(self.payload) > _MOST_BYTES:
            raise ExhaustedError(
                f"{len(kept):,} messages are kept that no step has taken",
                reason=Reason.SIGNALS_FULL,
                metadata={"execution_id": self.execution_id},
            )

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that it came."""
        return isinstance(body, SignalReceived) and body.signal_id == self.signal_id

    def is_in(self, body: EventBody) -> bool:
        """Tell whether an event says that this very message came, not another one under its id."""
        return (
            isinstance(body, SignalReceived)
            and (body.signal_id, body.name, body.correlation) == (self.signal_id, self.name, self.correlation)
            and loads(body.payload) == loads(self.payload)
        )

    def met(self, standing: Standing) -> bool:
        """Tell whether it came."""
        return self.signal_id in standing.known_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide(Order):
    """Decide an approval."""

    kind = "decide"
    texts = frozenset({"data"})

    step_id: str
    """Which step."""
    outcome: str
    """What is decided."""
    comment: str = ""
    """Why."""
    decided_by: str = ""
    """By whom."""
    time: str
    """When, RFC 3339."""
    data: bytes = b"{}"
    """JSON text of what else was said."""

    def decide(self, run: Run) -> Sequence[EventBody]:
        """Return that the step is done."""
        self.check(run.standing)
        place = approval_at(run.standing, self.execution_id, self.step_id)
        data = loads(self.data)
        planned = place.planned
        faults = planned.schema.violations(data, "data") if planned and planned.schema else []
        if faults:
            raise ValidationError(faults)
        value = self._value(data)
        return (completed(run, place, tight(orjson.dumps(value)), value=value),)

    def _value(self, data: JsonObject) -> JsonObject:
        return {
            "outcome": self.outcome,
            "comment": self.comment,
            "by": self.decided_by,
            "time": self.time,
            "data": data,
        }

    def check(self, standing: Standing) -> None:
        """Refuse to decide what is not asked, or not as it is asked."""
        place = approval_at(standing, self.execution_id, self.step_id)
        outcomes = place.waiting.asked.outcomes if place.waiting and place.waiting.asked else ()
        if self.outcome not in outcomes:
            text = f"{self.outcome!r} is no outcome; {closest(self.outcome, list(outcomes))}"
            raise ValidationError([Violation("outcome", text, Rule.INVALID)])

    def recorded(self, body: EventBody) -> bool:
        """Tell whether an event says that it was decided so."""
        if not isinstance(body, StepCompleted) or body.step_id != self.step_id:
            return False
        own, output = self._value(loads(self.data)), loads(body.output)
        # What the step makes of a decision says nothing of whose it was.
        return output == own or output.keys() != own.keys()


def approval_at(standing: Standing, execution_id: str, step_id: str) -> Place:
    """Return the place of a step that waits for a decision; of the only one, when none is named.

    Raises:
        PreconditionError: NO_APPROVAL.
        ValidationError: There are several, and none was named.
    """
    waiting = [
        place
        for place in standing.in_phase(Phase.WAITING)
        if place.waiting is not None and place.waiting.waits is Waits.APPROVAL
    ]
    found = [place for place in waiting if step_id in {"", place.path}]
    if not found:
        raise PreconditionError(
            f"step {step_id!r} does not wait for a decision" if step_id else "no step waits for a decision",
            reason=Reason.NO_APPROVAL,
            metadata={"execution_id": execution_id, "step_id": step_id},
        )
    if len(found) > 1:
        paths = ", ".join(sorted(place.path for place in found)[:10])
        raise ValidationError([Violation("step_id", f"several steps wait: {paths}", Rule.REQUIRED)])
    return found[0]


def _closing(execution_id: str) -> PreconditionError:
    return PreconditionError(
        "the outcome of the execution is decided; it takes no more messages",
        reason=Reason.EXECUTION_ENDED,
        metadata={"execution_id": execution_id},
    )


def _unknown(run: Run, name: str) -> ResourceNotFoundError:
    known = sorted({it.step.does.name for it in run.plan.steps.values() if isinstance(it.step.does, Signal)})
    hint = closest(name, known)
    return ResourceNotFoundError(
        "signal",
        name,
        message=f"no step of {run.plan.workflow_name!r} takes a message {name!r}{'; ' if hint else ''}{hint}",
        reason=Reason.SIGNAL_UNKNOWN,
        metadata={"available": ", ".join(known)},
    )
