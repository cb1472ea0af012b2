"""``weft run``, ``weft call`` and ``weft executions`` against a real gRPC server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import EXECUTION, execution, history, payload, watched
from tests.integration.cli.scripted import ScriptedServer
from weft.api.common.v1 import failure_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.errors import (
    ActionFailedError,
    Code,
    DeadlineExceededError,
    PreconditionError,
    ValidationError,
    Violation,
)
from weft.core.payload import from_payload
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration

RUNNING = execution_pb2.EXECUTION_STATE_RUNNING
COMPLETED = execution_pb2.EXECUTION_STATE_COMPLETED
FAILED = execution_pb2.EXECUTION_STATE_FAILED
CANCELLED = execution_pb2.EXECUTION_STATE_CANCELLED
TIMED_OUT = execution_pb2.EXECUTION_STATE_TIMED_OUT


@pytest.fixture
def done(server: ScriptedServer) -> ScriptedServer:
    return _ends(server, COMPLETED)


def _ends(server: ScriptedServer, state: execution_pb2.ExecutionState.ValueType) -> ScriptedServer:
    server.on("StartExecution", pb.StartExecutionResponse(execution=execution(RUNNING)))
    server.on("WatchExecution", list(watched(history(fails=state != COMPLETED), state)))
    server.on("GetExecution", pb.GetExecutionResponse(execution=execution(state)))
    return server


def test_run_prints_the_result(done: ScriptedServer, weft: Weft) -> None:
    """It waits for the end; stdout holds the result alone."""
    result = weft("run", "greet", "--input", '{"name": "Ada"}')
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"greeting": "Hello, Ada", "score": 0.5}
    assert not result.stderr
    assert from_payload(done.last("StartExecution").input) == {"name": "Ada"}


def test_run_sends_every_option(done: ScriptedServer, weft: Weft) -> None:
    """Context, idempotency key, version and time limit arrive."""
    options = ["--project-id", "p1", "--request-id", "q1", "--context", "tier=gold", "--version", "2"]
    weft("run", "greet", *options, "--timeout", "1m30s")
    sent = done.last("StartExecution")
    assert (sent.context.project_id, sent.context.request_id) == ("p1", "q1")
    assert dict(sent.context.values) == {"tier": "gold"}
    assert (sent.request_id, sent.version, sent.timeout.seconds) == ("q1", 2, 90)


@pytest.mark.parametrize(("name", "text"), [("in.json", '{"n": 1}'), ("in.yaml", "n: 1\n")])
def test_run_reads_a_file(done: ScriptedServer, weft: Weft, tmp_path: Path, name: str, text: str) -> None:
    """@file reads JSON, or YAML by its name."""
    (tmp_path / name).write_text(text)
    assert weft("run", "greet", "-i", f"@{tmp_path / name}").exit_code == 0
    assert from_payload(done.last("StartExecution").input) == {"n": 1}


def test_run_reads_stdin(done: ScriptedServer, weft: Weft) -> None:
    """- reads JSON from stdin."""
    assert weft("run", "greet", "-i", "-", stdin='{"n": 2}').exit_code == 0
    assert from_payload(done.last("StartExecution").input) == {"n": 2}


def test_run_as_json_is_the_execution(done: ScriptedServer, weft: Weft) -> None:
    """For a program, run prints the record of the execution."""
    found = json.loads(weft("run", "greet", "-o", "json").stdout)
    assert (found["id"], found["state"]) == (EXECUTION, "COMPLETED")
    assert found["steps"][0]["step_id"] == "first"


def test_detach_prints_the_id(done: ScriptedServer, weft: Weft) -> None:
    """--detach waits for nothing, so that the id can be kept."""
    assert weft("run", "greet", "--detach").stdout == f"{EXECUTION}\n"
    assert set(done.requests) == {"StartExecution"}


def test_detach_and_watch_exclude_each_other(done: ScriptedServer, weft: Weft) -> None:
    """Asking for both is a mistake of the command line."""
    result = weft("run", "greet", "--detach", "--watch")
    assert result.exit_code == 2
    assert not done.requests


def test_watch_writes_a_line_per_event(done: ScriptedServer, weft: Weft) -> None:
    """Piped, progress is plain lines on stderr and the result is on stdout."""
    result = weft("run", "greet", "--watch")
    lines = [line.split("  ", 1)[1] for line in result.stderr.splitlines()]
    assert lines == [
        "execution started",
        "first scheduled",
        "first completed in 100ms",
        "second scheduled (attempt 2): server restart",
        "second completed in 100ms",
        "execution completed",
    ]
    assert json.loads(result.stdout)["greeting"] == "Hello, Ada"


def test_watch_as_json_is_a_line_per_event(done: ScriptedServer, weft: Weft) -> None:
    """For a program, each event is one line of JSON; the last one has the result."""
    events = [json.loads(line) for line in weft("run", "greet", "--watch", "-o", "json").stdout.splitlines()]
    assert [event["number"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert events[-1]["state"] == "COMPLETED"
    assert events[-1]["data"]["result"]["greeting"] == "Hello, Ada"


@pytest.mark.parametrize(("state", "code"), [(FAILED, 1), (CANCELLED, 1), (TIMED_OUT, 7)])
def test_how_it_ended_is_the_exit_code(
    server: ScriptedServer, weft: Weft, state: execution_pb2.ExecutionState.ValueType, code: int
) -> None:
    """An execution that did not complete exits non-zero and says why."""
    _ends(server, state)
    result = weft("run", "greet")
    assert (result.exit_code, result.stdout) == (code, "")
    assert "NO_VOICE: the throat is sore" in result.stderr
    assert "text: is too loud" in result.stderr
    assert weft("executions", "watch", EXECUTION).exit_code == code


def test_failure_as_json(server: ScriptedServer, weft: Weft) -> None:
    """A program gets the record on stdout and the error on stderr."""
    _ends(server, FAILED)
    result = weft("run", "greet", "-o", "json")
    assert json.loads(result.stdout)["state"] == "FAILED"
    error = json.loads(result.stderr)["error"]
    assert (error["reason"], error["code"]) == ("NO_VOICE", "ABORTED")


def test_input_faults_of_the_server_are_listed(server: ScriptedServer, weft: Weft) -> None:
    """Each violation has its own line, and the exit code is 4."""
    faults = [
        Violation("input.name", "is required", "REQUIRED"),
        Violation("input.age", "is text", "INVALID"),
    ]
    server.on("StartExecution", ValidationError(faults))
    result = weft("run", "greet")
    assert result.exit_code == 4
    assert result.stderr.splitlines() == [
        "Error: 2 faults in the input",
        "  input.name: is required",
        "  input.age: is text",
    ]


def test_bad_json_says_where(server: ScriptedServer, weft: Weft) -> None:
    """A mistake in the JSON of --input is found before anything is sent."""
    result = weft("run", "greet", "-i", '{"a": 1,}')
    assert result.exit_code == 4
    assert "line 1 column 8" in result.stderr
    assert """write --input '{"name": "Ada"}': double quotes inside, single outside""" in result.stderr
    assert not server.requests


def test_call_prints_the_output(server: ScriptedServer, weft: Weft) -> None:
    """Call prints what the action answered."""
    server.on("ExecuteServiceAction", pb.ExecuteServiceActionResponse(output=payload({"score": 1})))
    result = weft("call", "sentiment", "analyze", "-i", '{"text": "fine"}', "--timeout", "2s")
    assert json.loads(result.stdout) == {"score": 1}
    sent = server.last("ExecuteServiceAction")
    assert (sent.service, sent.action, sent.timeout.seconds) == ("sentiment", "analyze", 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ActionFailedError("no such customer", reason="CUSTOMER_UNKNOWN", code=Code.NOT_FOUND), 1),
        (PreconditionError("it broke its schema", reason=Reason.ACTION_OUTPUT_INVALID), 1),
        (PreconditionError("it is inactive", reason=Reason.SERVICE_INACTIVE), 5),
        (DeadlineExceededError("too slow", reason=Reason.ACTION_TIMEOUT), 7),
    ],
)
def test_failed_calls(server: ScriptedServer, weft: Weft, error: Exception, code: int) -> None:
    """An action's own failure is 1, whatever its code; ours keep their meaning."""
    server.on("ExecuteServiceAction", error)  # type: ignore[arg-type] # every one of them is a WeftError
    result = weft("call", "sentiment", "analyze")
    assert (result.exit_code, result.stderr) == (code, f"Error: {error}\n")


