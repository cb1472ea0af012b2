"""What a person sees who sits at a terminal: a real pseudo terminal, a real process."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.integration.cli.samples import (
    EXECUTION,
    execution,
    history,
    instance,
    service,
    services,
    watched,
    workflow_answer,
)
from tests.integration.cli.scripted import ScriptedServer
from weft.api.execution.v1 import execution_pb2, execution_service_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.api.workflow.v1 import workflow_service_pb2

pytestmark = pytest.mark.integration

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")


def _on_terminal(target: str, *words: str, **environment: str) -> tuple[str, int]:
    """Run the command with all its streams on a terminal; return what is shown."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **environment}
    env.pop("NO_COLOR", None) if "NO_COLOR" not in environment else None
    command = [sys.executable, "-m", "weft.cli", "--target", target, *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = bytearray()
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other end is closed: that is how a terminal ends on Linux
        pass
    os.close(ours)
    return shown.decode(), process.wait(20)


def test_tables_have_colours(server: ScriptedServer) -> None:
    """A state has its colour on a terminal."""
    server.on("ListServices", services(service()))
    shown, code = _on_terminal(server.target, "services", "list")
    assert code == 0
    assert COLOUR.search(shown)
    assert "ACTIVE" in shown


@pytest.mark.parametrize(("words", "environment"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"})])
def test_colours_can_be_refused(
    server: ScriptedServer, words: list[str], environment: dict[str, str]
) -> None:
    """--no-color and NO_COLOR leave a table without colours."""
    server.on("ListServices", services(service()))
    shown, _ = _on_terminal(server.target, "services", "list", *words, **environment)
    assert "ACTIVE" in shown
    assert not COLOUR.search(shown)


def test_ids_are_whole_in_a_narrow_terminal(server: ScriptedServer) -> None:
    """An id can be copied from 80 columns, and from fewer; other columns make room."""
    found = execution()
    found.workflow_name = "a-workflow-with-quite-a-long-name"
    listed = execution_service_pb2.ListExecutionsResponse(executions=[found], total_size=1)
    server.on("ListExecutions", listed)
    long = "sentiment-analysis-01k0000000000000000000000a"
    server.on("GetService", pb.GetServiceResponse(service=service(description="x" * 90)))
    there = instance(health_note="all of it is fine, and this goes on for a while", version="1.2.3-rc1")
    there.id = long
    server.on("ListInstances", pb.ListInstancesResponse(instances=[there]))
    for columns in ("80", "50"):
        shown, _ = _on_terminal(server.target, "executions", "list", "--no-color", COLUMNS=columns)
        assert EXECUTION in shown
        shown, _ = _on_terminal(server.target, "services", "get", "x", "--no-color", COLUMNS=columns)
        assert long in shown


def test_values_of_strangers_draw_nothing(server: ScriptedServer) -> None:
    """A value with escape sequences or markup is shown as text."""
    server.on("ListServices", services(service(endpoint="\x1b[2J[red]http://x[/]")))
    shown, code = _on_terminal(server.target, "services", "list")
    assert code == 0
    assert "[2J[red]http://x[/]" in shown
    assert "\x1b[2J" not in shown


def test_live_progress(server: ScriptedServer) -> None:
    """A run that is watched shows a row per step and ends with the result."""
    running = execution(execution_pb2.EXECUTION_STATE_RUNNING)
    server.on("StartExecution", execution_service_pb2.StartExecutionResponse(execution=running))
    server.on("WatchExecution", list(watched(history(), execution_pb2.EXECUTION_STATE_COMPLETED)))
    server.on("GetExecution", execution_service_pb2.GetExecutionResponse(execution=execution()))
    server.on("GetWorkflow", workflow_answer(workflow_service_pb2.GetWorkflowResponse))
    shown, code = _on_terminal(server.target, "run", "greet", "--watch")
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "greet v2" in plain
    assert re.search(r"✓\s+second\s+completed\s+attempt 2\s+100ms", plain)
    assert plain.rstrip().endswith("}")
    assert '"greeting": "Hello, Ada"' in plain
