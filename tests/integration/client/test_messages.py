"""Messages, decisions, incidents in bodies and what would be undone, against the server itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.integration.client.peer import Peer, same_tries
from tests.support.clocks import SteppingClock
from tests.support.world import hosted, serving
from weft.client import (
    ApprovalRequest,
    Client,
    MapProgress,
    Parent,
    PlannedCompensation,
    PreconditionError,
    ResourceNotFoundError,
    ValidationError,
    connect,
)
from weft.service import Service

pytestmark = pytest.mark.integration

STOCK = Service("stock")


@STOCK.action
async def reserve(name: str) -> dict[str, str]:
    """Reserve one."""
    if name == "none":
        raise OSError("no such item")
    return {"name": name}


@STOCK.action
async def free(name: str) -> dict[str, str]:
    """Free it again."""
    return {"freed": name}


@pytest.fixture
async def real() -> AsyncIterator[Client]:
    async with serving() as wire, hosted(wire, STOCK), connect(wire.address) as client:
        yield client


WAIT = {"id": "paid", "signal": {"name": "paid", "correlation": "${input.order}"}}
ASK = {"id": "ask", "approval": {"title": "Pay ${input.n}?", "assignees": ["ann"], "outcomes": ["yes", "no"]}}


async def test_a_message_is_brought_once(real: Client) -> None:
    """To an execution by its key; what it says is the output of the step."""
    await real.workflows.create("order", [WAIT])
    await real.executions.start("order", {"order": "7"}, key="o-7")
    for number in (1, 2):
        stood = await real.executions.signal("o-7", "paid", {"n": number}, correlation="8", signal_id="a")
        assert stood.state == "RUNNING"
    with pytest.raises(ResourceNotFoundError, match="paid"):
        await real.executions.signal("o-7", "payed")
    await real.executions.signal("o-7", "paid", {"n": 3}, correlation="7")
    events = [event async for event in real.executions.watch("o-7")]
    assert [it.data["payload"] for it in events if it.kind == "signal_received"] == [{"n": 1}, {"n": 3}]
    (waiting,) = (it.data for it in events if it.kind == "step_waiting")
    assert (waiting["reason"], waiting["signal"], waiting["correlation"]) == ("SIGNAL", "paid", "7")
    assert (await real.executions.get("o-7")).result == {"n": 3}


async def test_a_message_may_start_what_takes_it(real: Client) -> None:
    """Whether it did is told; the second finds the execution that the first started."""
    steps = [
        {"id": "one", "signal": {"name": "item"}, "next": "two"},
        {"id": "two", "signal": {"name": "item"}},
    ]
    await real.workflows.create("basket", steps)
    first, started = await real.executions.signal_with_start(
        "basket", "b-1", "item", {"n": 1}, input={"for": "ada"}, attributes={"who": "ada"}
    )
    second, again = await real.executions.signal_with_start("basket", "b-1", "item", {"n": 2})
    assert (started, again, first.id, first.key) == (True, False, second.id, "b-1")
    async for _ in real.executions.watch("b-1"):
        pass
    found = await real.executions.get("b-1")
    assert (found.result, found.input, found.search_attributes) == ({"n": 2}, {"for": "ada"}, {"who": "ada"})


async def test_a_decision_is_one_of_the_outcomes(real: Client) -> None:
    """What is asked is in the step that waits; who decided what is its output."""
    await real.workflows.create("ask", [ASK])
    started = await real.executions.start("ask", {"n": 5})
    async for event in real.executions.watch(started.id):
        if event.kind == "step_waiting":
            assert event.data["approval"]["title"] == "Pay 5?"
            break
    (step,) = (await real.executions.get(started.id)).steps
    assert (step.kind, step.state, step.waits_for) == ("approval", "WAITING", "APPROVAL")
    assert step.approval == ApprovalRequest(title="Pay 5?", assignees=("ann",), outcomes=("yes", "no"))
    with pytest.raises(ValidationError, match=r"^outcome: 'maybe' is no outcome; known: no, yes$"):
        await real.executions.decide(started.id, "maybe")
    await real.executions.decide(
        started.id, "yes", comment="fine", by="ann", step_id="ask", data={"until": "May"}
    )
    async for _ in real.executions.watch(started.id):
        pass
    result = (await real.executions.get(started.id)).result or {}
    assert [result[name] for name in ("outcome", "comment", "by", "data")] == [
        "yes",
        "fine",
        "ann",
        {"until": "May"},
    ]
    with pytest.raises(PreconditionError):
        await real.executions.decide(started.id, "no")


async def test_an_incident_in_a_map_is_resolved_by_its_path(real: Client) -> None:
    """The map says how far it is; the plan says what would be undone, and then what was."""
    book = {
        "id": "book",
        "service": "stock",
        "action": "reserve",
        "input": {"name": "${item}"},
        "retry": {"max_attempts": 1},
        "compensate": {"action": "free"},
    }
    await real.workflows.create("shop", [{"id": "each", "map": {"items": "${input.names}", "steps": [book]}}])
    started = await real.executions.start("shop", {"names": ["none", "a", "none"]})
    raised = 0
    async for event in real.executions.watch(started.id):
        raised += event.kind == "incident_raised"
        if raised == 2 and event.kind == "incident_raised":
            break
    with pytest.raises(ValidationError, match=r"each\[0\]/book, each\[2\]/book"):
        await real.executions.resolve_incident(started.id)
    again = {"name": "b"}
    await real.executions.resolve_incident(started.id, "RETRY", input=again, step_id="each[0]/book")
    async for event in real.executions.watch(started.id):
        if event.kind == "scope_completed" and event.data["scope"] == "each[0]":
            break
    each = (await real.executions.get(started.id)).steps[0]
    assert each.map == MapProgress(count=3, completed=2)
    plan = await real.executions.compensation_plan(started.id)
    assert {it.step_id for it in plan} == {"each[0]/book", "each[1]/book"}
    assert {(it.service, it.action, it.state) for it in plan} == {("stock", "free", "")}
    await real.executions.resolve_incident(started.id, "FAIL", step_id="each[2]/book")
    async for _ in real.executions.watch(started.id):
        pass
    assert [it.state for it in await real.executions.compensation_plan(started.id)] == ["COMPLETED"] * 2


async def test_parents_children_and_variables_are_shown(real: Client) -> None:
    """Each knows the other by its id."""
    await real.workflows.create("kid", [{"id": "v", "set": {"n": 2}}])
    await real.workflows.create("family", [{"id": "c", "workflow": {"name": "kid"}}])
    found = await real.executions.execute("family")
    (step,) = found.steps
    kid = await real.executions.get(step.child_execution_id)
    assert kid.parent == Parent(execution_id=found.id, step_id="c")
    assert (kid.variables, found.parent, found.closing) == ({"n": 2}, None, False)
    plan = await real.executions.compensation_plan(found.id)
    assert plan == (PlannedCompensation(step_id="c", child_execution_id=kid.id),)


@pytest.mark.parametrize(
    ("method", "call", "tries"),
    [
        ("SignalExecution", lambda weft: weft.executions.signal("exe_01m8hjkars87radgnzb9wpbrp9", "paid"), 4),
        ("SignalWithStart", lambda weft: weft.executions.signal_with_start("f", "k", "paid"), 4),
        ("GetCompensationPlan", lambda weft: weft.executions.compensation_plan("e"), 3),
        ("DecideApproval", lambda weft: weft.executions.decide("e", "yes"), 1),
    ],
)
async def test_only_what_may_be_repeated_is(
    weft: Client,
    peer: Peer,
    clock: SteppingClock,
    method: str,
    call: Callable[[Client], Awaitable[Any]],
    tries: int,
) -> None:
    """Each try is the same request: a message has an id before it is sent."""
    assert await same_tries(peer, method, call(weft)) == tries
