"""Hand-made evidence for the checkers of ends, people, loops and sparing: good runs, and each spoilt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tests.faults.histories import ID, body, event, operation, stored
from tests.faults.language_histories import (
    CHILD,
    call,
    changed,
    completed,
    ended,
    numbered,
    run_of,
    scheduled,
    started,
    waits,
)
from tests.faults.rig.evidence import Evidence, HistoryEvent, Stored
from tests.faults.rig.record import Body, Operation, Outcome, Window

OTHER: Final = "exe_other"


def closes(outcome: str, **more: Any) -> HistoryEvent:
    return event(0, "execution_closing", outcome=outcome, **more)


def cancelled(execution: str = ID) -> Operation:
    return operation("cancel", 3.9, 4.1, request={"id": execution}, answer={"id": execution, "state": ""})


# ---- children of a parent that ends first

_CLAN: Final = (
    started(),
    scheduled("sub"),
    waits("sub", child_execution_id=CHILD),
    ended("execution_cancelled"),
)
_LEFT: Final = stored(
    (
        event(1, "execution_started", 3.1),
        event(2, "step_scheduled", 3.5, step_id="s0", attempt=1),
        event(3, "execution_cancelled", 4.2),
    ),
    id=CHILD,
    parent=ID,
    parent_step="sub",
    state="CANCELLED",
    result=None,
)
CLAN: Final = run_of(
    stored(numbered(*_CLAN), state="CANCELLED", result=None), operations=(cancelled(),), child=_LEFT
)


def left(*events: HistoryEvent, **members: Any) -> Evidence:
    """Return a run in which the child that is not needed any more does something else."""
    child = replace(_LEFT, events=(*_LEFT.events[:2], *events), last_event=2 + len(events), **members)
    return replace(CLAN, stored={**CLAN.stored, CHILD: child})


def later(second: float) -> HistoryEvent:
    return event(3, "step_scheduled", second, step_id="s1", attempt=1)


_LATE: Final = later(20.0)
_KILLED: Final = (Window(fault="kill-server", began=1_767_225_604.0, ended=1_767_225_609.0),)

# ---- what is undone after a cancellation, a child too

UNDO: Final = "exe_undo"
_PARENT: Final = (
    *(started(), scheduled("sub"), waits("sub", child_execution_id=CHILD), completed("sub", {"mark": "c"})),
    *(*call("u1", "m1"), closes("CANCELLED", undo=["u1", "sub"]), *call("undo/u1", "m2")),
    *(scheduled("undo/sub"), waits("undo/sub", child_execution_id=UNDO), completed("undo/sub", {})),
    ended("execution_cancelled"),
)
_FIRST: Final = (
    event(1, "execution_started", 2.1),
    event(2, "step_scheduled", 2.2, step_id="u0", attempt=1),
    event(3, "step_completed", 2.3, step_id="u0", attempt=1, output={"mark": "c"}),
)
_BORN: Final = stored(
    (*_FIRST, event(4, "execution_completed", 2.4)),
    id=CHILD,
    parent=ID,
    parent_step="sub",
    result={"mark": "c"},
)
_UNDOES: Final = stored(
    (
        *_FIRST,
        event(4, "execution_closing", 10.1, outcome="CANCELLED", undo=["u0"]),
        event(5, "step_scheduled", 10.2, step_id="undo/u0", attempt=1),
        event(6, "step_completed", 10.3, step_id="undo/u0", attempt=1, output={"mark": "m3"}),
        event(7, "execution_cancelled", 10.4),
    ),
    id=UNDO,
    parent=ID,
    parent_step="undo/sub",
    origin=CHILD,
    state="CANCELLED",
    result=None,
)
REGRET: Final = run_of(
    stored(numbered(*_PARENT), state="CANCELLED", result=None),
    body("u1", 1, 5.0, "m1"),
    body("undo/u1", 1, 8.0, "m2", given={"prior": "m1"}),
    body("u0", 1, 2.2, "c", execution=CHILD, key="k0"),
    body("undo/u0", 1, 10.2, "m3", execution=UNDO, key="k1", given={"prior": "c"}),
    operations=(cancelled(),),
    child=_BORN,
    undo=_UNDOES,
)


def undoing(**members: Any) -> Evidence:
    return replace(REGRET, stored={**REGRET.stored, UNDO: replace(_UNDOES, **members)})


# ---- finally

_FORWARD: Final = (started(), *call("u0", "m0"), closes("CANCELLED", undo=["u0"]))
_UNDONE: Final = call("undo/u0", "m1")
_AT_THE_END: Final = (*call("finally/f0", "m2"), *call("finally/f1", "m3"))
_CANCELLED: Final = ended("execution_cancelled")
TIDY: Final = run_of(
    stored(
        numbered(*_FORWARD, *_UNDONE, *_AT_THE_END, _CANCELLED),
        state="CANCELLED",
        result=None,
        workflow="tidy",
    ),
    *(body("u0", 1, 2.0, "m0"), body("undo/u0", 1, 5.0, "m1", given={"prior": "m0"})),
    *(body("finally/f0", 1, 7.0, "m2"), body("finally/f1", 1, 9.0, "m3", given={"prior": "m2"})),
    operations=(cancelled(),),
)

# ---- decisions


def decided(outcome: str, by: str, told: Outcome = Outcome.OK, at: float = 3.0) -> Operation:
    asked = {"id": ID, "outcome": outcome, "by": by}
    answer = {"id": ID, "state": ""} if told is Outcome.OK else {"reason": "NO_APPROVAL", "expected": True}
    return operation("decide", at, at + 0.1, told, request=asked, answer=answer)


def decision(outcome: str, by: str) -> HistoryEvent:
    return completed("ask", {"outcome": outcome, "by": by, "data": {"word": by}})


def asked(*events: HistoryEvent, way: str = "s1") -> tuple[HistoryEvent, ...]:
    return (started(), scheduled("ask"), waits("ask"), *events, *call(way, "m1"), ended())


_MADE: Final = (
    decided("grant", "a"),
    decided("deny", "b", Outcome.FAIL, 3.2),
    decided("deny", "c", Outcome.UNKNOWN, 2.0),
)
ASK: Final = run_of(
    stored(numbered(*asked(decision("grant", "a")))), body("s1", 1, 5.0, "m1"), operations=_MADE
)

# ---- loops


def turn(number: int) -> tuple[HistoryEvent, ...]:
    scope = f"again[{number}]"
    return (
        *(*call(f"{scope}/r0", f"a{number}"), *call(f"{scope}/r1", f"b{number}")),
        completed(f"{scope}/tally", {"count": number + 1}),
        event(0, "scope_completed", scope=scope),
    )


def rounds(*turns: HistoryEvent, iterations: int = 2, last: int = 2) -> tuple[HistoryEvent, ...]:
    output = {"iterations": iterations, "last": {"count": last}}
    return (started(rounds=2), scheduled("again"), *turns, completed("again", output), ended())


ROUNDS: Final = run_of(
    stored(numbered(*rounds(*turn(0), *turn(1)))),
    body("again[0]/r0", 1, 2.0, "a0", given={"n": 0, "prior": ""}),
    body("again[0]/r1", 1, 4.0, "b0", given={"prior": "a0"}),
    body("again[1]/r0", 1, 6.0, "a1", given={"n": 1, "prior": "b0"}),
    body("again[1]/r1", 1, 8.0, "b1", given={"prior": "a1"}),
)
_TURNS_MIXED: Final = (scheduled("again[1]/r0"), *turn(0), *turn(1)[1:])

# ---- limits, and what is kept


def spared(*events: HistoryEvent, execution: str = ID, second: float = 0.0, **members: Any) -> Stored:
    """Return an execution of which each event is a second after the one before it."""
    moved = [event(number, it["kind"], second + number, **it["data"]) for number, it in enumerate(events, 1)]
    return stored(tuple(moved), id=execution, token=execution, **members)


def rated(mark: str, instance: str = "i-1", step: str = "rate") -> HistoryEvent:
    return completed(step, {"mark": mark}, instance_id=instance)


def both(one: Stored, other: Stored, *bodies: Body) -> Evidence:
    return Evidence(
        operations=tuple(
            operation("start", 0.5, 0.6, request={"request_id": it.token}, answer={"id": it.id})
            for it in (one, other)
        ),
        bodies=bodies,
        stored={one.id: one, other.id: other},
    )


def by(execution: str, step: str, began: float, mark: str, key: str = "eur", **more: Any) -> Body:
    given = {"key": key}
    return body(step, 1, began, mark, execution=execution, key=f"{execution}/{step}", given=given, **more)


_ONE: Final = spared(started(currency="eur"), scheduled("rate"), rated("m1"), ended())
_TWO: Final = spared(
    started(currency="eur"), scheduled("rate"), rated("m1", ""), ended(), execution=OTHER, second=3.0
)
SPARING: Final = both(_ONE, _TWO, by(ID, "rate", 2.0, "m1"))

_AGAIN: Final = replace(
    _TWO, events=(*_TWO.events[:2], event(3, "step_completed", 6.0, **rated("m2")["data"]), *_TWO.events[3:])
)
_GIVEN: Final = spared(started(currency="eur"), scheduled("fresh"), rated("m1", step="fresh"), ended())
_TAKEN: Final = spared(
    *(started(currency="eur"), scheduled("fresh"), rated("m1", "", "fresh"), ended()),
    execution=OTHER,
    second=3.0,
)
_NARROW: Final = tuple(
    body(f"spread[{n}]/narrow", 1, 4.0 + n / 10, f"i{n}", given={"n": n, "key": ""}) for n in range(3)
)
_FAST: Final = tuple(
    event(number, "step_scheduled", 3.0 + number / 100, step_id=f"spread[{number}]/paced", attempt=1)
    for number in range(2, 42)
)

GOOD_ENDS: Final = {
    "clan": CLAN,
    "clan, with a kill": replace(left(_LATE, event(4, "execution_cancelled", 20.1)), windows=_KILLED),
    "regret": REGRET,
    "tidy": TIDY,
    "ask": ASK,
    "rounds": ROUNDS,
    "sparing": SPARING,
}

_END: Final = "children_end_with_their_parents"
_UNDO: Final = "undone_in_reverse"
_REACH: Final = "children_reach_their_parents"
_FINALLY: Final = "finally_runs_once"
_DECIDE: Final = "decisions_count_once"
_LOOP: Final = "loops_go_in_order"
_LIMIT: Final = "limits_are_kept"
_KEPT: Final = "what_is_kept_is_not_done_again"

BAD_ENDS: Final[tuple[tuple[str, str, Evidence], ...]] = (
    ("a child that goes on", _END, left(_LATE, event(4, "execution_cancelled", 20.1))),
    ("a child that is left open", _END, left(state="RUNNING")),
    (
        "a child that ends well, long after",
        _END,
        left(event(3, "execution_completed", 20.0), state="COMPLETED"),
    ),
    (
        "a child that goes on for ever after a kill",
        _END,
        replace(left(later(55.0), event(4, "execution_cancelled", 55.1)), windows=_KILLED),
    ),
    ("not undone after a cancellation", _UNDO, changed(REGRET, *_PARENT[:6], _PARENT[-1])),
    ("a child that is not undone", _UNDO, changed(REGRET, *_PARENT[:9], _PARENT[-1])),
    (
        "an undone child without anything undone",
        _UNDO,
        undoing(events=(*_FIRST, event(4, "execution_cancelled", 10.4))),
    ),
    ("an undone child that completed", _REACH, undoing(state="COMPLETED")),
    ("finally left out", _FINALLY, changed(TIDY, *_FORWARD, *_UNDONE, _CANCELLED)),
    ("finally half done", _FINALLY, changed(TIDY, *_FORWARD, *_UNDONE, *_AT_THE_END[:2], _CANCELLED)),
    ("finally twice", _FINALLY, changed(TIDY, *_FORWARD, *_UNDONE, *_AT_THE_END, *_AT_THE_END, _CANCELLED)),
    ("finally before it is undone", _FINALLY, changed(TIDY, *_FORWARD, *_AT_THE_END, *_UNDONE, _CANCELLED)),
    (
        "another end than was decided",
        _FINALLY,
        changed(TIDY, *_FORWARD, *_UNDONE, *_AT_THE_END, ended("execution_failed"), state="FAILED"),
    ),
    (
        "a body at the end that nobody knows",
        _FINALLY,
        replace(TIDY, bodies=(*TIDY.bodies, body("finally/f2", 1, 9.0))),
    ),
    ("two decisions accepted", _DECIDE, replace(ASK, operations=(*ASK.operations, decided("deny", "d")))),
    ("a decision forgotten", _DECIDE, changed(ASK, *asked(decision("deny", "c"), way="s2"))),
    ("a refused decision recorded", _DECIDE, changed(ASK, *asked(decision("deny", "b"), way="s2"))),
    ("a decision of nobody", _DECIDE, changed(ASK, *asked(decision("grant", "x")))),
    ("a decision turned round", _DECIDE, changed(ASK, *asked(decision("deny", "a"), way="s2"))),
    ("another way than was decided", _DECIDE, changed(ASK, *asked(decision("grant", "a"), way="s2"))),
    ("an iteration too few", _LOOP, changed(ROUNDS, *rounds(*turn(0), iterations=1, last=1))),
    ("an iteration too many", _LOOP, changed(ROUNDS, *rounds(*turn(0), *turn(1), *turn(2)))),
    ("iterations side by side", _LOOP, changed(ROUNDS, *rounds(*_TURNS_MIXED))),
    ("a loop that gives another iteration", _LOOP, changed(ROUNDS, *rounds(*turn(0), *turn(1), last=1))),
    (
        "an iteration that forgets",
        _LOOP,
        replace(ROUNDS, bodies=(*ROUNDS.bodies, body("again[1]/r0", 1, 6.0, given={"n": 1, "prior": ""}))),
    ),
    ("too many at once", _LIMIT, replace(SPARING, bodies=_NARROW)),
    ("too fast", _LIMIT, both(stored(_FAST), _TWO)),
    (
        "called although it is kept",
        _KEPT,
        both(_ONE, _AGAIN, by(ID, "rate", 2.0, "m1"), by(OTHER, "rate", 5.0, "m2")),
    ),
    ("of another key", _KEPT, both(_ONE, _TWO, by(ID, "rate", 2.0, "m1", "usd"))),
    ("taken after its time", _KEPT, both(_GIVEN, _TAKEN, by(ID, "fresh", 2.0, "m1"))),
)
"""What is wrong, the checker whose business it is, and the run."""
