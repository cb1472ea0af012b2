"""Messages, decisions and what would be undone, from the command line, against a real gRPC server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import EXECUTION, START, event, execution, watched
from tests.integration.cli.scripted import ScriptedServer
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.payload import from_payload

pytestmark = pytest.mark.integration

RUNNING = execution_pb2.EXECUTION_STATE_RUNNING
APPROVAL = execution_pb2.WAIT_REASON_APPROVAL


def _open(**values: Any) -> execution_pb2.Execution:
    found = execution_pb2.Execution(id=EXECUTION, workflow_name="greet", state=RUNNING, **values)
    found.create_time.FromDatetime(START)
    return found


def _asking(*paths: str, **values: Any) -> execution_pb2.Execution:
    found = _open(waits_for=APPROVAL, **values)
    found.steps.add(step_id="first", kind="action", service="s", action="a")
    for path in paths:
        step = found.steps.add(step_id=path, kind="approval", state=execution_pb2.STEP_STATE_WAITING)
        step.waits_for = APPROVAL
        step.approval.title, step.approval.outcomes[:] = f"Pay for {path}?", ["yes", "no"]
        step.approval.assignees.append("ann" if path == "ask" else "bea")
    return found


def test_signal(server: ScriptedServer, weft: Weft) -> None:
    """Everything that is said is sent; without an id the client makes one."""
    server.on("ListExecutions", pb.ListExecutionsResponse())
    server.on("SignalExecution", pb.SignalExecutionResponse(execution=_open()))
    words = ("--payload", '{"n": 1}', "--correlation", "7", "--signal-id", "a")
    assert weft("executions", "signal", "order-7", "paid", *words).stdout == f"{EXECUTION} RUNNING\n"
    sent = server.last("SignalExecution")
    assert (sent.execution_id, sent.name, sent.correlation, sent.signal_id) == ("order-7", "paid", "7", "a")
    assert from_payload(sent.payload) == {"n": 1}
    weft("executions", "signal", "order-7", "paid")
    assert server.last("SignalExecution").signal_id
    found = weft("executions", "signal", "order-7", "paid", "--input", "{}")
    assert found.exit_code == 2
    assert "--input goes with --start only" in found.stderr
    assert len(server.requests["SignalExecution"]) == 2


def test_signal_with_start(server: ScriptedServer, weft: Weft) -> None:
    """The key is the execution's; whether it was started is told."""
    server.on("SignalWithStart", pb.SignalWithStartResponse(execution=_open(), started=True))
    words = ("executions", "signal", "order-8", "paid", "--start", "order", "--input", '{"order": 8}')
    assert weft(*words, "--attribute", "vip=true").stdout == f"{EXECUTION} RUNNING, started\n"
    sent = server.last("SignalWithStart")
    assert (sent.start.workflow, sent.start.execution_key, sent.signal.name) == ("order", "order-8", "paid")
    assert from_payload(sent.start.input) == {"order": 8}
    assert sent.start.search_attributes["vip"] is True
    found = json.loads(weft(*words, "--output", "json").stdout)
    assert (found["started"], found["execution"]["id"]) == (True, EXECUTION)


def test_decide(server: ScriptedServer, weft: Weft) -> None:
    """Outcome, comment, who, which step, and what else was said."""
    server.on("DecideApproval", pb.DecideApprovalResponse(execution=_open()))
    words = ("--comment", "fine", "--by", "ann", "--step", "each[3]/ask", "--data", '{"limit": 1}')
    assert weft("executions", "decide", "order-7", "yes", *words).stdout == f"{EXECUTION} RUNNING\n"
    sent = server.last("DecideApproval")
    assert (sent.outcome, sent.comment, sent.decided_by, sent.step_id) == (
        "yes",
        "fine",
        "ann",
        "each[3]/ask",
    )
    assert from_payload(sent.data) == {"limit": 1}
    weft("executions", "decide", "order-7", "yes")
    assert not server.last("DecideApproval").HasField("data")


