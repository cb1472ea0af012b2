"""Pausing, resuming, resolving, running anew, keys, and the reports of attempts, as they go over the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from tests.integration.client.peer import Peer, same_tries
from tests.support.clocks import SteppingClock
from weft.api.common.v1 import failure_pb2, payload_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client import Client, Code, Origin, PreconditionError, ServiceIntegrationClient, ValidationError
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration

ID = "exe_01m8hjkars87radgnzb9wpbrp9"

DUE = datetime(2026, 3, 1, 12, 0, 3, tzinfo=UTC)


def json_payload(text: bytes) -> payload_pb2.Payload:
    return payload_pb2.Payload(json=text)


def waiting() -> execution_pb2.Execution:
    """An execution that waits for a retry, and repeats another one."""
    execution = execution_pb2.Execution(
        id="exe_2",
        state=execution_pb2.EXECUTION_STATE_RUNNING,
        key="order-7",
        origin=execution_pb2.Origin(execution_id="exe_1", from_step="b"),
        waits_for=execution_pb2.WAIT_REASON_RETRY,
        concurrency_key="ada",
    )
    execution.wait_until.FromDatetime(DUE)
    step = execution.steps.add(step_id="b", state=execution_pb2.STEP_STATE_RETRYING, attempt=2)
    step.retry_time.FromDatetime(DUE)
    step.progress.json = b'{"done":40}'
    return execution


CALLS: list[tuple[str, Callable[[Client], Awaitable[Any]], Message]] = [
    (
        "PauseExecution",
        lambda weft: weft.executions.pause(ID, reason="look first"),
        pb.PauseExecutionRequest(execution_id=ID, reason="look first"),
    ),
    (
        "ResumeExecution",
        lambda weft: weft.executions.resume(ID, reason="seen"),
        pb.ResumeExecutionRequest(execution_id=ID, reason="seen"),
    ),
    (
        "ResolveIncident",
        lambda weft: weft.executions.resolve_incident("exe_2", input={"a": 1}, note="fixed"),
        pb.ResolveIncidentRequest(
            execution_id="exe_2",
            resolution=execution_pb2.INCIDENT_RESOLUTION_RETRY,
            input=json_payload(b'{"a":1}'),
            note="fixed",
        ),
    ),
    (
        "ResolveIncident",
        lambda weft: weft.executions.resolve_incident("exe_2", "fail"),
        pb.ResolveIncidentRequest(execution_id="exe_2", resolution=execution_pb2.INCIDENT_RESOLUTION_FAIL),
    ),
    (
        "RerunExecution",
        lambda weft: weft.executions.rerun("exe_1", from_step="b", version=3, input={}, request_id="r"),
        pb.RerunExecutionRequest(
            execution_id="exe_1", from_step="b", version=3, input=json_payload(b"{}"), request_id="r"
        ),
    ),
]


@pytest.mark.parametrize(("method", "call", "request_"), CALLS)
async def test_what_is_asked_of_an_execution(
    weft: Client, peer: Peer, method: str, call: Callable[[Client], Awaitable[Any]], request_: Message
) -> None:
    """The request says what the caller said; the answer shows what the execution waits for."""
    answers = {
        "PauseExecution": pb.PauseExecutionResponse,
        "ResumeExecution": pb.ResumeExecutionResponse,
        "ResolveIncident": pb.ResolveIncidentResponse,
        "RerunExecution": pb.RerunExecutionResponse,
    }
    peer.on(method, answers[method](execution=waiting()))

    found = await call(weft)

    assert peer.last == request_
    assert (found.key, found.origin) == ("order-7", Origin(execution_id="exe_1", from_step="b"))
    assert (found.waits_for, found.wait_until, found.concurrency_key) == ("RETRY", DUE, "ada")
    (step,) = found.steps
    assert (step.state, step.retry_time, step.progress) == ("RETRYING", DUE, {"done": 40})


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("CancelExecution", lambda weft: weft.executions.cancel("order-7")),
        ("PauseExecution", lambda weft: weft.executions.pause("order-7")),
        ("ResumeExecution", lambda weft: weft.executions.resume("order-7")),
        ("SignalExecution", lambda weft: weft.executions.signal("order-7", "paid")),
    ],
)
async def test_all_attempts_are_about_one_execution(
    weft: Client, peer: Peer, method: str, call: Callable[[Client], Awaitable[Any]]
) -> None:
    """An answer may be lost; until it is asked again, the next execution may have the key."""
    one = execution_pb2.Execution(id=ID, key="order-7")
    peer.on("ListExecutions", pb.ListExecutionsResponse(executions=[one]))
    peer.on(method, grpc.StatusCode.UNAVAILABLE, getattr(pb, f"{method}Response")(execution=one))

    assert (await call(weft)).id == ID

    looked, *asked = peer.calls
    assert looked.request.filter == 'key = "order-7" AND NOT end_time:*'
    assert [made.request.execution_id for made in asked] == [ID, ID]


async def test_a_key_without_an_open_execution_is_for_the_server_to_judge(weft: Client, peer: Peer) -> None:
    """It knows what became of the newest one, and whether there was any."""
    peer.on("ListExecutions", pb.ListExecutionsResponse())
    peer.on("PauseExecution", pb.PauseExecutionResponse(execution=waiting()))
    await weft.executions.pause("order-7")
    assert peer.last.execution_id == "order-7"
    await weft.executions.pause('"x" OR id:*')  # no key has quotes, so there is nothing to look for
    assert [made.method for made in peer.calls] == ["ListExecutions", "PauseExecution", "PauseExecution"]


async def test_an_unset_input_is_no_input(weft: Client, peer: Peer) -> None:
    """None leaves the input as it is; an empty object replaces it."""
    peer.on("RerunExecution", pb.RerunExecutionResponse(execution=waiting()))
    await weft.executions.rerun("exe_1")
    assert not peer.last.HasField("input")
    assert peer.last.request_id
    await weft.executions.rerun("exe_1", input={})
    assert peer.last.input.json == b"{}"


async def test_keys_and_their_policies(weft: Client, peer: Peer) -> None:
    """A start and an execute say the same about keys; a name that is none is found before calling."""
    peer.on("StartExecution", pb.StartExecutionResponse(execution=waiting()))
    peer.on("ExecuteWorkflow", pb.ExecuteWorkflowResponse(execution=waiting()))
    policies: dict[str, str] = {"key_reuse": "reject", "key_conflict": "USE_EXISTING"}

    for call in (weft.executions.start, weft.executions.execute):
        await call("docs", key="order-7", **policies)  # type: ignore[arg-type]  # all of them are text
        assert peer.last.execution_key == "order-7"
        assert peer.last.key_reuse_policy == pb.KEY_REUSE_POLICY_REJECT
        assert peer.last.key_conflict_policy == pb.KEY_CONFLICT_POLICY_USE_EXISTING

    with pytest.raises(ValidationError, match="key_conflict: 'perhaps' is none of FAIL, USE_EXISTING"):
        await weft.executions.start("docs", key="order-7", key_conflict="perhaps")
    with pytest.raises(ValidationError, match="resolution: 'perhaps' is none of RETRY, FAIL"):
        await weft.executions.resolve_incident("exe_1", "perhaps")


async def test_reports_of_an_attempt(weft: Client, peer: Peer) -> None:
    """Output, failure and heartbeat carry the token; the heartbeat's answer is whether to stop."""
    peer.on("CompleteAttempt", pb.CompleteAttemptResponse())
    peer.on("HeartbeatAttempt", pb.HeartbeatAttemptResponse(cancel_requested=True))

    await weft.executions.complete_attempt("t", {"approved": True})
    assert peer.last == pb.CompleteAttemptRequest(
        attempt_token="t", output=json_payload(b'{"approved":true}')
    )
    await weft.executions.complete_attempt("t")
    assert peer.last.output.json == b"{}"
    await weft.executions.fail_attempt("t", "DECLINED", "no", code=Code.NOT_FOUND, metadata={"by": "Ada"})
    assert peer.last == pb.CompleteAttemptRequest(
        attempt_token="t",
        failure=failure_pb2.Failure(reason="DECLINED", message="no", code=5, metadata={"by": "Ada"}),
    )
    await weft.executions.fail_attempt("t")
    assert peer.last.failure.code == Code.ABORTED
    assert await weft.executions.heartbeat_attempt("t", {"done": 1}) is True
    assert peer.last == pb.HeartbeatAttemptRequest(attempt_token="t", details=json_payload(b'{"done":1}'))
    await weft.executions.heartbeat_attempt("t")
    assert not peer.last.HasField("details")


