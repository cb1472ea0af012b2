"""A message that is brought again, because its answer was lost or its sender repeats it, counts once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.wire import Wire
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client import Client, PreconditionError, connect
from weft.core.reasons import Reason

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PAID = {"id": "paid", "signal": {"name": "payment"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft(wire: Wire) -> AsyncIterator[Client]:
    async with connect(wire.address) as client:
        await client.workflows.create("tour", [PAID])
        yield client


async def started_with(weft: Client, key: str) -> int:
    return (await weft.executions.count(filter=f'key = "{key}"')).total


async def test_the_message_that_ended_it(weft: Client) -> None:
    """Its repeat is told how the execution stands; another one is refused, as nobody takes it any more."""
    started = await weft.executions.start("tour", key="tour-1")
    for _ in range(2):
        ended = await weft.executions.signal("tour-1", "payment", {"amount": 9}, signal_id="bank-1")
        assert ended.id == started.id
    assert (await weft.executions.get(started.id)).result == {"amount": 9}
    with pytest.raises(PreconditionError) as caught:
        await weft.executions.signal("tour-1", "payment", {"amount": 9}, signal_id="bank-2")
    assert caught.value.reason == Reason.EXECUTION_ENDED


async def test_the_message_that_started_and_ended_it(weft: Client) -> None:
    """Nothing is started for its repeat."""
    message: dict[str, Any] = {
        "key": "tour-2",
        "name": "payment",
        "payload": {"amount": 9},
        "signal_id": "bank-1",
    }
    first, started = await weft.executions.signal_with_start("tour", **message)
    again, started_again = await weft.executions.signal_with_start("tour", **message)
    assert (started, started_again, again.id) == (True, False, first.id)
    assert await started_with(weft, "tour-2") == 1


async def test_the_message_that_another_start_waited_for(weft: Client) -> None:
    """Nor for that of one which found an open execution, and ended it."""
    waiting = await weft.executions.start("tour", key="tour-3")
    message: dict[str, Any] = {
        "key": "tour-3",
        "name": "payment",
        "payload": {"amount": 9},
        "signal_id": "bank-1",
    }
    for _ in range(2):
        found, started = await weft.executions.signal_with_start("tour", **message)
        assert (found.id, started) == (waiting.id, False)
    assert await started_with(weft, "tour-3") == 1


async def test_a_call_whose_answer_was_lost(wire: Wire, weft: Client) -> None:
    """Made again it is told that it started the execution, whether that still waits or has ended."""
    await weft.workflows.create("tour-twice", [{**PAID, "next": "rest"}, {**PAID, "id": "rest"}])
    for workflow in ("tour", "tour-twice"):
        request = pb.SignalWithStartRequest(
            start=pb.StartExecutionRequest(
                workflow=workflow, execution_key=f"{workflow}-5", request_id=f"{workflow}-r"
            ),
            signal=pb.SignalExecutionRequest(name="payment", signal_id="bank-1"),
        )
        first = await wire.call("SignalWithStart", request)
        again = await wire.call("SignalWithStart", request)
        assert (first.started, again.started, again.execution.id) == (True, True, first.execution.id)


@pytest.mark.parametrize("other", [{"signal_id": "bank-2"}, {"payload": {"amount": 8}}, {"correlation": "x"}])
async def test_another_message_is_no_repeat(weft: Client, other: dict[str, Any]) -> None:
    """One that says something else, also under the same id, starts the next execution of the key."""
    key = f"tour-4-{next(iter(other))}"
    message: dict[str, Any] = {"key": key, "name": "payment", "payload": {"amount": 9}, "signal_id": "bank-1"}
    first, _ = await weft.executions.signal_with_start("tour", **message)
    second, started = await weft.executions.signal_with_start("tour", **{**message, **other})
    assert started
    assert second.id != first.id
