"""E1: what runs at the end of an execution, as its history tells."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.rig.evidence import CLOSING, FINAL, Evidence, Stored, Violation

_RESULTS = ("step_completed", "step_failed")
_FINALLY = "finally/"


def finally_runs_once(evidence: Evidence) -> Iterator[Violation]:
    """E1: however an execution ends, ``finally`` runs: once, in order, when all is undone, as was decided."""
    for stored in evidence.stored.values():
        wanted = [_FINALLY + step for step in CLOSING.get(stored.workflow, ())]
        if wanted and stored.state in FINAL - {"TIMED_OUT"}:
            yield from _as_decided(stored)
            yield from _in_order(stored, wanted)
        ran = {body.step for body in evidence.bodies_in.get(stored.id, []) if body.step.startswith(_FINALLY)}
        for step in sorted(ran - _scheduled(stored)):
            yield Violation("E1", f"{stored.id}: {step} ran, and is not recorded")


def _scheduled(stored: Stored) -> set[str]:
    return {event["data"]["step_id"] for event in stored.of_kind("step_scheduled")}


def _as_decided(stored: Stored) -> Iterator[Violation]:
    decided = [event["data"]["outcome"] for event in stored.of_kind("execution_closing")]
    if decided != [stored.state]:
        yield Violation("E1", f"{stored.id} is {stored.state}, decided was {decided}")


def _in_order(stored: Stored, wanted: list[str]) -> Iterator[Violation]:
    """Compare what has ended since the outcome was decided: what undoes, then what runs at the end."""
    closing = [event["number"] for event in stored.of_kind("execution_closing")]
    ended = [
        event["data"]["step_id"]
        for event in stored.of_kind(*_RESULTS)
        if event["number"] > min(closing, default=0)
    ]
    found = [step for step in ended if step.startswith(_FINALLY)]
    if found != wanted:
        yield Violation("E1", f"{stored.id} did {found} at its end, not {wanted}")
    elif ended[-len(wanted) :] != wanted:
        yield Violation("E1", f"{stored.id}: {ended} is no order for what undoes and what runs at the end")
