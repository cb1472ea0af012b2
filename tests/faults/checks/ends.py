"""W7, W9 and liveness: cancelled is final, timers are never early, and whoever waits is told."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.checks.steps import ROUNDING, at
from tests.faults.rig.evidence import FINAL, Evidence, Stored, Violation, is_of_the_end
from tests.faults.rig.record import Body, Operation, Outcome

ON_THE_WAY = 1.0
"""How many seconds a call that was sent before a cancellation may take to reach its worker."""


_AFTER = 3.0
"""How many seconds after a fault somebody may still wait in vain."""


def cancelled_is_final(evidence: Evidence) -> Iterator[Violation]:
    """W7: after an acknowledged cancellation only the end's own steps begin; CANCELLED is how it ends."""
    for op in evidence.ok("cancel"):
        execution = op.request["id"]
        stored = evidence.stored.get(execution)
        if stored is not None and stored.state != "CANCELLED":
            yield Violation("W7", f"{execution} was cancelled and is {stored.state}")
        for body in evidence.bodies_in.get(execution, []):
            if body.began > op.ended + ON_THE_WAY and not (
                is_of_the_end(body.step) or _was_held_up(evidence, body, op.ended)
            ):
                late = body.began - op.ended
                yield Violation("W7", f"{execution}: {body.step} began {late:.1f} s after the cancellation")


def _was_held_up(evidence: Evidence, body: Body, cancelled: float) -> bool:
    """Tell whether a call was sent before a cancellation, by a server that stood still amid sending it."""
    stored = evidence.stored.get(body.execution)
    scheduled = [] if stored is None else stored.of_kind("step_scheduled")
    of_the_attempt = (body.step, body.attempt)
    return any(
        (event["data"]["step_id"], event["data"]["attempt"]) == of_the_attempt
        and at(event) - evidence.wall < cancelled
        for event in scheduled
    ) and any(
        window.fault.startswith(_STANDS_STILL) and window.began < body.began < window.ended
        for window in evidence.windows
    )


_STANDS_STILL = ("pause-", "stop-at-")
"""How the names of faults begin that stop a server for a while."""


def late_cancellations_change_nothing(evidence: Evidence) -> Iterator[Violation]:
    """W7: a cancellation that was refused because of the end has changed nothing."""
    for op in evidence.operations:
        if op.name != "cancel" or op.outcome is not Outcome.FAIL:
            continue
        stored = evidence.stored.get(op.request["id"])
        if op.answer["reason"] != "EXECUTION_ENDED" or stored is None or stored.state != "CANCELLED":
            continue
        if not any(_cancels(other, stored, op) for other in evidence.operations):
            yield Violation("W7", f"{stored.id} had ended, and was cancelled nevertheless")


def _cancels(other: Operation, stored: Stored, refused: Operation) -> bool:
    """Whether another cancellation may have ended it."""
    return (
        other.name == "cancel"
        and other.number != refused.number
        and other.request["id"] == stored.id
        and other.outcome is not Outcome.FAIL
    )


def only_the_cancelled_are_cancelled(evidence: Evidence) -> Iterator[Violation]:
    """W7: nothing is CANCELLED that nobody asked to cancel, itself or what it is a child of."""
    asked = {op.request["id"] for op in evidence.operations if op.name == "cancel"}
    for stored in evidence.stored.values():
        family = {one.id for one in _line(evidence, stored)}
        if stored.state == "CANCELLED" and not family & asked and not stored.origin:
            yield Violation("W7", f"{stored.id} was cancelled by nobody")


def _line(evidence: Evidence, stored: Stored) -> Iterator[Stored]:
    """Yield an execution, its parent, and so on."""
    one: Stored | None = stored
    while one is not None:
        yield one
        one = evidence.stored.get(one.parent)


def timers_are_not_early(evidence: Evidence) -> Iterator[Violation]:
    """W9: an execution times out once, not before its time, and only when it has one."""
    for stored in evidence.stored.values():
        ends = stored.of_kind("execution_timed_out")
        if len(ends) > 1:
            yield Violation("W9", f"{stored.id} timed out {len(ends)} times")
        for event in ends:
            if stored.timeout is None:
                yield Violation("W9", f"{stored.id} timed out, and has no timeout")
            elif at(event) - stored.created < stored.timeout - ROUNDING:
                took = at(event) - stored.created
                yield Violation("W9", f"{stored.id} timed out after {took:.3f} s of {stored.timeout} s")


def timers_are_not_missed(evidence: Evidence) -> Iterator[Violation]:
    """W9: no step is scheduled after the time of its execution is over."""
    for stored in evidence.stored.values():
        if stored.timeout is None or _disturbed(evidence):
            continue
        for event in stored.of_kind("step_scheduled"):
            late = at(event) - stored.created - stored.timeout
            if late > ON_THE_WAY:
                yield Violation("W9", f"{stored.id}: a step was scheduled {late:.1f} s after its time")


def _disturbed(evidence: Evidence) -> bool:
    """Whether servers were down for a while: then timers are late, and may be."""
    return any(window.ended - window.began > ON_THE_WAY / 2 for window in evidence.windows)


def waiters_are_told(evidence: Evidence) -> Iterator[Violation]:
    """Liveness: nobody still waits for an execution that has ended, with the servers up."""
    for op in evidence.operations:
        if not op.answer.get("stuck") or _in_trouble(op, evidence):
            continue
        stored = evidence.stored.get(op.request.get("id", ""))
        if op.name == "execute" or (stored is not None and stored.state in FINAL):
            yield Violation("L1", f"{op.name} of {op.request} was never answered")


def _in_trouble(op: Operation, evidence: Evidence) -> bool:
    """Whether the server that was asked may have stood still until just before its caller gave up."""
    return any(window.began < op.ended < window.ended + _AFTER for window in evidence.windows)


def answers_say_why(evidence: Evidence) -> Iterator[Violation]:
    """T1: whatever is wrong, a caller is told a reason that is in the table, and never of a defect."""
    for op in evidence.operations:
        if op.answer.get("reason", "UNKNOWN") in _DEFECTS:
            yield Violation("T1", f"{op.name} of {op.request} was answered with {op.answer['reason']!r}")


_DEFECTS = frozenset({"", "INTERNAL", "UNEXPECTED_STATUS"})
"""What a caller can do nothing about."""


def store_is_sound(evidence: Evidence) -> Iterator[Violation]:
    """D1: the store's own verification finds nothing, and no server logged a defect."""
    for fault in evidence.store_faults:
        yield Violation("D1", fault)
    for line in evidence.log_faults:
        yield Violation("LOG", line)
