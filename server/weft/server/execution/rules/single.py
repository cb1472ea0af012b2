"""Steps that are one thing, and no call of an action: decided at once, or waited for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import orjson

from weft.core.errors import Code, PreconditionError, WeftError
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.core.payload import dumps, tight
from weft.core.reasons import Reason
from weft.server.execution.history.model import (
    Asked,
    EventEmitted,
    Failure,
    SignalReceived,
    StepWaiting,
    Waits,
)
from weft.server.execution.history.place import Place
from weft.server.execution.history.plan import PlannedStep
from weft.server.execution.history.run import Recording, Run
from weft.server.execution.rules.endings import complete_step, ending, fail_step
from weft.server.execution.rules.names import names
from weft.server.workflow.expressions.conditions import parse_instant, parse_span
from weft.server.workflow.kinds import (
    Approval,
    Child,
    Emit,
    Fail,
    SetVariables,
    Signal,
    Succeed,
    Switch,
    Wait,
)

__all__ = ["begin", "look_for_signal", "matching"]

_LONGEST: Final = timedelta(days=3_660)
_WORKFLOW_DOMAIN: Final = "workflow.weft"
"""Whose reasons those of ``fail`` are: the workflow's own."""


def begin(run: Run, recording: Recording, place: Place, planned: PlannedStep) -> None:
    """Do, or begin, what a step is that was just scheduled.

    Raises:
        WeftError: It cannot be done.
    """
    match planned.step.does:
        case Switch() as switch:
            target = _choose(run, place, planned, switch)
            complete_step(run, recording, place, tight(orjson.dumps({"next": target})), goto=target)
        case SetVariables() | Emit() | Succeed() as does:
            _say(run, recording, place, planned, does)
        case Fail() as fail:
            fail_step(recording, place, _meant(run, place, planned, fail))
        case Wait() as wait:
            _wait(run, recording, place, planned, wait)
        case Signal() | Approval() | Child():
            _wait_for_somebody(run, recording, place, planned)
        case _:
            raise AssertionError(planned.step)


def _choose(run: Run, place: Place, planned: PlannedStep, switch: Switch) -> str:
    known = names(run, place)
    for case, condition in zip(switch.cases, planned.conditions, strict=True):
        if condition.holds(known):
            return case.next
    if switch.default:
        return switch.default
    raise PreconditionError(
        f"no case of {place.path} holds, and it has no default",
        reason=Reason.NO_CASE,
        metadata={"step_id": place.path},
    )


def _say(
    run: Run, recording: Recording, place: Place, planned: PlannedStep, does: SetVariables | Emit | Succeed
) -> None:
    assert planned.value is not None  # each of these has one
    text = dumps(planned.value.render(names(run, place)), "output")
    match does:
        case SetVariables():
            complete_step(run, recording, place, text)
        case Emit(type=kind):
            recording.add(EventEmitted(step_id=place.path, type=kind, data=text))
            complete_step(run, recording, place, b"{}")
        case Succeed():
            complete_step(run, recording, place, text)
            recording.add(ending(run, result=text))


def _meant(run: Run, place: Place, planned: PlannedStep, fail: Fail) -> Failure:
    message = planned.texts["message"].render(names(run, place)) or f"step {place.path} failed"
    return Failure(
        reason=fail.reason,
        message=message,
        code=Code.ABORTED,
        metadata={"step_id": place.path},
        domain=_WORKFLOW_DOMAIN,
    )


# ---- waits


def _wait(run: Run, recording: Recording, place: Place, planned: PlannedStep, wait: Wait) -> None:
    known = names(run, place)
    if wait.duration:
        until = recording.now + parse_span(planned.texts["duration"].render(known))
    else:
        until = parse_instant(planned.texts["until"].render(known))
    if until > recording.now + _LONGEST:
        raise PreconditionError(
            f"{place.path} would wait until {until.isoformat()}, which is more than ten years from now",
            reason=Reason.EXPRESSION_FAILED,
            metadata={"step_id": place.path},
        )
    recording.add(StepWaiting(step_id=place.path, waits=Waits.TIMER, until=until))


def _wait_for_somebody(run: Run, recording: Recording, place: Place, planned: PlannedStep) -> None:
    step = planned.step
    until = recording.now + step.timeout if step.timeout else None
    match step.does:
        case Signal(name=name):
            correlation = planned.texts["correlation"].render(names(run, place))
            waiting = StepWaiting(
                step_id=place.path, waits=Waits.SIGNAL, until=until, signal=name, correlation=correlation
            )
        case Approval():
            asked = _ask(run, place, planned, step.does, recording.now)
            waiting = StepWaiting(step_id=place.path, waits=Waits.APPROVAL, until=until, asked=asked)
        case _:
            child = new_id(EXECUTION_PREFIX, recording.now)
            waiting = StepWaiting(step_id=place.path, waits=Waits.CHILD, until=until, child=child)
    recording.add(waiting)


def _ask(run: Run, place: Place, planned: PlannedStep, approval: Approval, now: datetime) -> Asked:
    known = names(run, place)
    due = planned.texts["due"].render(known)
    return Asked(
        title=planned.texts["title"].render(known),
        assignees=tuple(
            planned.texts[f"assignees[{number}]"].render(known) for number in range(len(approval.assignees))
        ),
        due_time=now + parse_span(due) if due else None,
        outcomes=approval.outcomes,
    )


def look_for_signal(run: Run, recording: Recording, place: Place) -> None:
    """Take the first message that a step waits for, if it is there."""
    waiting = place.waiting
    if waiting is None or waiting.waits is not Waits.SIGNAL:
        return
    for signal in run.standing.signals.values():
        if matching(run, place, signal):
            try:
                complete_step(run, recording, place, signal.payload, signal_id=signal.signal_id)
            except WeftError as error:
                fail_step(recording, place, Failure.of(error))
            return


def matching(run: Run, place: Place, signal: SignalReceived) -> bool:
    """Tell whether a message is what a step waits for."""
    waiting, planned = place.waiting, place.planned
    if waiting is None or planned is None or waiting.signal != signal.name:
        return False
    if waiting.correlation and waiting.correlation != signal.correlation:
        return False
    return planned.schema is None or not planned.schema.violations(run.value(signal.payload), "payload")