def test_approvals(server: ScriptedServer, weft: Weft) -> None:
    """Every question of every execution that waits for one; of one person, if asked so."""

    def page(request: pb.ListExecutionsRequest) -> pb.ListExecutionsResponse:
        assert request.filter == "waits = APPROVAL"
        return pb.ListExecutionsResponse(executions=[_open()] if request.state == RUNNING else [])

    server.on("ListExecutions", page)
    server.on("GetExecution", pb.GetExecutionResponse(execution=_asking("ask", "m[0]/ask", key="o-7")))
    lines = weft("executions", "approvals").stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["o-7", "ask", "Pay", "for", "ask?", "ann", "-", "yes,", "no"],
        ["o-7", "m[0]/ask", "Pay", "for", "m[0]/ask?", "bea", "-", "yes,", "no"],
    ]
    (found,) = json.loads(weft("executions", "approvals", "--assignee", "bea", "--output", "json").stdout)
    assert (found["execution_id"], found["step_id"], found["outcomes"]) == (
        EXECUTION,
        "m[0]/ask",
        ["yes", "no"],
    )
    assert len(json.loads(weft("executions", "approvals", "-n", "1", "-o", "json").stdout)) == 1
    assert "Nothing is asked." in weft("executions", "approvals", "--assignee", "cleo").stderr


def test_compensations(server: ScriptedServer, weft: Weft) -> None:
    """By what each step is undone, in order; a child by itself."""
    plan = [
        pb.PlannedCompensation(
            step_id="pay", service="bank", action="refund", state=execution_pb2.STEP_STATE_COMPLETED
        ),
        pb.PlannedCompensation(step_id="kid", child_execution_id="exe_2"),
    ]
    server.on("GetCompensationPlan", pb.GetCompensationPlanResponse(compensations=plan))
    lines = weft("executions", "compensations", "order-7").stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["pay", "bank.refund", "COMPLETED"],
        ["kid", "undoing", "exe_2", "-"],
    ]
    assert [
        it["action"] for it in json.loads(weft("executions", "compensations", "a", "-o", "json").stdout)
    ] == [
        "refund",
        "",
    ]


def test_resolve_of_one_step_of_several(server: ScriptedServer, weft: Weft) -> None:
    """By its path."""
    server.on("ResolveIncident", pb.ResolveIncidentResponse(execution=_open()))
    weft("executions", "resolve", EXECUTION, "--step", "each[3]/book")
    assert server.last("ResolveIncident").step_id == "each[3]/book"


def test_get_shows_family_variables_and_what_is_inside(server: ScriptedServer, weft: Weft) -> None:
    """Calls one after the other look as they always did."""
    plain = execution()
    server.on("GetExecution", pb.GetExecutionResponse(execution=plain))
    assert "STEP   SERVICE  ACTION  STATE" in weft("executions", "get", EXECUTION).stdout
    found = _asking("m[0]/ask", closing=True, parent=execution_pb2.Parent(execution_id="exe_0", step_id="c"))
    found.steps.add(step_id="m", kind="map", state=execution_pb2.STEP_STATE_OPEN).map.count = 3
    found.variables["n"] = 1
    server.on("GetExecution", pb.GetExecutionResponse(execution=found))
    lines = weft("executions", "get", EXECUTION).stdout.splitlines()
    assert "Parent:    step c of exe_0" in lines
    assert "State:     RUNNING, closing" in lines
    assert 'Variables: {"n": 1}' in lines
    assert [line.split("  ")[0] for line in lines[-4:]] == ["STEP", "first", "m", "· [0]/ask"]
    assert lines[-1].endswith("asks bea: Pay for m[0]/ask?")


def test_watch_says_what_to_do_about_what_is_waited_for(server: ScriptedServer, weft: Weft) -> None:
    """With the command to copy; not for each of very many."""
    server.on("GetExecution", pb.GetExecutionResponse(execution=_open()))
    waiting = [
        execution_pb2.StepWaiting(step_id=f"m[{n}]/s", reason=execution_pb2.WAIT_REASON_SIGNAL, signal="paid")
        for n in range(20)
    ]
    events = [event(n, step_waiting=it) for n, it in enumerate(waiting, start=1)]
    server.on("WatchExecution", watched(events, RUNNING))
    out = weft("executions", "watch", EXECUTION).stdout
    assert out.count("waits for message paid") == 20
    assert out.count(f"weft executions signal {EXECUTION} paid") == 5
