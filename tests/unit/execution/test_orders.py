"""When an order that another server carries out counts as done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from tests.unit.execution.world import SERVICE, World, eventually, new_world
from weft.core.errors import ActionFailedError, PreconditionError
from weft.core.reasons import Reason
from weft.server.execution.history.model import (
    EventBody,
    ExecutionState,
    Failure,
    IncidentResolved,
    Resolution,
    StepCompleted,
    StepFailed,
)
from weft.server.execution.history.standing import Standing
from weft.server.execution.orders.control import Control
from weft.server.execution.orders.messages import Decide
from weft.server.execution.orders.order_forms import read_order
from weft.server.execution.orders.orders import Cancel, Complete, Order, Resolve
from weft.server.registry.model import Action
from weft.server.store.base import Command
from weft.server.workflow.model import RetryPolicy, Step

FAILURE = ActionFailedError("down", reason="DOWN")
APPROVED = Decide(execution_id="exe_a", step_id="ask", outcome="approved", time="2026-11-28T09:00:00+00:00")
DONE = Complete.of("exe_a", "a", 1, b'{"n":1}')
FAILED = Complete.of("exe_a", "a", 1, failure=FAILURE)
RETRIED = Resolve(execution_id="exe_a", resolution="RETRY", input=b'{"n":1}', note="ann")


@pytest.mark.parametrize(
    ("final", "met"),
    [
        (None, False),
        (ExecutionState.CANCELLED, True),
        (ExecutionState.COMPLETED, False),
        (ExecutionState.FAILED, False),
        (ExecutionState.TIMED_OUT, False),
    ],
)
def test_only_a_cancelled_execution_is_cancelled(final: ExecutionState | None, met: bool) -> None:  # noqa: FBT001 - a case
    """Found by the fault rig on replicas: one that had completed meanwhile was answered as cancelled."""
    standing = Standing()
    standing.final = final
    assert Cancel(execution_id="exe_a").met(standing) is met


def decided(outcome: str, time: str = APPROVED.time) -> StepCompleted:
    value = {"outcome": outcome, "comment": "", "by": "", "time": time, "data": {}}
    return StepCompleted(step_id="ask", attempt=1, output=orjson.dumps(value))


@pytest.mark.parametrize(
    ("order", "own", "others"),
    [
        (
            APPROVED,
            decided("approved"),
            [decided("rejected"), decided("approved", "2026-11-28T09:00:01+00:00")],
        ),
        (
            DONE,
            StepCompleted(step_id="a", attempt=1, output=b'{"n":1}'),
            [
                StepCompleted(step_id="a", attempt=1, output=b'{"n":2}'),
                StepCompleted(step_id="a", attempt=2, output=b'{"n":1}'),
                StepFailed(step_id="a", attempt=1, failure=Failure.of(FAILURE)),
            ],
        ),
        (
            FAILED,
            StepFailed(step_id="a", attempt=1, failure=Failure.of(FAILURE)),
            [
                StepFailed(step_id="a", attempt=1, failure=Failure.of(ActionFailedError("too late"))),
                StepCompleted(step_id="a", attempt=1, output=b'{"n":1}'),
            ],
        ),
        (
            RETRIED,
            IncidentResolved(step_id="a", resolution=Resolution.RETRY, input=b'{"n":1}', note="ann"),
            [
                IncidentResolved(step_id="a", resolution=Resolution.RETRY, input=b'{"n":2}', note="ann"),
                IncidentResolved(step_id="a", resolution=Resolution.FAIL, note="ann"),
                IncidentResolved(step_id="a", resolution=Resolution.RETRY, input=b'{"n":1}', note="bob"),
            ],
        ),
    ],
    ids=["a decision", "an output", "a failure", "a resolution"],
)
def test_what_somebody_else_decided_is_not_ones_own(
    order: Order, own: EventBody, others: Sequence[EventBody]
) -> None:
    """On replicas both of two who decided differently at once were answered OK, and one of them was wrong."""
    for each in (order, read_order(order.command())):
        assert each.recorded(own)
        assert not any(each.recorded(other) for other in others)


def test_what_the_step_makes_of_an_output_is_as_good_as_the_output() -> None:
    """Its own `output` is recorded instead; nobody can tell which outcome that was made of."""
    order = replace(DONE, mapped=True)
    assert order.recorded(StepCompleted(step_id="a", attempt=1, output=b'{"m":1}'))
    assert not order.recorded(StepFailed(step_id="a", attempt=1, failure=Failure.of(FAILURE)))
    assert b"mapped" not in order.command().body


@pytest.mark.parametrize("order", [DONE, FAILED, RETRIED])
def test_an_attempt_that_is_over_was_not_necessarily_ended_so(order: Order) -> None:
    """An outcome that was left for a server where the attempt ran out of time was answered as recorded."""
    assert not order.met(Standing())


async def incident(world: World) -> str:
    """Have an execution that waits for somebody, in the store."""
    await world.register(Action(name="a"))
    await world.workflow(
        Step(
            id="a",
            service=SERVICE,
            action="a",
            timeout=timedelta(seconds=9),
            retry=RetryPolicy(max_attempts=1),
        )
    )
    world.provider.answers["a"] = FAILURE
    execution = await world.start()
    await eventually(lambda: world.engine.open_count == 0)
    world.provider.answers.clear()
    return execution.id


class Obeyed:
    """Leaves an order, which is carried out before whoever left it looks again."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, instead: Order | None = None) -> None:
        self._control: Control = world.executions._control
        self._instead = instead
        reserve, refusals = world.engine.reserve, [False]
        monkeypatch.setattr(world.engine, "reserve", lambda it: refusals.pop() if refusals else reserve(it))
        monkeypatch.setattr(world.store, "post_command", self._post)

    async def _post(self, command: Command) -> None:
        await self._control._obey(self._instead.command() if self._instead else command)


async def test_an_order_that_was_left_and_carried_out_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was recorded, and then refused: whoever left it tried once more by itself, and found it done."""
    async with new_world() as world:
        execution_id = await incident(world)
        Obeyed(world, monkeypatch)
        resolved = await world.executions.order(execution_id, RETRIED)
        assert resolved.state is not ExecutionState.INCIDENT
        details = await world.ended(execution_id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert (await world.kinds(execution_id)).count("IncidentResolved") == 1


async def test_an_order_that_somebody_else_forestalled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded is not what it asked for."""
    async with new_world() as world:
        execution_id = await incident(world)
        theirs = replace(RETRIED, execution_id=execution_id, note="bob")
        Obeyed(world, monkeypatch, theirs)
        with pytest.raises(PreconditionError) as caught:
            await world.executions.order(execution_id, RETRIED)
        assert caught.value.reason in {Reason.NO_INCIDENT, Reason.EXECUTION_ENDED}
