"""What is found in the form of steps that are no calls: members, bodies, and ways through them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.workflow.builders import action, brief, found, service, services, step
from weft.server.workflow.checks.checks import find_problems
from weft.server.workflow.kinds import (
    Approval,
    Branch,
    Case,
    Child,
    Emit,
    Fail,
    Kind,
    Loop,
    Map,
    Parallel,
    SetVariables,
    Signal,
    Succeed,
    Switch,
    Wait,
)
from weft.server.workflow.model import (
    Cache,
    Compensation,
    Definition,
    ErrorHandler,
    ErrorKind,
    RetryPolicy,
    Step,
    StepLimit,
)

KNOWN = services(service("s", action("a"), action("b"), action("undo")), service("t", action("back")))
A = (step("x", "a"),)


def does(kind: Kind, step_id: str = "k", **rest: Any) -> Step:
    return Step(id=step_id, does=kind, **rest)


def switch(*targets: str, default: str = "") -> Switch:
    return Switch(cases=tuple(Case(when="true", next=target) for target in targets), default=default)


def parallel(*bodies: tuple[Step, ...], **rest: Any) -> Parallel:
    return Parallel(branches=tuple(Branch(name=f"b{n}", steps=body) for n, body in enumerate(bodies)), **rest)


FINE: list[Kind] = [
    switch(""),
    parallel(A),
    parallel(A, (step("y", "a"),), join=2),
    Map(items=[1, 2], steps=A),
    Map(items={"from": 0, "to": 10, "step": 2}, steps=A),
    Map(items="${input.list}", steps=A),
    Map(items=[{}], workflow=Child(name="w")),
    Loop(while_="iteration < 3", steps=A),
    Loop(until="true", steps=A),
    Wait(duration="1h30m"),
    Wait(until="2026-01-31T09:30:00Z"),
    Wait(duration="${input.days}d"),
    Signal(name="paid"),
    Signal(name="paid", correlation="${input.order}", schema={"type": "object"}),
    Approval(title="Refund?"),
    Approval(title="Refund ${input.amount}?", due="2d", assignees=("ops",), outcomes=("yes", "no")),
    Child(name="w"),
    SetVariables(values={"total": 1, "b-2": "${input.x}"}),
    Emit(type="order.shipped", data={"a": 1}),
    Fail(reason="OUT_OF_STOCK_2", message="none of ${input.sku}"),
    Succeed(result={"a": 1}),
    Succeed(),
]


@pytest.mark.parametrize("kind", FINE, ids=lambda kind: kind.kind)
def test_each_kind_as_it_should_be(kind: Kind) -> None:
    """A well-formed step of each kind has no problem."""
    assert found(KNOWN, does(kind)) == []


NINE = [f"n{n}" for n in range(9)]


def nested(depth: int) -> Step:
    """Give a step in as many lists."""
    inner = step(NINE[depth - 1], "a")
    for level in range(depth - 1, 0, -1):
        inner = Step(id=NINE[level - 1], does=Loop(until="true", steps=(inner,)))
    return inner


FAULTY: list[tuple[Kind, list[tuple[str, str]]]] = [
    (Switch(), [("steps[0].switch.cases", "REQUIRED")]),
    (Switch(cases=(Case(when=" "),)), [("steps[0].switch.cases[0].when", "REQUIRED")]),
    (Parallel(), [("steps[0].parallel.branches", "REQUIRED")]),
    (parallel(()), [("steps[0].parallel.branches[0].steps", "REQUIRED")]),
    (parallel(A, join=2), [("steps[0].parallel.join", "JOIN_IMPOSSIBLE")]),
    (
        Parallel(branches=(Branch(name="a", steps=A), Branch(name="a", steps=(step("y", "a"),)))),
        [("steps[0].parallel.branches[1].name", "DUPLICATE")],
    ),
    (
        Parallel(branches=(Branch(name="errors", steps=A),)),
        [("steps[0].parallel.branches[0].name", "INVALID")],
    ),
    (
        Parallel(branches=(Branch(name="1", steps=A),)),
        [("steps[0].parallel.branches[0].name", "INVALID")],
    ),
    (
        Parallel(branches=(Branch(name="", steps=A),)),
        [("steps[0].parallel.branches[0].name", "REQUIRED")],
    ),
    (Map(items=[1]), [("steps[0].map.steps", "REQUIRED")]),
    (Map(steps=A), [("steps[0].map.items", "REQUIRED")]),
    (Map(items=5, steps=A), [("steps[0].map.items", "TYPE_MISMATCH")]),
    (Map(items="input.list", steps=A), [("steps[0].map.items", "TYPE_MISMATCH")]),
    (Map(items="all of ${input.list}", steps=A), [("steps[0].map.items", "TYPE_MISMATCH")]),
    (Map(items="${size(input.list)}", steps=A), [("steps[0].map.items", "TYPE_MISMATCH")]),
    (Map(items={"from": 1}, steps=A), [("steps[0].map.items.to", "REQUIRED")]),
    (Map(items={"from": 0, "to": "x"}, steps=A), [("steps[0].map.items.to", "TYPE_MISMATCH")]),
    (
        Map(items={"from": 0, "to": "${input.n > 1}"}, steps=A),
        [("steps[0].map.items.to", "TYPE_MISMATCH")],
    ),
    (Map(items={"from": 0, "to": 9, "by": 2}, steps=A), [("steps[0].map.items", "INPUT_UNKNOWN")]),
    (Map(items={"from": 0, "to": 9, "step": 0}, steps=A), [("steps[0].map.items.step", "OUT_OF_RANGE")]),
    (Map(items={"from": 0, "to": 1_000_001}, steps=A), [("steps[0].map.items", "TOO_MANY")]),
    (Map(items={"from": 0, "to": 1_000_000}, steps=A), []),
    (Map(items={"from": 9, "to": 0, "step": -1}, steps=A), []),
    (
        Map(items=[{}], steps=A, workflow=Child(name="w")),
        [("steps[0].map.workflow", "MEMBER_NOT_ALLOWED")],
    ),
    (Loop(steps=A), [("steps[0].loop.while", "REQUIRED")]),
    (Loop(while_="true", until="true", steps=A), [("steps[0].loop.until", "MEMBER_NOT_ALLOWED")]),
    (Loop(while_="true"), [("steps[0].loop.steps", "REQUIRED")]),
    (Wait(), [("steps[0].wait.duration", "REQUIRED")]),
    (
        Wait(duration="1s", until="2026-01-31T09:30:00Z"),
        [("steps[0].wait.until", "MEMBER_NOT_ALLOWED")],
    ),
    (Wait(duration="90"), [("steps[0].wait.duration", "INVALID")]),
    (Wait(duration="366d"), [("steps[0].wait.duration", "OUT_OF_RANGE")]),
    (Wait(duration="${size(input)}"), [("steps[0].wait.duration", "TYPE_MISMATCH")]),
    (Wait(until="tomorrow"), [("steps[0].wait.until", "INVALID")]),
    (Wait(until="2026-02-30T00:00:00Z"), [("steps[0].wait.until", "INVALID")]),
    (Wait(until="${1 < 2}"), [("steps[0].wait.until", "TYPE_MISMATCH")]),
    (Signal(), [("steps[0].signal.name", "REQUIRED")]),
    (Signal(name="paid!"), [("steps[0].signal.name", "INVALID")]),
    (Signal(name="paid", schema={"type": 5}), [("steps[0].signal.schema.type", "SCHEMA_INVALID")]),
    (Approval(), [("steps[0].approval.title", "REQUIRED")]),
    (Approval(title="?", due="soon"), [("steps[0].approval.due", "INVALID")]),
    (Approval(title="?", outcomes=()), [("steps[0].approval.outcomes", "REQUIRED")]),
    (Approval(title="?", outcomes=("a", "a")), [("steps[0].approval.outcomes[1]", "DUPLICATE")]),
    (Approval(title="?", outcomes=("a b",)), [("steps[0].approval.outcomes[0]", "INVALID")]),
    (Approval(title="?", schema={"type": 5}), [("steps[0].approval.schema.type", "SCHEMA_INVALID")]),
    (Child(), [("steps[0].workflow.name", "REQUIRED")]),
    (Child(name="w", version=1, alias="x"), [("steps[0].workflow.alias", "MEMBER_NOT_ALLOWED")]),
    (SetVariables(values={}), [("steps[0].set", "REQUIRED")]),
    (SetVariables(values={"a b": 1}), [("steps[0].set", "INVALID")]),
    (Emit(), [("steps[0].emit.type", "REQUIRED")]),
    (Emit(type="order shipped"), [("steps[0].emit.type", "INVALID")]),
    (Fail(), [("steps[0].fail.reason", "REQUIRED")]),
    (Fail(reason="OutOfStock"), [("steps[0].fail.reason", "INVALID")]),
    (Fail(reason="_A"), [("steps[0].fail.reason", "INVALID")]),
]


@pytest.mark.parametrize(("kind", "expected"), FAULTY)
def test_each_kind_as_it_should_not_be(kind: Kind, expected: list[tuple[str, str]]) -> None:
    """Every rule has the path of what breaks it."""
    assert found(KNOWN, does(kind)) == expected


def test_a_reason_is_suggested() -> None:
    """As it would be written in UPPER_SNAKE_CASE."""
    (problem,) = find_problems(Definition(steps=(does(Fail(reason="outOfStock now")),)), KNOWN)
    assert problem.hint == "did you mean 'OUT_OF_STOCK_NOW'?"


def test_lists_in_lists_have_a_limit() -> None:
    """Eight lists in each other are fine, the workflow's own included; what is deeper is not looked into."""
    assert found(KNOWN, nested(8)) == []
    (problem,) = find_problems(Definition(steps=(nested(9),)), KNOWN)
    assert (problem.path, problem.code) == ("steps[0]" + ".loop.steps[0]" * 7 + ".loop.steps", "TOO_DEEP")


