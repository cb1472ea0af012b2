"""Hand-made evidence for the checkers' own tests: one good run, to be spoilt in one way each time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.rig.evidence import Evidence, HistoryEvent, Stored
from tests.faults.rig.record import Body, Operation, Outcome

TOKEN = "r-1"
ID = "exe_1"


def event(number: int, kind: str, second: float = 0.0, **data: Any) -> HistoryEvent:
    return {"number": number, "kind": kind, "time": _time(second or number), "data": data}


def _time(second: float) -> str:
    return f"2026-01-01T00:00:{second:09.6f}+00:00"


FULL = (
    event(1, "execution_started"),
    event(2, "step_scheduled", step_id="a", attempt=1),
    event(3, "step_completed", step_id="a", attempt=1, output={"mark": "m1"}),
    event(4, "step_scheduled", step_id="b", attempt=1),
    event(5, "step_scheduled", step_id="b", attempt=2),
    event(6, "step_completed", step_id="b", attempt=2, output={"mark": "m3"}),
    event(7, "execution_completed", result={"mark": "m3"}),
)
"""Two steps; the second one was interrupted once."""


def body(step: str, attempt: int, began: float, mark: str = "", **members: Any) -> Body:
    known: dict[str, Any] = {
        "worker": "worker-0",
        "execution": ID,
        "key": f"{ID}/{step}",
        "given": {},
        "ended": began + 0.5 if mark else None,
        "output": {"mark": mark} if mark else None,
    }
    return Body(step=step, attempt=attempt, began=began, **{**known, **members})


BODIES = (
    body("a", 1, 2.0, "m1"),
    body("b", 1, 4.0, given={"prior": "m1"}),
    body("b", 2, 5.0, "m3", given={"prior": "m1"}),
)


def stored(events: tuple[HistoryEvent, ...] = FULL, **members: Any) -> Stored:
    known: dict[str, Any] = {
        "id": ID,
        "state": "COMPLETED",
        "token": TOKEN,
        "last_event": len(events),
        "result": {"mark": "m3"},
        "created": 1_767_225_601.0,  # the time of the first event
    }
    return Stored(events=events, **{**known, **members})


def operation(
    name: str, invoked: float, ended: float, outcome: Outcome = Outcome.OK, **parts: Any
) -> Operation:
    number = int(invoked * 1_000)
    return Operation(number=number, name=name, invoked=invoked, ended=ended, outcome=outcome, **parts)


def start(invoked: float = 0.5, execution: str = ID, **request: Any) -> Operation:
    asked = {"request_id": TOKEN, **request}
    return operation("start", invoked, invoked + 0.1, request=asked, answer={"id": execution})


def reading(count: int, at: float, events: tuple[HistoryEvent, ...] = FULL) -> Operation:
    return operation("history", at, at + 0.1, request={"id": ID}, answer={"events": list(events[:count])})


def cancellation(at: float, outcome: Outcome = Outcome.OK, **answer: Any) -> Operation:
    return operation("cancel", at, at + 0.1, outcome, request={"id": ID}, answer=answer)


GOOD = Evidence(
    operations=(
        start(),
        start(0.7),
        reading(2, 2.5),
        reading(7, 8.0),
        operation("get", 9.0, 9.1, request={"id": ID}, answer={"id": ID, "state": "COMPLETED"}),
    ),
    bodies=BODIES,
    stored={ID: stored()},
)
"""A run in which everything holds."""


def with_stored(events: tuple[HistoryEvent, ...] = FULL, **members: Any) -> Evidence:
    return replace(GOOD, stored={ID: stored(events, **members)})


def with_operations(*more: Operation, **members: Any) -> Evidence:
    return replace(GOOD, operations=(*GOOD.operations, *more), **members)


def with_bodies(*bodies: Body) -> Evidence:
    return replace(GOOD, bodies=bodies)


def without(number: int) -> tuple[HistoryEvent, ...]:
    return tuple(one for one in FULL if one["number"] != number)


def ending_with(kind: str, second: float = 7.0) -> tuple[HistoryEvent, ...]:
    """Return the history with another end."""
    return (*FULL[:5], event(6, kind, second))
