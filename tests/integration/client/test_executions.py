from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from tests.integration.client.peer import Peer, forever
from weft.api.common.v1 import payload_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client import (
    CallContext,
    Client,
    Code,
    DeadlineExceededError,
    Event,
    Execution,
    Failure,
    MaxRetriesExceededError,
    Page,
    StepExecution,
    ValidationError,
    Violation,
    connect,
)

pytestmark = pytest.mark.integration

ID = "exe_01m8hjkars87radgnzb9wpbrp9"

JSON = payload_pb2.PAYLOAD_KIND_JSON
BIG = 2**60 + 1
STORED = ParseDict(
    {
        "id": "exe_1",
        "workflowId": "wf_1",
        "workflowName": "docs",
        "workflowVersion": 3,
        "state": "EXECUTION_STATE_FAILED",
        "failure": {
            "reason": "ACTION_OUTPUT_INVALID",
            "message": "no text",
            "domain": "weft",
            "code": 9,
            "metadata": {"step": "a"},
            "violations": [{"field": "text", "description": "is required", "reason": "REQUIRED"}],
        },
        "context": {"projectId": "456", "requestId": "req-1", "values": {"tenant": "x"}},
        "steps": [
            {
                "stepId": "a",
                "service": "text",
                "action": "extract",
                "state": "STEP_STATE_FAILED",
                "attempt": 2,
                "scheduleTime": "2026-03-01T12:30:00Z",
            }
        ],
        "lastEventNumber": 4,
        "createTime": "2026-03-01T12:30:00Z",
        "traceId": "0af7651916cd43dd8448eb211c80319c",
    },
    execution_pb2.Execution(),
)
STORED.input.json = f'{{"n":{BIG}}}'.encode()
CREATED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
EXECUTION = Execution(
    id="exe_1",
    workflow_id="wf_1",
    workflow_name="docs",
    workflow_version=3,
    state="FAILED",
    input={"n": BIG},
    failure=Failure(
        reason="ACTION_OUTPUT_INVALID",
        message="no text",
        code=Code.FAILED_PRECONDITION,
        metadata={"step": "a"},
        violations=(Violation("text", "is required", "REQUIRED"),),
    ),
    context=CallContext(project_id="456", request_id="req-1", values={"tenant": "x"}),
    steps=(
        StepExecution(
            step_id="a",
            service="text",
            action="extract",
            state="FAILED",
            attempt=2,
            schedule_time=CREATED,
        ),
    ),
    last_event_number=4,
    create_time=CREATED,
    trace_id="0af7651916cd43dd8448eb211c80319c",
)
CONTEXT = {"project_id": "456", "request_id": "req-1", "tenant": "x"}


async def test_start(weft: Client, peer: Peer) -> None:
    """Input, context and limits are sent; the execution comes back as accepted."""
    peer.on("StartExecution", pb.StartExecutionResponse(execution=STORED))

    found = await weft.executions.start(
        "docs", {"n": BIG}, version=3, context=CONTEXT, request_id="r", timeout=timedelta(seconds=90)
    )

    assert found == EXECUTION
    expected = pb.StartExecutionRequest(
        workflow="docs", version=3, input=STORED.input, context=STORED.context, request_id="r"
    )
    expected.timeout.FromTimedelta(timedelta(seconds=90))
    assert peer.last == expected
    assert peer.calls[0].metadata["x-request-id"] == "req-1"


async def test_execute(weft: Client, peer: Peer) -> None:
    """An execution that failed is an answer; the empty input is still JSON text."""
    peer.on("ExecuteWorkflow", pb.ExecuteWorkflowResponse(execution=STORED))
    context = CallContext(project_id="456", request_id="req-1", values={"tenant": "x"})

    found = await weft.executions.execute("docs", context=context, wait=timedelta(seconds=40))

    assert found == EXECUTION
    assert peer.last == pb.ExecuteWorkflowRequest(
        workflow="docs",
        input=payload_pb2.Payload(json=b"{}"),
        context=STORED.context,
        request_id=peer.last.request_id,
    )
    assert peer.calls[0].seconds_left == pytest.approx(40, abs=1.5)