def test_steps_are_counted_at_all_depths() -> None:
    """A thousand in all; a million is counted no further than makes sense."""
    inner = tuple(step(f"x{n}", "a", f"x{n + 1}") for n in range(998))
    body = (*inner, step("x998", "a"))
    assert found(KNOWN, does(Loop(until="true", steps=body))) == []
    assert found(KNOWN, does(Loop(until="true", steps=body), next="z"), step("z", "a")) == [
        ("steps", "TOO_MANY")
    ]
    (problem,) = find_problems(Definition(steps=(step("a"),) * 1_000_000), KNOWN)
    assert problem.message == "more than 10,000 steps are over the limit of 1,000"


RETRY = RetryPolicy()
ALL_POLICIES: dict[str, Any] = {
    "service": "s",
    "action": "a",
    "service_version": "^1",
    "retry": RETRY,
    "schedule_to_close_timeout": timedelta(hours=1),
    "heartbeat_timeout": timedelta(seconds=1),
    "cache": Cache(ttl=timedelta(hours=1)),
    "limit": StepLimit(rate=1),
    "at_most_once": True,
    "timeout": timedelta(seconds=1),
    "input": {"a": 1},
    "output": {"a": 1},
    "next": "end",
    "on_error": (ErrorHandler(next="end"),),
    "compensate": Compensation(service="s", action="undo"),
}
TAKEN = {
    "switch": {"on_error"},
    "parallel": {"output", "next", "on_error"},
    "map": {"input", "output", "next", "on_error"},
    "loop": {"output", "next", "on_error"},
    "wait": {"output", "next", "on_error"},
    "signal": {"timeout", "output", "next", "on_error"},
    "approval": {"timeout", "output", "next", "on_error"},
    "workflow": {"timeout", "input", "output", "next", "on_error", "compensate"},
    "set": {"next", "on_error"},
    "emit": {"output", "next", "on_error"},
    "fail": {"on_error"},
    "succeed": set(),
}
ONE_OF_EACH: dict[str, Kind] = {kind.kind: kind for kind in FINE}


