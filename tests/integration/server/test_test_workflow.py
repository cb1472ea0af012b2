"""TestWorkflow: what a definition would do, with results that are given and a clock that is turned."""

from __future__ import annotations

import base64
import json
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from tests.support.world import World
from weft.api.execution.v1 import execution_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


def raw(value: Any) -> dict[str, str]:
    """Write a payload as ProtoJSON has it."""
    return {"json": base64.b64encode(json.dumps(value).encode()).decode()}


TRIP: dict[str, Any] = {
    "name": "trip",
    "steps": [
        {
            "id": "book",
            "service": "texts",
            "action": "shout",
            "input": raw({"text": "a"}),
            "retry": {"maxAttempts": 3, "initialBackoff": "60s", "jitter": 0},
            "compensate": {"action": "count", "input": raw({"text": "${output.text}"})},
            "next": "pause",
        },
        {"id": "pause", "wait": {"duration": "36h"}, "next": "paid"},
        {"id": "paid", "signal": {"name": "paid"}, "timeout": "86400s", "next": "ask"},
        {"id": "ask", "approval": {"title": "Go?"}, "next": "way"},
        {
            "id": "way",
            "switch": {
                "cases": [{"when": "steps.ask.outcome == 'approved'", "next": "good"}],
                "default": "bad",
            },
        },
        {"id": "good", "succeed": {"result": raw({"n": "${steps.paid.n}"})}},
        {"id": "bad", "fail": {"reason": "NOT_WANTED", "message": "no"}},
    ],
}
PAID = [{"name": "paid", "payload": raw({"n": 7}), "after": "172800s"}]
BOOKED = {"stepId": "book", "attempts": [{"output": raw({"text": "A"})}]}


async def rehearse(world: World, **fields: Any) -> pb.TestWorkflowResponse:
    given = {"workflow": TRIP, "startTime": "2027-01-01T00:00:00Z", **fields}
    request = json_format.ParseDict(given, pb.TestWorkflowRequest())
    response: pb.TestWorkflowResponse = await world.wire.workflows.TestWorkflow(request)
    return response


def kinds(response: pb.TestWorkflowResponse) -> list[str]:
    return [str(event.WhichOneof("kind")) for event in response.events]


async def test_a_trip_of_days_takes_a_moment(world: World) -> None:
    """Retries, waits, messages, decisions: all by the turned clock; no action is called."""
    unavailable = {"failure": {"reason": "DOWN", "code": 14, "domain": "x"}}
    book = {"stepId": "book", "attempts": [unavailable, BOOKED["attempts"][0]]}
    ask = {"stepId": "ask", "attempts": [{"output": raw({"outcome": "approved"}), "takes": "3600s"}]}
    response = await rehearse(world, results=[book, ask], messages=PAID)
    execution = response.execution
    assert execution.state == execution_pb2.EXECUTION_STATE_COMPLETED
    assert json.loads(json_format.MessageToJson(execution.result.struct)) == {"n": 7}
    assert execution.end_time.ToJsonString() == "2027-01-03T01:00:00Z"
    assert kinds(response).count("step_retry_scheduled") == 1
    assert not response.missing_results
    assert not response.waiting


async def test_what_fails_is_undone(world: World) -> None:
    """The compensation is a step like any other: its result is given under ``undo/``."""
    ask = {"stepId": "ask", "attempts": [{"output": raw({"outcome": "rejected"})}]}
    undo = {"stepId": "undo/book", "attempts": [{"output": raw({"count": 1})}]}
    response = await rehearse(world, results=[BOOKED, ask, undo], messages=PAID)
    assert response.execution.state == execution_pb2.EXECUTION_STATE_FAILED
    assert response.execution.failure.reason == "NOT_WANTED"
    assert [step.step_id for step in response.execution.steps][-1] == "undo/book"


