"""Keys, pauses, incidents, reruns and late outcomes, from the command line, against a real gRPC server."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import (
    EXECUTION,
    START,
    event,
    execution,
    failure,
    history,
    payload,
    watched,
    workflow_answer,
)
from tests.integration.cli.scripted import ScriptedServer
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.workflow.v1 import workflow_pb2, workflow_service_pb2
from weft.core.errors import PreconditionError
from weft.core.payload import from_payload
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration

PAUSED = execution_pb2.EXECUTION_STATE_PAUSED
INCIDENT = execution_pb2.EXECUTION_STATE_INCIDENT
RUNNING = execution_pb2.EXECUTION_STATE_RUNNING
COMPLETED = execution_pb2.EXECUTION_STATE_COMPLETED


def _open(state: execution_pb2.ExecutionState.ValueType, **values: Any) -> execution_pb2.Execution:
    found = execution_pb2.Execution(id=EXECUTION, workflow_name="greet", state=state, **values)
    found.create_time.FromDatetime(START)
    return found


def test_pause_and_resume(server: ScriptedServer, weft: Weft) -> None:
    """The reason is sent; the state that follows is printed. A key is of the open execution that has it."""
    server.on("ListExecutions", pb.ListExecutionsResponse(executions=[_open(RUNNING)]))
    server.on("PauseExecution", pb.PauseExecutionResponse(execution=_open(PAUSED)))
    server.on("ResumeExecution", pb.ResumeExecutionResponse(execution=_open(RUNNING)))
    assert weft("executions", "pause", "order-7", "--reason", "look").stdout == f"{EXECUTION} PAUSED\n"
    assert server.last("PauseExecution") == pb.PauseExecutionRequest(execution_id=EXECUTION, reason="look")
    assert weft("executions", "resume", EXECUTION).stdout == f"{EXECUTION} RUNNING\n"


def test_resolve(server: ScriptedServer, weft: Weft) -> None:
    """It is tried again unless --fail says otherwise; an input goes with trying again only."""
    server.on("ResolveIncident", pb.ResolveIncidentResponse(execution=_open(RUNNING)))
    weft("executions", "resolve", EXECUTION, "--note", "fixed")
    sent = server.last("ResolveIncident")
    assert (sent.resolution, sent.note) == (execution_pb2.INCIDENT_RESOLUTION_RETRY, "fixed")
    assert not sent.HasField("input")
    weft("executions", "resolve", EXECUTION, "--input", '{"a": 1}')
    assert from_payload(server.last("ResolveIncident").input) == {"a": 1}
    weft("executions", "resolve", EXECUTION, "--fail")
    assert server.last("ResolveIncident").resolution == execution_pb2.INCIDENT_RESOLUTION_FAIL
    asked = len(server.requests["ResolveIncident"])
    assert weft("executions", "resolve", EXECUTION, "--fail", "--input", "{}").exit_code == 2
    assert len(server.requests["ResolveIncident"]) == asked


def test_rerun_prints_the_new_id(server: ScriptedServer, weft: Weft) -> None:
    """So that it can be kept, and watched."""
    server.on("RerunExecution", pb.RerunExecutionResponse(execution=_open(RUNNING)))
    words = ("--from-step", "b", "--version", "3", "--input", "{}", "--request-id", "r")
    assert weft("executions", "rerun", "exe_1", *words).stdout == f"{EXECUTION}\n"
    sent = server.last("RerunExecution")
    assert (sent.execution_id, sent.from_step, sent.version, sent.request_id) == ("exe_1", "b", 3, "r")
    assert from_payload(sent.input) == {}


def test_run_with_a_key(server: ScriptedServer, weft: Weft) -> None:
    """Key and policies are sent; a policy without a key is a mistake of the command line."""
    server.on("StartExecution", pb.StartExecutionResponse(execution=_open(RUNNING)))
    policies = ("--key-reuse", "return-existing", "--key-conflict", "use-existing")
    assert weft("run", "greet", "--detach", "--key", "order-7", *policies).exit_code == 0
    sent = server.last("StartExecution")
    assert sent.execution_key == "order-7"
    assert sent.key_reuse_policy == pb.KEY_REUSE_POLICY_RETURN_EXISTING
    assert sent.key_conflict_policy == pb.KEY_CONFLICT_POLICY_USE_EXISTING
    assert weft("run", "greet", "--detach", *policies).exit_code == 2


def _troubled() -> list[Any]:
    """What a watch sends of an execution that is tried again, has an incident, and completes."""
    retry = execution_pb2.StepRetryScheduled(step_id="first", attempt=1, failure=failure())
    retry.retry_time.FromDatetime(START + timedelta(milliseconds=2_300))
    raised = execution_pb2.IncidentRaised(step_id="first", attempt=2, failure=failure())
    resolved = execution_pb2.IncidentResolved(
        step_id="first", resolution=execution_pb2.INCIDENT_RESOLUTION_RETRY, note="tea"
    )
    told = execution_pb2.StepProgressed(step_id="first", attempt=3, details=payload({"percent": 40}))
    again = execution_pb2.StepScheduled(step_id="first", attempt=3, cause="retry")
    events = [
        *history()[:2],
        event(3, step_retry_scheduled=retry),
        event(4, incident_raised=raised),
        event(5, incident_resolved=resolved),
        event(6, step_scheduled=again),
        event(7, step_progressed=told),
        event(8, execution_completed=execution_pb2.ExecutionCompleted(result=payload({}))),
    ]
    return list(watched(events, COMPLETED))


def test_watching_trouble(server: ScriptedServer, weft: Weft) -> None:
    """Retries, incidents and progress have lines; at an incident it says what to do, and waits on."""
    server.on("StartExecution", pb.StartExecutionResponse(execution=_open(RUNNING)))
    server.on("WatchExecution", _troubled())
    server.on("GetExecution", pb.GetExecutionResponse(execution=execution(COMPLETED)))
    result = weft("run", "greet", "--watch")
    assert result.exit_code == 0
    assert "first failed, attempt 2 in 2.0s: NO_VOICE: the throat is sore" in result.stderr
    assert "first has an incident after attempt 2: NO_VOICE" in result.stderr
    assert f"  give it up:     weft executions resolve {EXECUTION} --fail" in result.stderr
    assert "first: incident resolved, retry: tea" in result.stderr
    assert "first: 40 %" in result.stderr


def test_waiting_says_what_to_do(server: ScriptedServer, weft: Weft) -> None:
    """Also without --watch; programs, who read JSON, are not told."""
    server.on("StartExecution", pb.StartExecutionResponse(execution=_open(RUNNING)))
    server.on("WatchExecution", _troubled())
    server.on("GetExecution", pb.GetExecutionResponse(execution=execution(COMPLETED)))
    result = weft("run", "greet")
    assert result.exit_code == 0
    assert result.stderr.startswith("Step first used up its attempts; the execution waits:\n")
    assert not weft("run", "greet", "-o", "json").stderr


def test_what_is_over_needs_no_advice(server: ScriptedServer, weft: Weft) -> None:
    """Whoever watches later reads of the incident, and is not told to resolve it."""
    server.on("WatchExecution", _troubled())
    ended = execution(COMPLETED)
    ended.last_event_number = 8
    server.on("GetExecution", pb.GetExecutionResponse(execution=ended))
    shown = weft("executions", "watch", EXECUTION).stdout
    assert "has an incident" in shown
    assert "give it up" not in shown


def test_get_shows_waits_keys_and_origin(server: ScriptedServer, weft: Weft) -> None:
    """What an open execution waits for, and how far its step is."""
    found = _open(
        RUNNING,
        key="order-7",
        concurrency_key="ada",
        waits_for=execution_pb2.WAIT_REASON_RETRY,
        origin=execution_pb2.Origin(execution_id="exe_1", from_step="b"),
    )
    found.wait_until.FromDatetime(START)
    step = found.steps.add(step_id="b", state=execution_pb2.STEP_STATE_RETRYING, attempt=2)
    step.retry_time.FromDatetime(START)
    step.progress.CopyFrom(payload({"done": 3, "total": 12}))
    server.on("GetExecution", pb.GetExecutionResponse(execution=found))
    server.on("ListExecutions", pb.ListExecutionsResponse(executions=[found], total_size=1))
    shown = weft("executions", "get", EXECUTION).stdout
    for text in ("order-7", "repeats exe_1 from step b", "RETRY until ", "ada", "3 of 12", "next attempt at"):
        assert text in shown
    titles, row = weft("executions", "list", "--state", "running").stdout.splitlines()
    assert titles.endswith("WAITS FOR")
    assert "RETRY until " in row
    plain = pb.ListExecutionsResponse(executions=[_open(COMPLETED)], total_size=1)
    server.on("ListExecutions", plain)
    assert "WAITS FOR" not in weft("executions", "list").stdout


def test_attempts(server: ScriptedServer, weft: Weft) -> None:
    """Outcomes are told with their token; a heartbeat prints whether to stop."""
    server.on("CompleteAttempt", pb.CompleteAttemptResponse())
    server.on("HeartbeatAttempt", pb.HeartbeatAttemptResponse(cancel_requested=True))
    assert weft("attempts", "complete", "t", "--result", '{"ok": true}').stdout == "t completed\n"
    assert from_payload(server.last("CompleteAttempt").output) == {"ok": True}
    words = ("--reason", "DECLINED", "--message", "no", "--code", "not_found", "--value", "by=Ada")
    assert weft("attempts", "fail", "t", *words).exit_code == 0
    told = server.last("CompleteAttempt").failure
    assert (told.reason, told.message, told.code, told.metadata["by"]) == ("DECLINED", "no", 5, "Ada")
    assert weft("attempts", "fail", "t", "--code", "perhaps").exit_code == 2
    beat = weft("attempts", "heartbeat", "t", "--details", '{"percent": 4}', "-o", "json")
    assert json.loads(beat.stdout) == {"cancel_requested": True}
    server.on("CompleteAttempt", PreconditionError("over", reason=Reason.ATTEMPT_STALE))
    late = weft("attempts", "complete", "t", "-o", "json")
    assert late.exit_code == 5
    assert json.loads(late.stderr)["error"]["reason"] == "ATTEMPT_STALE"


def test_workflows_are_paused_and_shown_with_their_policies(server: ScriptedServer, weft: Weft) -> None:
    """Pausing is a state; what a definition says of retries and concurrency is shown."""
    paused = workflow_answer(workflow_service_pb2.SetWorkflowStateResponse)
    paused.workflow.state = workflow_pb2.WORKFLOW_STATE_PAUSED
    server.on("SetWorkflowState", paused)
    assert weft("workflows", "pause", "greet").stdout == "greet PAUSED\n"
    assert server.last("SetWorkflowState").state == workflow_pb2.WORKFLOW_STATE_PAUSED
    answer = workflow_answer(workflow_service_pb2.GetWorkflowResponse)
    answer.workflow.concurrency.limit = 2
    answer.workflow.steps[0].retry.max_attempts = 5
    server.on("GetWorkflow", answer)
    shown = weft("workflows", "get", "greet").stdout
    assert "Concurrency: 2\n" in shown
    assert "5 attempts" in shown