async def test_a_wait_that_ends_says_which_execution_goes_on(weft: Client, peer: Peer) -> None:
    """The id that the server sent ahead is in the error's metadata."""

    async def accept(request: object, context: grpc.aio.ServicerContext[object, object]) -> None:
        await context.send_initial_metadata((("weft-execution-id", "exe_9"),))
        await forever(request, context)

    peer.on("ExecuteWorkflow", accept)

    with pytest.raises(DeadlineExceededError) as caught:
        await weft.executions.execute("docs", wait=timedelta(seconds=0.2))

    assert caught.value.metadata["execution_id"] == "exe_9"
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    assert str(caught.value) == "execution exe_9 had not ended after 0.2 s; it goes on"


async def test_what_an_earlier_attempt_was_told_is_not_forgotten(weft: Client, peer: Peer) -> None:
    """The server that accepted the execution goes away, and no other one answers."""

    async def accept(_: object, context: grpc.aio.ServicerContext[object, object]) -> None:
        await context.send_initial_metadata((("weft-execution-id", "exe_9"),))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "scripted")

    peer.on("ExecuteWorkflow", accept, grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(MaxRetriesExceededError) as gone:
        await weft.executions.execute("docs")
    assert gone.value.metadata["execution_id"] == "exe_9"

    peer.on("ExecuteWorkflow", accept, forever)
    with pytest.raises(DeadlineExceededError, match="execution exe_9 had not ended after 0") as late:
        await weft.executions.execute("docs", wait=0.5)
    assert late.value.metadata["execution_id"] == "exe_9"


async def test_who_gets_no_answer_is_told_the_request_id(weft: Client, peer: Peer) -> None:
    """Also one that was made here: with it the same call can be made again, and does nothing twice."""
    peer.on("StartExecution", grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(MaxRetriesExceededError) as caught:
        await weft.executions.start("docs")
    assert caught.value.metadata["request_id"] == peer.last.request_id != ""
    peer.on("StartExecution", forever)
    async with connect(peer.target, timeout=0.2) as impatient:
        with pytest.raises(DeadlineExceededError) as late:
            await impatient.executions.start("docs")
    assert late.value.metadata["request_id"] == peer.last.request_id
    peer.on("GetExecution", grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(MaxRetriesExceededError) as read:
        await weft.executions.get("exe_1")
    assert "request_id" not in read.value.metadata


async def test_a_wait_without_any_answer_says_what_is_not_known(weft: Client, peer: Peer) -> None:
    """Without an id nobody can say whether there is an execution; the key tells how to find out."""
    peer.on("ExecuteWorkflow", forever)

    with pytest.raises(
        DeadlineExceededError, match=r"no answer after 0\.1 s: .* the same request_id joins it"
    ):
        await weft.executions.execute("docs", wait=0.1)


@pytest.mark.parametrize("wait", [timedelta.max, timedelta(days=200_000)])
async def test_as_long_as_it_takes_may_be_a_very_long_time(weft: Client, peer: Peer, wait: timedelta) -> None:
    """A time that cannot be counted in nanoseconds is one that is over, to gRPC."""
    peer.on("ExecuteWorkflow", pb.ExecuteWorkflowResponse(execution=STORED))
    assert (await weft.executions.execute("docs", wait=wait)).id == STORED.id
    peer.on("GetExecution", pb.GetExecutionResponse(execution=STORED))
    async with connect(peer.target, timeout=wait) as patient:
        assert (await patient.executions.get(STORED.id)).id == STORED.id


async def test_limits_may_be_given_in_seconds(peer: Peer) -> None:
    """Plain numbers are seconds, wherever a duration is taken; other things are refused by name."""
    peer.on("StartExecution", *[pb.StartExecutionResponse(execution=STORED)] * 3)
    peer.on("ExecuteWorkflow", pb.ExecuteWorkflowResponse(execution=STORED))
    peer.on("ExecuteServiceAction", pb.ExecuteServiceActionResponse(output=payload_pb2.Payload(json=b"{}")))

    async with connect(peer.target, timeout=9) as weft:
        await weft.executions.start("docs", timeout=1.5)
        assert peer.last.timeout.ToTimedelta() == timedelta(seconds=1.5)
        assert peer.calls[-1].seconds_left == pytest.approx(9, abs=1.5)
        await weft.executions.execute("docs", timeout=60, wait=40)
        assert peer.last.timeout.ToTimedelta() == timedelta(seconds=60)
        assert peer.calls[-1].seconds_left == pytest.approx(40, abs=1.5)
        await weft.executions.call("text", "extract", timeout=20)
        assert peer.last.timeout.ToTimedelta() == timedelta(seconds=20)
        with pytest.raises(ValidationError, match="wait: is of type str, not a duration or its seconds"):
            await weft.executions.execute("docs", wait="soon")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValidationError, match="timeout: 0:00:00 is not positive"):
        connect(peer.target, timeout=0)


async def test_the_request_id_is_the_contexts_too(weft: Client, peer: Peer) -> None:
    """A caller's own key travels into every step; a context's own id, and a made key, stay as they are."""
    peer.on("StartExecution", *[pb.StartExecutionResponse(execution=STORED)] * 3)
    peer.on("ExecuteWorkflow", pb.ExecuteWorkflowResponse(execution=STORED))

    await weft.executions.start("docs", request_id="order-17", context={"tenant": "x"})
    assert (peer.last.context.request_id, peer.last.context.values["tenant"]) == ("order-17", "x")
    assert peer.calls[-1].metadata["x-request-id"] == "order-17"
    await weft.executions.execute("docs", request_id="order-17")
    assert peer.last.context.request_id == "order-17"
    await weft.executions.start("docs", request_id="order-17", context={"request_id": "req-1"})
    assert (peer.last.request_id, peer.last.context.request_id) == ("order-17", "req-1")
    await weft.executions.start("docs")
    assert peer.last.request_id
    assert not peer.last.context.request_id


async def test_get_list_and_cancel(weft: Client, peer: Peer) -> None:
    """Reads ask for payloads as JSON text; cancelling has a reason and a key."""
    peer.on("GetExecution", pb.GetExecutionResponse(execution=STORED))
    peer.on(
        "ListExecutions", pb.ListExecutionsResponse(executions=[STORED], next_page_token="t", total_size=5)
    )
    peer.on("CancelExecution", pb.CancelExecutionResponse(execution=STORED))

    assert await weft.executions.get("exe_1") == EXECUTION
    assert peer.last == pb.GetExecutionRequest(execution_id="exe_1", payload_kind=JSON)
    found = await weft.executions.list(workflow="docs", state="TIMED_OUT", page_size=2, skip=4)
    assert found == Page((EXECUTION,), "t", 5)
    assert peer.last == pb.ListExecutionsRequest(
        workflow="docs", state=execution_pb2.EXECUTION_STATE_TIMED_OUT, page_size=2, skip=4
    )
    assert await weft.executions.cancel(ID, reason="enough", request_id="r") == EXECUTION
    assert peer.last == pb.CancelExecutionRequest(
        execution_id=ID, reason="enough", request_id="r", payload_kind=JSON
    )


async def test_history_reads_every_page(weft: Client, peer: Peer) -> None:
    """Events come oldest first, with their fields as plain values and no state."""
    first = execution_pb2.Event(number=1)
    first.time.FromDatetime(CREATED)
    first.execution_started.input.json = b'{"n":1}'
    first.execution_started.context.CopyFrom(STORED.context)
    first.execution_started.workflow_id = "wf_1"
    second = execution_pb2.Event(number=2)
    second.step_failed.step_id = "a"
    second.step_failed.attempt = 2
    second.step_failed.failure.CopyFrom(STORED.failure)
    peer.on(
        "GetExecutionHistory",
        pb.GetExecutionHistoryResponse(events=[first], next_page_token="t2"),
        pb.GetExecutionHistoryResponse(events=[second]),
    )

    events = [event async for event in weft.executions.history(ID)]

    assert events == [
        Event(
            number=1,
            time=CREATED,
            kind="execution_started",
            data={
                "input": {"n": 1},
                "context": CONTEXT,
                "workflow_id": "wf_1",
                "workflow_version": 0,
                "timeout": None,
                "traceparent": "",
                "origin": None,
            },
        ),
        Event(
            number=2,
            time=None,
            kind="step_failed",
            data={
                "step_id": "a",
                "attempt": 2,
                "failure": {
                    "reason": "ACTION_OUTPUT_INVALID",
                    "message": "no text",
                    "code": "FAILED_PRECONDITION",
                    "metadata": {"step": "a"},
                    "violations": [{"field": "text", "description": "is required", "reason": "REQUIRED"}],
                    "retryable": False,
                    "domain": "weft",
                },
                "instance_id": "",
                "handled": False,
                "next": "",
            },
        ),
    ]
    assert [call.request.page_token for call in peer.calls] == ["", "t2"]
    assert peer.last.payload_kind == JSON


async def test_call(weft: Client, peer: Peer) -> None:
    """An action's output is the answer; we wait a little longer than the action may take."""
    output = payload_pb2.Payload(json=f'{{"n":{BIG}}}'.encode())
    peer.on("ExecuteServiceAction", pb.ExecuteServiceActionResponse(output=output, instance_id="i-1"))

    found = await weft.executions.call(
        "text", "extract", {"a": 1}, context=CONTEXT, timeout=timedelta(seconds=100), idempotency_key="k"
    )

    assert found == {"n": BIG}
    expected = pb.ExecuteServiceActionRequest(
        service="text",
        action="extract",
        input=payload_pb2.Payload(json=b'{"a":1}'),
        context=STORED.context,
        idempotency_key="k",
    )
    expected.timeout.FromTimedelta(timedelta(seconds=100))
    assert peer.last == expected
    assert peer.calls[0].seconds_left == pytest.approx(105, abs=1.5)
    assert peer.calls[0].metadata["x-request-id"] == "req-1"


@pytest.mark.parametrize(
    ("context", "field"),
    [({"project_id": 5}, "context.project_id"), ({"a": ["b"]}, "context.a"), (["a"], "context")],
)
async def test_a_context_of_other_than_text_is_refused(
    weft: Client, peer: Peer, context: Any, field: str
) -> None:
    """It is found before calling, by its key."""
    with pytest.raises(ValidationError) as caught:
        await weft.executions.start("docs", context=context)

    assert [violation.field for violation in caught.value.violations] == [field]
    assert not peer.calls


@pytest.mark.parametrize("request_id", ["", "ümlaut", "two\nlines", " padded", "x" * 300])
async def test_what_no_header_can_hold_stays_in_the_body(weft: Client, peer: Peer, request_id: str) -> None:
    """The context always arrives in the request; the header is left out where it cannot be sent."""
    peer.on("StartExecution", pb.StartExecutionResponse())

    await weft.executions.start("docs", context={"request_id": request_id, "tenant": None})

    assert peer.last.context.request_id == request_id
    assert not peer.last.context.values
    assert "x-request-id" not in peer.calls[0].metadata


@pytest.mark.parametrize("value", [{"x": {1, 2}}, {"x": float("inf")}, [1], "text"])
async def test_an_input_that_is_no_json_object_is_refused(weft: Client, peer: Peer, value: Any) -> None:
    """Nothing is sent."""
    with pytest.raises(ValidationError) as caught:
        await weft.executions.execute("docs", value)

    assert [violation.field for violation in caught.value.violations] == ["input"]
    assert not peer.calls
