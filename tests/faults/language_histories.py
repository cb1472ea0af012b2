"""Hand-made evidence for the checkers of the language: good runs, and each spoilt in several ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tests.faults.histories import ID, TOKEN, body, event, operation, start, stored
from tests.faults.rig.evidence import Evidence, HistoryEvent, Stored
from tests.faults.rig.record import Body, Operation

CHILD: Final = "exe_child"


def numbered(*events: HistoryEvent) -> tuple[HistoryEvent, ...]:
    """Give events their numbers, and a second each."""
    return tuple(event(number, it["kind"], **it["data"]) for number, it in enumerate(events, start=1))


def started(**given: Any) -> HistoryEvent:
    return event(0, "execution_started", input={"token": TOKEN, **given})


def scheduled(path: str) -> HistoryEvent:
    return event(0, "step_scheduled", step_id=path, attempt=1)


def completed(path: str, output: Any, **more: Any) -> HistoryEvent:
    return event(0, "step_completed", step_id=path, attempt=1, output=output, **more)


def call(path: str, mark: str) -> tuple[HistoryEvent, HistoryEvent]:
    return scheduled(path), completed(path, {"mark": mark})


def ended(kind: str = "execution_completed", **data: Any) -> HistoryEvent:
    return event(0, kind, **data)


def run_of(one: Stored, *bodies: Body, operations: tuple[Operation, ...] = (), **others: Stored) -> Evidence:
    return Evidence(
        operations=(start(), *operations),
        bodies=bodies,
        stored={one.id: one, **{it.id: it for it in others.values()}},
    )


def changed(evidence: Evidence, *events: HistoryEvent, **members: Any) -> Evidence:
    one = replace(evidence.stored[ID], events=numbered(*events), last_event=len(events), **members)
    return replace(evidence, stored={**evidence.stored, ID: one})


# ---- messages


def came(signal: str, letter: str = "x") -> HistoryEvent:
    return event(0, "signal_received", signal_id=signal, name="paid", payload={"letter": letter})


def took(path: str, signal: str, letter: str = "x") -> HistoryEvent:
    return completed(path, {"letter": letter}, signal_id=signal)


def waits(path: str, **more: Any) -> HistoryEvent:
    return event(0, "step_waiting", step_id=path, **more)


def sent(signal: str, letter: str = "x") -> Operation:
    asked = {"id": ID, "signal_id": signal, "payload": {"letter": letter}}
    return operation("signal", 1.0, 1.1, request=asked, answer={"id": ID, "state": "RUNNING"})


LETTERS: Final = (
    *(started(), came("m-1"), scheduled("paid"), waits("paid"), took("paid", "m-1")),
    *(scheduled("paid-again"), waits("paid-again"), came("m-2"), took("paid-again", "m-2"), ended()),
)
LETTER: Final = run_of(stored(numbered(*LETTERS)), operations=(sent("m-1"), sent("m-1"), sent("m-2")))

# ---- waits

PAUSED: Final = run_of(
    stored(
        numbered(
            *(started(), *call("s0", "m0"), scheduled("pause")),
            waits("pause", until="2026-01-01T00:00:05.900000+00:00"),
            *(completed("pause", {}), *call("s1", "m1"), ended()),
        )
    ),
    *(body("s0", 1, 2.0, "m0"), body("s1", 1, 6.0, "m1")),
)

# ---- children

PARENTS: Final = (
    *(started(), scheduled("sub"), waits("sub", child_execution_id=CHILD)),
    *(completed("sub", {"mark": "c"}), ended()),
)
_BORN: Final = stored(
    (event(1, "execution_started", 3.1), event(2, "execution_completed", 3.5)),
    id=CHILD,
    parent=ID,
    parent_step="sub",
    result={"mark": "c"},
)
FAMILY: Final = run_of(stored(numbered(*PARENTS)), child=_BORN)


def with_child(**members: Any) -> Evidence:
    return replace(FAMILY, stored={**FAMILY.stored, CHILD: replace(_BORN, **members)})


# ---- undoing

_DONE: Final = (
    started(),
    *call("u0", "m0"),
    *call("u1", "m1"),
    event(0, "execution_closing", outcome="FAILED"),
)
_UNDONE: Final = (*call("undo/u1", "m2"), *call("undo/u0", "m3"))
_FAILED: Final = ended("execution_failed")
_UNDOING: Final = (
    *(body("u0", 1, 2.0, "m0"), body("u1", 1, 4.0, "m1")),
    body("undo/u1", 1, 7.0, "m2", given={"prior": "m1"}),
    body("undo/u0", 1, 9.0, "m3", given={"prior": "m0"}),
)
SAGA: Final = run_of(
    stored(numbered(*_DONE, *_UNDONE, _FAILED), state="FAILED", result=None),
    *_UNDOING,
)

# ---- bodies

_IN_ORDER: Final = (*call("each[1]/one", "i1"), *call("each[0]/one", "i0"))
_SCOPES: Final = (event(0, "scope_completed", scope="each[1]"), event(0, "scope_completed", scope="each[0]"))
_ITEMS: Final = [{"mark": "i0"}, {"mark": "i1"}]
_BRANCHES: Final = (*call("both[0]/l0", "l"), *call("both[1]/r0", "r"))
_BOTH: Final = completed("both", {"left": {"mark": "l"}, "right": {"mark": "r"}})


def mapped(*scopes: HistoryEvent, output: Any = None) -> tuple[HistoryEvent, ...]:
    return (
        *(started(items=[0, 1]), scheduled("each"), *_IN_ORDER, *scopes),
        *(completed("each", {"items": output or _ITEMS}), scheduled("both"), *_BRANCHES, _BOTH, ended()),
    )


BODIES: Final = run_of(
    stored(numbered(*mapped(*_SCOPES))),
    *(body(f"each[{n}]/one", 1, 4.0 + n, f"i{n}", given={"n": n}) for n in range(2)),
    *(body("both[0]/l0", 1, 9.0, "l"), body("both[1]/r0", 1, 9.0, "r")),
)

GOOD_RUNS: Final = {"letter": LETTER, "rest": PAUSED, "family": FAMILY, "saga": SAGA, "bodies": BODIES}

_LATE = (*LETTERS[:4], took("paid", "m-1"), scheduled("paid-again"), waits("paid-again"))

BAD_RUNS: Final[tuple[tuple[str, str, Evidence], ...]] = (
    ("a message lost", "messages_are_not_lost", changed(LETTER, *LETTERS[:7], *LETTERS[8:])),
    ("a message kept twice", "messages_are_not_lost", changed(LETTER, *LETTERS[:2], *LETTERS[1:])),
    ("another message", "messages_are_not_lost", changed(LETTER, LETTERS[0], came("m-1", "y"), *LETTERS[2:])),
    (
        "not woken by a message",
        "messages_are_not_lost",
        changed(LETTER, *_LATE, came("m-2"), state="RUNNING"),
    ),
    (
        "taken twice",
        "messages_are_taken_once",
        changed(LETTER, *LETTERS[:8], took("paid-again", "m-1"), ended()),
    ),
    (
        "taken before it came",
        "messages_are_taken_once",
        changed(LETTER, *_LATE, took("paid-again", "m-2"), came("m-2"), ended()),
    ),
    (
        "taken as something else",
        "messages_are_taken_once",
        changed(LETTER, *LETTERS[:4], took("paid", "m-1", "y"), *LETTERS[5:]),
    ),
    (
        "taken in another order",
        "messages_are_taken_once",
        changed(
            LETTER,
            *(*LETTERS[:2], came("m-2"), waits("paid"), took("paid", "m-2")),
            *(waits("paid-again"), took("paid-again", "m-1"), ended()),
        ),
    ),
    (
        "waited too short a time",
        "waits_are_not_early",
        changed(
            PAUSED,
            *(started(), *call("s0", "m0"), waits("pause", until="2026-01-01T00:00:09+00:00")),
            *(completed("pause", {}), ended()),
        ),
    ),
    (
        "a wait set too short",
        "waits_are_not_early",
        changed(PAUSED, started(), waits("pause", until="2026-01-01T00:00:02.1+00:00")),
    ),
    (
        "waited twice",
        "waits_are_not_early",
        changed(PAUSED, started(), *(2 * [waits("pause", until="2026-01-01T00:00:09+00:00")])),
    ),
    (
        "the next step too early, by the workers' clocks",
        "waits_are_not_early",
        replace(PAUSED, bodies=(PAUSED.bodies[0], body("s1", 1, 2.6, "m1"))),
    ),
    ("an unknown child", "children_are_recorded", changed(FAMILY, started(), *PARENTS[3:])),
    ("an unknown parent", "children_are_recorded", replace(FAMILY, stored={CHILD: _BORN})),
    (
        "two children of one step",
        "children_are_recorded",
        replace(FAMILY, stored={**FAMILY.stored, "exe_2": replace(_BORN, id="exe_2")}),
    ),
    (
        "two children chosen",
        "children_are_recorded",
        changed(FAMILY, *PARENTS[:3], waits("sub", child_execution_id="exe_2"), *PARENTS[3:]),
    ),
    ("a parent that does not wait", "children_reach_their_parents", with_child(state="RUNNING")),
    ("a parent with another result", "children_reach_their_parents", with_child(result={"mark": "d"})),
    (
        "a parent before its child",
        "children_reach_their_parents",
        with_child(events=(event(1, "execution_started", 3.1), event(2, "execution_completed", 5.0))),
    ),
    (
        "an open child of an ended parent",
        "children_reach_their_parents",
        replace(
            changed(with_child(state="RUNNING"), *PARENTS[:3], ended("execution_cancelled")), operations=()
        ),
    ),
    ("oldest first", "undone_in_reverse", changed(SAGA, *_DONE, *_UNDONE[2:], *_UNDONE[:2], _FAILED)),
    ("one left out", "undone_in_reverse", changed(SAGA, *_DONE, *_UNDONE[:2], _FAILED)),
    ("not undone at all", "undone_in_reverse", changed(SAGA, *_DONE[:-1], _FAILED)),
    ("undone twice", "undone_in_reverse", changed(SAGA, *_DONE, *_UNDONE[:2], *_UNDONE, _FAILED)),
    (
        "undone although completed",
        "undone_in_reverse",
        changed(SAGA, *_DONE[:-1], *_UNDONE, ended(), state="COMPLETED"),
    ),
    (
        "undone side by side",
        "undone_in_reverse",
        changed(SAGA, *_DONE, scheduled("undo/u1"), scheduled("undo/u0"), _UNDONE[1], _UNDONE[3], _FAILED),
    ),
    ("closed twice", "undone_in_reverse", changed(SAGA, *_DONE, _DONE[-1], *_UNDONE, _FAILED)),
    ("forward after the end", "undone_in_reverse", changed(SAGA, *_DONE, scheduled("u4"), *_UNDONE, _FAILED)),
    (
        "what did not complete is undone",
        "undone_in_reverse",
        replace(SAGA, bodies=(*_UNDOING, body("undo/u4", 1, 9.0, given={"prior": "m1"}))),
    ),
    (
        "undone with what another step gave",
        "undone_in_reverse",
        replace(SAGA, bodies=(*_UNDOING[:3], body("undo/u0", 1, 9.0, "m3", given={"prior": "m1"}))),
    ),
    ("items in another order", "bodies_are_whole", changed(BODIES, *mapped(*_SCOPES, output=_ITEMS[::-1]))),
    ("an item left out", "bodies_are_whole", changed(BODIES, *mapped(*_SCOPES, output=_ITEMS[:1]))),
    ("an item ended twice", "bodies_are_whole", changed(BODIES, *mapped(*_SCOPES, _SCOPES[0]))),
    (
        "a branch left out",
        "bodies_are_whole",
        changed(BODIES, started(), *_BRANCHES[2:], _BOTH, ended()),
    ),
    (
        "an item given to another body",
        "bodies_are_whole",
        replace(BODIES, bodies=(body("each[0]/one", 1, 4.0, "i0", given={"n": 1}), *BODIES.bodies[1:])),
    ),
)
"""What is wrong, the checker whose business it is, and the run."""
