"""Steps that choose, set, tell, end and wait, run by the engine over a real store with a turned clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.execution.language import call, outcome, result
from tests.unit.execution.world import World, eventually, quiet
from weft.core.errors import PreconditionError, ValidationError
from weft.core.reasons import Reason
from weft.server.execution.history.model import EventEmitted, ExecutionState, Waits
from weft.server.execution.orders.messages import Decide, SendSignal
from weft.server.workflow.kinds import (
    Approval,
    Branch,
    Case,
    Emit,
    Fail,
    Parallel,
    SetVariables,
    Signal,
    Succeed,
    Switch,
    Wait,
)
from weft.server.workflow.model import ErrorHandler, Step

# ---- switch, set, emit, fail, succeed


@pytest.mark.parametrize(("score", "way"), [(9, "high"), (5, "middle"), (1, "low")])
async def test_a_switch_goes_on_at_the_first_case_that_holds(world: World, score: int, way: str) -> None:
    """Else at its default; what it chose is in the history."""
    steps = (
        Step(
            id="s",
            does=Switch(
                cases=(
                    Case(when="${input.score > 7}", next="high"),
                    Case(when="input.score > 3", next="middle"),
                ),
                default="low",
            ),
        ),
        *(Step(id=name, does=SetVariables(values={"way": name})) for name in ("high", "middle", "low")),
    )
    assert await outcome(world, *steps, value={"score": score}) == {"way": way}


async def test_a_switch_without_a_way_fails(world: World) -> None:
    """Rather than to end as if all were well."""
    await world.workflow(Step(id="s", does=Switch(cases=(Case(when="false", next=""),))))
    details = await world.run()
    assert details.execution.failure is not None
    assert details.execution.failure.reason == Reason.NO_CASE


async def test_variables_are_there_everywhere_behind(world: World) -> None:
    """Also for the implicit input of an action, and for who reads the execution."""
    world.provider.answers["a"] = lambda value: {"got": value.get("x", 0)}
    steps = (
        Step(id="v", does=SetVariables(values={"x": "${input.n + 1}", "t": "n is ${input.n}"}), next="a"),
        call("a", next="w"),
        Step(id="w", does=SetVariables(values={"x": "${vars.x * 10}"}), next="end"),
        Step(id="end", does=Succeed(result={"x": "${vars.x}", "t": "${vars.t}", "got": "${steps.a.got}"})),
    )
    assert await outcome(world, *steps, value={"n": 1}) == {"x": 20, "t": "n is 1", "got": 2}


async def test_what_is_emitted_is_in_the_history_once(world: World) -> None:
    """With its data."""
    await world.workflow(Step(id="e", does=Emit(type="order.shipped", data={"id": "${input.id}"})))
    details = await world.run(value={"id": 7})
    events = await world.events(details.execution.id)
    emitted = [event.body for event in events if isinstance(event.body, EventEmitted)]
    assert [(it.type, it.data) for it in emitted] == [("order.shipped", b'{"id":7}')]


async def test_a_workflow_can_fail_with_a_reason_of_its_own(world: World) -> None:
    """The reason is the business's, so that who called can tell it from a defect."""
    await world.workflow(Step(id="f", does=Fail(reason="TOO_POOR", message="only ${input.n} left")))
    details = await world.run(value={"n": 3})
    failure = details.execution.failure
    assert failure is not None
    assert (failure.reason, failure.message, failure.domain) == ("TOO_POOR", "only 3 left", "workflow.weft")


# ---- waits


async def test_a_wait_ends_at_its_time_and_not_before(world: World) -> None:
    """Also across a restart; a long one leaves memory."""
    await world.workflow(Step(id="w", does=Wait(duration="${input.h}h"), next="a"), call("a"))
    execution = await world.start(value={"h": 2})
    await eventually(lambda: world.engine.open_count == 0)
    await world.restart()
    await world.clock.advance(7_199)
    await quiet()
    assert world.provider.calls == []
    await world.clock.advance(2)
    assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
    assert world.provider.steps() == ["a"]


