"""M1, W9: a message is taken once and none is lost; a step that waits for a time waits as long as it must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.faults.checks.steps import ROUNDING, at, seconds
from tests.faults.rig.evidence import FINAL, PAUSE, Evidence, HistoryEvent, Stored, Violation, step_kind


def messages_are_not_lost(evidence: Evidence) -> Iterator[Violation]:
    """M1: what was acknowledged is in the history once, as it was sent; nothing waits for what is there."""
    for op in evidence.ok("signal"):
        stored, wanted = evidence.stored.get(op.request["id"]), op.request["signal_id"]
        kept = [it for it in _received(stored) if it["signal_id"] == wanted]
        if len(kept) != 1:
            yield Violation(
                "M1", f"{op.request['id']}: {wanted} was acknowledged, and came {len(kept)} times"
            )
        for data in kept:
            if data["payload"] != op.request["payload"]:
                yield Violation("M1", f"{op.request['id']}: {wanted} came as {data['payload']}")
    for stored in evidence.stored.values():
        left = {it["signal_id"] for it in _received(stored)} - {it["signal_id"] for it in _taken(stored)}
        if left and stored.state not in FINAL and _waits_for_message(stored):
            yield Violation("M1", f"{stored.id} waits for a message, and {sorted(left)} are there")


def messages_are_taken_once(evidence: Evidence) -> Iterator[Violation]:
    """M1: a step takes a message that came before, whole; none is taken twice, the first goes first."""
    for stored in evidence.stored.values():
        came: dict[str, Any] = {}
        taken: Counter[str] = Counter()
        for event in stored.of_kind("signal_received", "step_completed"):
            data = event["data"]
            if event["kind"] == "signal_received":
                came.setdefault(data["signal_id"], data["payload"])
            elif step_kind(data["step_id"]) == "signal":
                signal = data["signal_id"]
                taken[signal] += 1
                if signal not in came:
                    yield Violation(
                        "M1", f"{stored.id}: {data['step_id']} took {signal!r}, which had not come"
                    )
                elif data["output"] != came[signal]:
                    yield Violation(
                        "M1", f"{stored.id}: {signal} gave {data['output']}, it was {came[signal]}"
                    )
        for signal in (signal for signal, count in taken.items() if count > 1):
            yield Violation("M1", f"{stored.id}: {signal} was taken {taken[signal]} times")
        order = [list(came).index(signal) for signal in taken if signal in came]
        if any(later < earlier for earlier, later in pairwise(order)):
            yield Violation("M1", f"{stored.id}: messages were taken in the order {list(taken)}")


def _received(stored: Stored | None) -> list[Any]:
    return [event["data"] for event in stored.of_kind("signal_received")] if stored is not None else []


def _taken(stored: Stored) -> list[Any]:
    return [event["data"] for event in stored.of_kind("step_completed") if event["data"].get("signal_id")]


def _waits_for_message(stored: Stored) -> bool:
    done = {event["data"]["step_id"] for event in stored.of_kind("step_completed", "step_failed")}
    waiting = (event["data"]["step_id"] for event in stored.of_kind("step_waiting"))
    return any(step_kind(path) == "signal" and path not in done for path in waiting)


def waits_are_not_early(evidence: Evidence) -> Iterator[Violation]:
    """W9: a step waits once, as long as its definition says, by the server's clock and by the workers'."""
    for stored in evidence.stored.values():
        until: dict[str, float] = {}
        for event in stored.of_kind("step_waiting", "step_completed"):
            step = event["data"]["step_id"]
            if step_kind(step) != "wait":
                continue
            if event["kind"] == "step_completed":
                if at(event) < until.get(step, float("inf")) - ROUNDING:
                    yield Violation("W9", f"{stored.id}: {step} waited too short a time")
                continue
            if step in until:
                yield Violation("W9", f"{stored.id}: {step} began to wait twice")
            until[step] = seconds(event["data"]["until"])
            if until[step] < at(event) + PAUSE - ROUNDING:
                yield Violation("W9", f"{stored.id}: {step} waits {until[step] - at(event):.3f} s")
        if until:
            yield from _too_early(evidence, stored)


def _too_early(evidence: Evidence, stored: Stored) -> Iterator[Violation]:
    """Compare when the call before a wait returned with when the one behind it began."""
    for wait, before, after in _around_waits(stored):
        mark = (before["data"]["output"] or {}).get("mark")
        bodies = evidence.bodies_of.get((stored.id, before["data"]["step_id"]), [])
        ended = [body.ended for body in bodies if body.ended and (body.output or {}).get("mark") == mark]
        for body in evidence.bodies_of.get((stored.id, after), []):
            if ended and body.began < ended[0] + PAUSE - ROUNDING:
                took = body.began - ended[0]
                yield Violation("W9", f"{stored.id}: {after} began {took:.3f} s after what is before {wait}")


def _around_waits(stored: Stored) -> Iterator[tuple[str, HistoryEvent, str]]:
    """Yield a step that waited, the completion before it, and the step behind it."""
    completed: HistoryEvent | None = None
    waited = ""
    for event in stored.of_kind("step_completed", "step_scheduled"):
        step = event["data"]["step_id"]
        if event["kind"] == "step_scheduled":
            if waited and completed is not None:
                yield waited, completed, step
            waited = ""
        elif step_kind(step) == "wait":
            waited = step
        else:
            completed = event