@pytest.mark.parametrize("kind", TAKEN)
def test_members_that_do_not_belong(kind: str) -> None:
    """Each kind takes what it can use; all else is told, with its path."""
    end = step("end", "a")
    first = does(Switch(cases=(Case(when="true", next="k"), Case(when="true", next="end"))), "first")
    broken = does(ONE_OF_EACH[kind], **ALL_POLICIES)
    refused = {
        path.removeprefix("steps[1].")
        for path, code in found(KNOWN, first, broken, end)
        if code == "MEMBER_NOT_ALLOWED"
    }
    assert refused == ALL_POLICIES.keys() - TAKEN[kind]


def test_nothing_in_finally_ends_the_execution() -> None:
    """It is ending already; that holds at any depth."""
    ok = does(Succeed(), "ok")
    assert found(KNOWN, *A, finally_steps=(ok,)) == [("finally[0].succeed", "MEMBER_NOT_ALLOWED")]
    deep = does(Loop(until="true", steps=(ok,)))
    assert found(KNOWN, *A, finally_steps=(deep,)) == [
        ("finally[0].loop.steps[0].succeed", "MEMBER_NOT_ALLOWED")
    ]
    assert found(KNOWN, *A, finally_steps=(does(Fail(reason="NO"), "no"),)) == []