def test_list_and_get(server: ScriptedServer, weft: Weft) -> None:
    """The tables show state, times and steps; the result comes as JSON."""
    server.on("ListExecutions", pb.ListExecutionsResponse(executions=[execution()], total_size=1))
    server.on("GetExecution", pb.GetExecutionResponse(execution=execution()))
    listed = weft("executions", "list", "--state", "timed_out", "--workflow", "greet")
    assert EXECUTION in listed.stdout
    assert server.last("ListExecutions").state == TIMED_OUT
    shown = weft("executions", "get", EXECUTION).stdout
    assert "greet (version 2)" in shown
    assert "250ms" in shown
    assert '"greeting": "Hello, Ada"' in shown


def test_get_shows_why_it_failed(server: ScriptedServer, weft: Weft) -> None:
    """Reason, message and every violation are shown."""
    server.on("GetExecution", pb.GetExecutionResponse(execution=execution(FAILED)))
    result = weft("executions", "get", EXECUTION)
    assert result.exit_code == 0
    assert "NO_VOICE: the throat is sore" in result.stdout
    assert "text: is too loud" in result.stdout


def test_history(server: ScriptedServer, weft: Weft) -> None:
    """Every page is printed: lines with day and zone for people, one array for programs."""
    first, second = history()[:3], history()[3:]

    def pages(request: pb.GetExecutionHistoryRequest) -> pb.GetExecutionHistoryResponse:
        if request.page_token:
            return pb.GetExecutionHistoryResponse(events=second)
        return pb.GetExecutionHistoryResponse(events=first, next_page_token="more")

    server.on("GetExecutionHistory", pages)
    lines = weft("executions", "history", EXECUTION).stdout.splitlines()
    assert len(lines) == 6
    assert re.fullmatch(r" +2  2026-03-0\d \d\d:\d\d:00\.200[+-]\d\d:\d\d  first scheduled", lines[1])
    events = json.loads(weft("executions", "history", EXECUTION, "-o", "json").stdout)
    assert events[-1]["kind"] == "execution_completed"
    assert not any("state" in event for event in events)
    assert yaml.safe_load(weft("executions", "history", EXECUTION, "-o", "yaml").stdout) == events