async def test_a_result_that_is_missing_is_named(world: World) -> None:
    """The test ends there."""
    response = await rehearse(world)
    assert list(response.missing_results) == ["book"]
    assert response.execution.state == execution_pb2.EXECUTION_STATE_RUNNING


async def test_what_never_comes_is_named(world: World) -> None:
    """An approval that nobody decides waits for ever; a message that does not come runs out of time."""
    response = await rehearse(world, results=[BOOKED], messages=PAID)
    assert list(response.waiting) == ["ask"]
    undo = {"stepId": "undo/book", "attempts": [{"output": raw({"count": 1})}]}
    late = await rehearse(world, results=[BOOKED, undo])
    assert late.execution.failure.reason == "SIGNAL_TIMEOUT"


async def test_a_result_that_the_action_could_not_give_fails_the_step(world: World) -> None:
    """It is held against the registered schema, like a real one."""
    response = await rehearse(world, results=[{"stepId": "book", "attempts": [{"output": raw({"text": 7})}]}])
    assert response.execution.state == execution_pb2.EXECUTION_STATE_INCIDENT
    assert response.execution.failure.reason == "ACTION_OUTPUT_INVALID"


async def test_whose_failure_it_is_can_be_said(world: World) -> None:
    """A handler of business errors takes those of actions; one of Weft's own goes to the technical one."""
    handlers = [{"kind": "ERROR_KIND_TECHNICAL", "next": "t"}, {"kind": "ERROR_KIND_BUSINESS", "next": "b"}]
    ends = [{"id": name, "succeed": {"result": raw({"way": name})}} for name in ("t", "b")]
    call = {
        "id": "c",
        "service": "texts",
        "action": "shout",
        "input": raw({"text": "a"}),
        "onError": handlers,
    }
    for domain, way in (("weft", "t"), ("", "b")):
        failure = {"failure": {"reason": "X", "code": 10, "domain": domain}}
        results = [{"stepId": "c", "attempts": [failure]}]
        response = await rehearse(world, workflow={"name": "w", "steps": [call, *ends]}, results=results)
        assert json_format.MessageToDict(response.execution.result.struct) == {"way": way}


async def test_a_definition_with_errors_is_not_run(world: World) -> None:
    """Its problems are the answer."""
    broken = {"name": "b", "steps": [{"id": "a", "service": "texts", "action": "nothing"}]}
    response = await rehearse(world, workflow=broken)
    assert [problem.code for problem in response.problems] == ["ACTION_UNKNOWN"]
    assert not response.events


async def test_a_stored_workflow_can_be_tested(world: World) -> None:
    """By its name."""
    results = [
        {"stepId": "shout", "attempts": [{"output": raw({"text": "A"})}]},
        {"stepId": "count", "attempts": [{"output": raw({"count": 1})}]},
    ]
    request = json_format.ParseDict(
        {"name": "shouting", "input": raw({"text": "a"}), "results": results}, pb.TestWorkflowRequest()
    )
    response = await world.wire.workflows.TestWorkflow(request)
    assert response.execution.state == execution_pb2.EXECUTION_STATE_COMPLETED


async def test_a_loop_without_end_is_cut_off(world: World) -> None:
    """The answer is bounded."""
    body = [{"id": "v", "set": raw({"n": "${iteration}"})}]
    loop = {"while": "true", "steps": body, "maxIterations": 100_000}
    response = await rehearse(world, workflow={"name": "l", "steps": [{"id": "l", "loop": loop}]})
    assert response.truncated


async def test_every_fault_at_once(world: World) -> None:
    """With its path."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rehearse(
            world,
            workflow=None,
            results=[{"stepId": "a//b"}, {"stepId": "c", "attempts": [{"takes": "-1s"}]}],
            messages=[{"name": "7"}],
        )
    details = str(caught.value.details())
    results = ("results[0].step_id", "results[0].attempts", "results[1].attempts[0].takes")
    for path in ("workflow", *results, "messages[0].name"):
        assert path in details