def test_the_input_of_a_map_belongs_to_its_workflow() -> None:
    """A map of steps has none."""
    with_workflow = Map(items=[1], workflow=Child(name="w"))
    assert found(KNOWN, does(with_workflow, input={"n": "${item}"})) == []
    assert found(KNOWN, does(Map(items=[1], steps=A), input={"n": 1})) == [
        ("steps[0].input", "MEMBER_NOT_ALLOWED")
    ]


@pytest.mark.parametrize(
    ("undo", "expected"),
    [
        (Compensation(action="undo"), []),
        (Compensation(service="t", action="back"), []),
        (Compensation(action=""), [("steps[0].compensate.action", "REQUIRED")]),
        (Compensation(action="undone"), [("steps[0].compensate.action", "ACTION_UNKNOWN")]),
        (Compensation(service="t", action="undo"), [("steps[0].compensate.action", "ACTION_UNKNOWN")]),
        (Compensation(service="tt", action="undo"), [("steps[0].compensate.service", "SERVICE_UNKNOWN")]),
        (
            Compensation(action="undo", input={"a": "${output.x + error.reason + steps.x.y}"}),
            [],
        ),
        (
            Compensation(action="undo", input={"a": "${item}"}),
            [("steps[0].compensate.input.a", "EXPRESSION_NAME_UNKNOWN")],
        ),
    ],
)
def test_what_undoes_a_step_exists(undo: Compensation, expected: list[tuple[str, str]]) -> None:
    """It is an action of the step's own service, or of another; it knows the output and the failure."""
    assert found(KNOWN, step("x", "a", compensate=undo)) == expected


def test_what_undoes_a_child_names_its_service() -> None:
    """A child has no service of its own."""
    child = does(Child(name="w"), compensate=Compensation(action="undo"))
    assert found(KNOWN, child) == [("steps[0].compensate.service", "REQUIRED")]


def test_ids_are_unique_at_all_depths() -> None:
    """Also between branches, and in ``finally``."""
    steps = (does(parallel(A, A), "k"),)
    assert found(KNOWN, *steps, finally_steps=(step("k", "a"),)) == [
        ("steps[0].parallel.branches[1].steps[0].id", "STEP_ID_DUPLICATE"),
        ("finally[0].id", "STEP_ID_DUPLICATE"),
    ]