def test_list_as_json_has_no_values_that_lists_do_not_have(server: ScriptedServer, weft: Weft) -> None:
    """Input, result and steps are not in a list, and do not look as if they were empty."""
    server.on("ListExecutions", pb.ListExecutionsResponse(executions=[execution()], total_size=1))
    (item,) = json.loads(weft("executions", "list", "-o", "json").stdout)["items"]
    assert item["id"] == EXECUTION
    assert not {"input", "result", "steps"} & set(item)


def test_a_failed_execution_names_the_step_and_its_action(server: ScriptedServer, weft: Weft) -> None:
    """A fault in what a step was given is told apart from one in what the workflow was given."""
    failed = execution(FAILED)
    message = 'input of hello.say: "name" is a required property'
    failed.failure.CopyFrom(failure_pb2.Failure(reason="VALIDATION_FAILED", message=message, code=3))
    failed.failure.violations.add(field="input", description='"name" is a required property')
    failed.steps[0].state = execution_pb2.STEP_STATE_FAILED
    _ends(server, FAILED).on("GetExecution", pb.GetExecutionResponse(execution=failed))
    result = weft("run", "greet")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == (
        f"Error: execution {EXECUTION} failed at step first: VALIDATION_FAILED: {message}"
    )
    assert len(result.stderr.splitlines()) == 2  # and the hint: the fault is not said twice
    failed.failure.CopyFrom(failure_pb2.Failure(reason="NO_VOICE", message="sore", code=10))
    server.on("GetExecution", pb.GetExecutionResponse(execution=failed))
    assert "failed at step first (hello.say): NO_VOICE: sore" in weft("run", "greet").stderr


def test_watch_goes_on_after_a_number(done: ScriptedServer, weft: Weft) -> None:
    """--after is passed on, and for people the events are the result."""
    result = weft("executions", "watch", EXECUTION, "--after", "3")
    assert done.last("WatchExecution").after_event_number == 3
    assert result.stdout.splitlines()[-1].endswith("execution completed")


def test_cancel(server: ScriptedServer, weft: Weft) -> None:
    """The reason arrives, and the final state is printed."""
    server.on("CancelExecution", pb.CancelExecutionResponse(execution=execution(CANCELLED)))
    result = weft("executions", "cancel", EXECUTION, "--reason", "wrong input")
    assert result.stdout == f"{EXECUTION} CANCELLED\n"
    assert server.last("CancelExecution").reason == "wrong input"


def test_ctrl_c_stops_the_watching_only(server: ScriptedServer) -> None:
    """Ctrl-C says how to watch again and how to cancel, exits 130, and cancels nothing."""
    server.on("StartExecution", pb.StartExecutionResponse(execution=execution(RUNNING)))
    server.on("WatchExecution", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "weft.cli", "run", "slow", "--target", server.target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    deadline = time.monotonic() + 20
    while "WatchExecution" not in server.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert not stdout
    assert f"weft executions watch {EXECUTION}" in stderr
    assert f"weft executions cancel {EXECUTION}" in stderr
    assert "Traceback" not in stderr
    assert "CancelExecution" not in server.requests


@pytest.mark.parametrize("option", ["--key", "--request-id", "--alias"])
def test_what_is_empty_is_no_key(server: ScriptedServer, weft: Weft, option: str) -> None:
    """A variable of somebody's shell that is not set must not start what another one has started."""
    result = weft("run", "greet", option, "")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{option}: it is empty" in result.stderr.replace("'", "")
    assert not server.requests