async def test_a_signal_wakes_the_step_that_waits_for_it(world: World) -> None:
    """Its output is the message; a repeat changes nothing."""
    await world.workflow(Step(id="s", does=Signal(name="paid", correlation="${input.id}")))
    execution = await world.start(value={"id": "7"})
    await eventually(lambda: world.engine.open_count == 0)
    other = SendSignal(execution_id="", signal_id="0", name="paid", correlation="8", payload=b'{"x":0}')
    await world.executions.order(execution.id, other)
    assert await world.state(execution.id) is ExecutionState.RUNNING
    right = SendSignal(execution_id="", signal_id="1", name="paid", correlation="7", payload=b'{"x":1}')
    await world.executions.order(execution.id, right)
    assert result(await world.ended(execution.id)) == {"x": 1}


async def test_a_signal_that_comes_early_is_kept(world: World) -> None:
    """For the step that waits for it later; each is taken once, in the order they came."""
    world.provider.hold = {"a"}
    await world.workflow(
        call("a", next="s"),
        Step(id="s", does=Signal(name="x"), next="t"),
        Step(id="t", does=Signal(name="x"), output={"both": ["${steps.s.n}", "${output.n}"]}),
    )
    execution = await world.start()
    held = await world.held("a")
    for number in (1, 2, 1):
        signal = SendSignal(execution_id="", signal_id=str(number), name="x", payload=b'{"n":%d}' % number)
        await world.executions.order(execution.id, signal)
    held.complete()
    assert result(await world.ended(execution.id)) == {"both": [1, 2]}


async def test_a_signal_nobody_takes_is_refused(world: World) -> None:
    """With the names of those that are taken."""
    await world.workflow(Step(id="s", does=Signal(name="paid")))
    execution = await world.start()
    with pytest.raises(Exception, match="paid") as caught:
        await world.executions.order(
            execution.id, SendSignal(execution_id="", signal_id="1", name="pay", payload=b"{}")
        )
    assert getattr(caught.value, "reason", "") == Reason.SIGNAL_UNKNOWN


async def test_a_signal_that_does_not_come_is_an_error_to_handle(world: World) -> None:
    """By its reason."""
    late = ErrorHandler(reasons=(str(Reason.SIGNAL_TIMEOUT),), next="late")
    await world.workflow(
        Step(id="s", does=Signal(name="paid"), timeout=timedelta(hours=1), on_error=(late,)),
        Step(id="late", does=Succeed(result={"late": "${error.step}"})),
    )
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    await world.clock.advance(3_601)
    assert result(await world.ended(execution.id)) == {"late": "s"}


async def test_an_approval_takes_one_of_its_outcomes(world: World) -> None:
    """The decision, who made it, and what was said are the output."""
    ask = Approval(title="Pay ${input.n}?", assignees=("${input.boss}",), due="2h", outcomes=("yes", "no"))
    await world.workflow(Step(id="ask", does=ask))
    execution = await world.start(value={"n": 5, "boss": "ann"})
    await eventually(lambda: world.engine.open_count == 0)
    shown = await world.executions.get(execution.id, payloads=True)
    asked = shown.steps[0].asked
    assert asked is not None
    assert (asked.title, asked.assignees) == ("Pay 5?", ("ann",))
    with pytest.raises(ValidationError, match="yes"):
        await world.executions.interactions.decide(execution.id, decision("maybe"))
    await world.executions.interactions.decide(execution.id, decision("yes"))
    found = result(await world.ended(execution.id))
    assert (found["outcome"], found["comment"], found["by"], found["data"]) == ("yes", "fine", "ann", {})
    with pytest.raises(PreconditionError):
        await world.executions.interactions.decide(execution.id, decision("no"))


async def test_who_is_asked_something_finds_it(world: World) -> None:
    """Whatever else is waited for beside it: the execution is listed as one that waits for a decision."""
    ask = Step(id="ask", does=Approval(title="?", outcomes=("yes",)))
    pause = Step(id="w", does=Wait(duration="1h"))
    branches = (Branch(name="x", steps=(pause,)), Branch(name="y", steps=(ask,)))
    await world.workflow(Step(id="p", does=Parallel(branches=branches)))
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    found = await world.executions.find(execution.id)
    assert (found.waits, found.due_time) == (Waits.APPROVAL, found.create_time + timedelta(hours=1))
    await world.executions.interactions.decide(execution.id, decision("yes"))
    await eventually(lambda: world.engine.open_count == 0)
    assert (await world.executions.find(execution.id)).waits is Waits.TIMER


def decision(outcome: str) -> Decide:
    return Decide(execution_id="", step_id="", outcome=outcome, comment="fine", decided_by="ann", time="")
