"""How steps, lists of steps and executions end."""

from __future__ import annotations

from weft.core.errors import ExhaustedError, PreconditionError
from weft.core.payload import MAX_PAYLOAD_BYTES, JsonObject, dumps, loads
from weft.core.reasons import DOMAIN, Reason
from weft.server.execution.history.model import (
    EventBody,
    ExecutionCancelled,
    ExecutionClosing,
    ExecutionCompleted,
    ExecutionFailed,
    Failure,
    Outcome,
    ScopeCompleted,
    ScopeFailed,
    StepCompleted,
    StepFailed,
)
from weft.server.execution.history.paths import TOP, UNDO
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.plan import PlannedStep
from weft.server.execution.history.run import Recording, Run
from weft.server.execution.rules.names import names
from weft.server.workflow.model import ErrorHandler, ErrorKind, Step

__all__ = [
    "complete_step",
    "completed",
    "ending",
    "fail_step",
    "failed",
    "final",
    "finish_scope",
    "handler_of",
]


def complete_step(
    run: Run,
    recording: Recording,
    place: Place,
    output: bytes,
    *,
    goto: str | None = None,
    signal_id: str = "",
) -> None:
    """Record that the step at a place is done; its ``output`` may say something else than what it gave."""
    recording.add(completed(run, place, output, goto=goto, signal_id=signal_id))


def completed(
    run: Run,
    place: Place,
    output: bytes,
    *,
    value: JsonObject | None = None,
    instance_id: str = "",
    goto: str | None = None,
    signal_id: str = "",
    compensation: str = "",
) -> StepCompleted:
    """Return what is recorded of a step that gave something.

    Args:
        run: The execution.
        place: Where the step is.
        output: JSON text of what it gave.
        value: The same, where it was read already.
        instance_id: Who ran it.
        goto: Which step follows, where it has chosen that.
        signal_id: Which message it took.
        compensation: The action that undoes it, as it is registered; what the step
            says itself comes first, and what happens at the end is not undone.

    Raises:
        WeftError: Its ``output`` cannot be rendered, or is too large.
    """
    return StepCompleted(
        step_id=place.path,
        attempt=place.attempt,
        output=_told(run, place, output, value),
        instance_id=instance_id,
        next=goto,
        signal_id=signal_id,
        undo=compensation if _undone_as_registered(run, place.planned) else "",
    )


def _told(run: Run, place: Place, output: bytes, value: JsonObject | None) -> bytes:
    """Return what stands for the output of a step: what its ``output`` makes of it, else the same."""
    planned = place.planned
    text = output
    if planned is not None and planned.output is not None:
        known = names(run, place)
        known["output"] = loads(output) if value is None else value
        text = dumps(planned.output.render(known), "output")
    elif value is not None:
        run.know(output, value)
    if len(text) > MAX_PAYLOAD_BYTES:
        raise _too_large(place.path, len(text))
    return text


def _undone_as_registered(run: Run, planned: PlannedStep | None) -> bool:
    return run.standing.closing is None and planned is not None and planned.undo is None


def fail_step(recording: Recording, place: Place, failure: Failure) -> None:
    """Record that the step at a place failed for good."""
    recording.add(failed(place, failure))


def failed(place: Place, failure: Failure, instance_id: str = "") -> StepFailed:
    """Return what is recorded of a step that failed for good: with the handler that takes it, if one does."""
    planned = place.planned
    handler = handler_of(planned.step, failure) if planned is not None and place.scope != UNDO else None
    return StepFailed(
        step_id=place.path,
        attempt=place.attempt,
        failure=failure,
        instance_id=instance_id,
        handled=handler is not None,
        next=handler.next if handler is not None else "",
    )


def handler_of(step: Step, failure: Failure) -> ErrorHandler | None:
    """Return the first of a step's handlers that takes a failure."""
    business = failure.domain != DOMAIN
    for handler in step.on_error:
        wanted = handler.kind is ErrorKind.ANY or (handler.kind is ErrorKind.BUSINESS) == business
        if wanted and (not handler.reasons or failure.reason in handler.reasons):
            return handler
    return None


def finish_scope(run: Run, recording: Recording, place: Place) -> None:
    """Record that a list of steps is done, or failed; at the top that is the execution's outcome."""
    failure = place.failure if place.phase is Phase.FAILED else None
    if place.scope == TOP:
        recording.add(ending(run, failure=failure, result=_last_output(place)))
    elif failure is not None:
        recording.add(ScopeFailed(scope=place.scope, failure=failure))
    else:
        recording.add(ScopeCompleted(scope=place.scope, output=_last_output(place)))


def _last_output(place: Place) -> bytes:
    """Return what the last step gave: nothing where a handler ended the list."""
    if place.caught is not None and place.caught[1] == place.path:
        return b"{}"
    return next(reversed(place.outputs.values()), b"{}")


def ending(
    run: Run,
    *,
    failure: Failure | None = None,
    result: bytes | None = None,
    cancelled: str | None = None,
) -> EventBody:
    """Return how an execution ends; that it closes, when there is something left to do.

    Args:
        run: The execution.
        failure: Why it fails, if so.
        result: JSON text of its result otherwise.
        cancelled: What the caller said who cancels it.
    """
    if failure is None and cancelled is None:
        failure = _bad_result(run, result or b"{}")
    outcome = Outcome.CANCELLED if cancelled is not None else Outcome.FAILED if failure else Outcome.COMPLETED
    undo = () if outcome is Outcome.COMPLETED else tuple(done.path for done in reversed(run.done))
    end = ExecutionClosing(
        outcome=outcome,
        result=(result or b"{}") if outcome is Outcome.COMPLETED else None,
        failure=failure,
        reason=cancelled or "",
        undo=undo,
    )
    return end if undo or run.closing_step else final(end)


def final(closing: ExecutionClosing) -> EventBody:
    """Return how an execution ends, of what was decided."""
    match closing.outcome:
        case Outcome.COMPLETED:
            return ExecutionCompleted(result=closing.result or b"{}")
        case Outcome.CANCELLED:
            return ExecutionCancelled(reason=closing.reason)
        case Outcome.FAILED:
            assert closing.failure is not None  # a failure has a reason
            return ExecutionFailed(failure=closing.failure)


def _bad_result(run: Run, result: bytes) -> Failure | None:
    violations = run.plan.output_schema.violations(run.value(result), "result")
    if not violations:
        return None
    error = PreconditionError(
        f"the result does not fit the workflow's output schema: {violations[0]}",
        reason=Reason.RESULT_INVALID,
        violations=violations,
    )
    return Failure.of(error)


def _too_large(path: str, size: int) -> ExhaustedError:
    return ExhaustedError(
        f"step {path} gave {size:,} bytes, at most {MAX_PAYLOAD_BYTES:,} are kept; "
        "let it give less by `output`",
        reason=Reason.STEP_OUTPUT_TOO_LARGE,
        metadata={"step_id": path, "bytes": str(size)},
    )