@pytest.mark.parametrize(
    ("method", "call", "tries"),
    [
        ("PauseExecution", lambda weft: weft.executions.pause(ID), 4),
        ("ResumeExecution", lambda weft: weft.executions.resume(ID), 4),
        ("RerunExecution", lambda weft: weft.executions.rerun("e"), 4),
        ("HeartbeatAttempt", lambda weft: weft.executions.heartbeat_attempt("t"), 4),
        ("ResolveIncident", lambda weft: weft.executions.resolve_incident("e"), 1),
        ("CompleteAttempt", lambda weft: weft.executions.complete_attempt("t"), 1),
        ("CompleteAttempt", lambda weft: weft.executions.fail_attempt("t"), 1),
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
    """As the contract's idempotency level says; a rerun is the same request each time."""
    assert await same_tries(peer, method, call(weft)) == tries


async def test_a_stale_token_is_an_error_of_its_own(weft: Client, peer: Peer) -> None:
    """Whoever comes too late can tell it from everything else."""
    peer.on("CompleteAttempt", PreconditionError("over", reason=Reason.ATTEMPT_STALE))
    with pytest.raises(PreconditionError) as caught:
        await weft.executions.complete_attempt("t", {})
    assert caught.value.reason == "ATTEMPT_STALE"


async def test_the_integration_client_shows_what_is_new(client: ServiceIntegrationClient, peer: Peer) -> None:
    """Its methods are as they were; the dicts say what an execution waits for, and what it repeats."""
    peer.on("GetExecution", pb.GetExecutionResponse(execution=waiting()))
    found = await client.get_workflow_execution_status("order-7")
    assert found["status"] == "RUNNING"
    assert (found["key"], found["waits_for"]) == ("order-7", "RETRY")
    assert found["wait_until"] == "2026-03-01T12:00:03+00:00"
    assert found["origin"] == {"execution_id": "exe_1", "from_step": "b"}
    assert found["steps"][0]["progress"] == {"done": 40}
    peer.on("ListExecutions", pb.ListExecutionsResponse(executions=[waiting()], total_size=1))
    assert (await client.get_workflow_executions("docs", status="INCIDENT"))["total"] == 1
    assert peer.last.state == execution_pb2.EXECUTION_STATE_INCIDENT