@pytest.mark.parametrize(
    ("steps", "path", "message", "hint"),
    [
        (
            (does(switch("nobody"), "s1"),),
            "steps[0].switch.cases[0].next",
            "there is no step 'nobody'",
            "",
        ),
        (
            (does(switch("", default="stepp"), "s1"), step("step2", "a")),
            "steps[0].switch.default",
            "there is no step 'stepp'",
            "did you mean 'step2'?",
        ),
        (
            (step("x", "a", on_error=(ErrorHandler(next="z"),)),),
            "steps[0].on_error[0].next",
            "there is no step 'z'",
            "",
        ),
        (
            (does(Loop(until="true", steps=(step("in", "a", "out"),)), "l", next="out"), step("out", "a")),
            "steps[0].loop.steps[0].next",
            (
                "the step 'out' stands in the workflow's own list: there are no jumps between lists, and "
                "this is the list of 'l'"
            ),
            "end this list (no `next`): the step that holds it goes on",
        ),
        (
            (step("out", "a", "in"), does(Loop(until="true", steps=(step("in", "a"),)), "l")),
            "steps[0].next",
            (
                "the step 'in' stands in the list of 'l': there are no jumps between lists, and this is the "
                "workflow's own list"
            ),
            "name 'l', which holds it",
        ),
        (
            (does(parallel((step("p", "a", "q"),), (step("q", "a"),)), "k"),),
            "steps[0].parallel.branches[0].steps[0].next",
            (
                "the step 'q' stands in branch 'b1' of 'k': there are no jumps between lists, and this is "
                "branch 'b0' of 'k'"
            ),
            "",
        ),
    ],
)
def test_targets_that_are_not_there(steps: tuple[Step, ...], path: str, message: str, hint: str) -> None:
    """One of another list is told as such, for there are no jumps between lists."""
    problems = find_problems(Definition(steps=steps), KNOWN)
    problem = next(problem for problem in problems if problem.path == path)
    assert (problem.code, problem.message) == ("STEP_UNKNOWN", message)
    assert problem.hint == hint or not hint


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            (does(switch("x", default="y"), "s1"), step("x", "a", "y"), step("y", "a", "s1")),
            [("steps[2].next", "STEP_CYCLE")],
        ),
        ((does(switch("s1"), "s1"),), [("steps[0].switch.cases[0].next", "STEP_CYCLE")]),
        (
            (step("x", "a", "y"), step("y", "a", on_error=(ErrorHandler(next="x"),))),
            [("steps[1].on_error[0].next", "STEP_CYCLE")],
        ),
        ((does(switch("x", default="y"), "s1"), step("x", "a", "y"), step("y", "a")), []),
        ((step("x", "a", on_error=(ErrorHandler(next="y"),)), step("y", "a")), []),
        ((does(switch("x"), "s1"), step("x", "a"), step("y", "a")), [("steps[2]", "STEP_UNREACHABLE")]),
        (
            (does(Fail(reason="A"), "f", on_error=(ErrorHandler(next="x"),)), step("x", "a")),
            [],
        ),
        ((does(Succeed(), "ok"), step("x", "a")), [("steps[1]", "STEP_UNREACHABLE")]),
        (
            (does(Loop(until="true", steps=(step("x", "a"), step("y", "a")))),),
            [("steps[0].loop.steps[1]", "STEP_UNREACHABLE")],
        ),
    ],
)
def test_ways_through_a_list(steps: tuple[Step, ...], expected: list[tuple[str, str]]) -> None:
    """Cycles count all ways on; a step is reached by any of them."""
    assert found(KNOWN, *steps) == expected


@pytest.mark.parametrize(
    ("handlers", "expected"),
    [
        ([ErrorHandler(), ErrorHandler(reasons=("A",))], [1]),
        ([ErrorHandler(kind=ErrorKind.BUSINESS), ErrorHandler(reasons=("A",))], []),
        ([ErrorHandler(reasons=("A", "B")), ErrorHandler(reasons=("B",), kind=ErrorKind.BUSINESS)], [1]),
        ([ErrorHandler(reasons=("A",)), ErrorHandler(), ErrorHandler(kind=ErrorKind.TECHNICAL)], [2]),
    ],
)
def test_a_handler_that_is_never_asked(handlers: list[ErrorHandler], expected: list[int]) -> None:
    """The first that takes a failure has it: one behind a more general one is a warning."""
    problems = found(KNOWN, step("x", "a", on_error=tuple(handlers)))
    assert problems == [(f"steps[0].on_error[{n}]", "HANDLER_UNREACHABLE?") for n in expected]


@pytest.mark.parametrize("kind", ["signal", "approval", "action"])
def test_how_long_a_step_may_take(kind: str) -> None:
    """A call a day, a person or a message a year."""
    make = Step(id="k", service="s", action="a") if kind == "action" else does(ONE_OF_EACH[kind])
    limit = timedelta(hours=24) if kind == "action" else timedelta(days=365)
    for given, expected in (
        (limit, []),
        (limit + timedelta(seconds=1), [("steps[0].timeout", "OUT_OF_RANGE")]),
    ):
        timed = Step(id=make.id, service=make.service, action=make.action, does=make.does, timeout=given)
        assert brief(find_problems(Definition(steps=(timed,)), KNOWN)) == expected
