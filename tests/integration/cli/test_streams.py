"""Standard streams that are closed, full or empty: what a shell script or a service manager may hand over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import workflow
from tests.integration.cli.scripted import ScriptedServer
from weft.api.workflow.v1 import workflow_service_pb2 as pb

pytestmark = pytest.mark.integration

Shell = Callable[[str], subprocess.CompletedProcess[str]]
FULL = "the output cannot be written: No space left on device"


@pytest.fixture
def shell(server: ScriptedServer) -> Shell:
    """Run a line of a shell, in which ``$WEFT`` is the command, against the scripted server."""
    server.on("ListWorkflows", pb.ListWorkflowsResponse(workflows=[workflow()], total_size=1))
    env = {**os.environ, "WEFT_TARGET": server.target, "WEFT": f"{sys.executable} -m weft.cli"}

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", line], env=env, capture_output=True, text=True, check=False, timeout=30
        )

    return run


@pytest.mark.parametrize(
    "words", ["run greet --input -", "workflows apply -f -", "attempts complete x --result -"]
)
def test_a_closed_stdin_is_empty(shell: Shell, words: str) -> None:
    """It is a fault of what was handed over, not of the command."""
    done = shell(f"$WEFT {words} <&-")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("Error: stdin: is empty")


@pytest.mark.parametrize("words", ["workflows list", "workflows list -o json", "--help", "version"])
def test_a_closed_stdout_takes_nothing(shell: Shell, words: str) -> None:
    """Nobody wants to see it; it is done all the same, and no connection takes the place of stdout."""
    done = shell(f"$WEFT {words} >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stderr_changes_no_exit_code(shell: Shell) -> None:
    """Nor what is on stdout."""
    done = shell("$WEFT workflows bogus 2>&-; echo $?; $WEFT workflows list -o json 2>&- | head -c 1")
    assert done.stdout.split() == ["2", "{"]


@pytest.mark.parametrize("words", ["workflows list", "--help", "workflows schema", "version"])
def test_a_full_disk_is_told(shell: Shell, words: str) -> None:
    """It is no defect of Weft: one line, and exit code 1."""
    done = shell(f"$WEFT {words} > /dev/full")
    assert (done.returncode, done.stderr) == (1, f"Error: {FULL}\n")


def test_a_full_disk_is_told_as_json(shell: Shell) -> None:
    """As any other failure."""
    done = shell("$WEFT workflows list -o json > /dev/full")
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["message"] == FULL


@pytest.mark.parametrize("words", ["workflows list", "workflows list -o json", "workflows schema", "--help"])
def test_a_reader_that_is_gone_is_no_news(shell: Shell, words: str) -> None:
    """As of ``head``: the exit code says that not all was written, and nothing else does."""
    done = shell(f"{{ $WEFT {words}; echo $? >&2; }} | true")
    assert done.stderr in {"1\n", "0\n"}  # all may have been written before


@pytest.mark.parametrize("words", [["run", "greet", "--input"], ["executions", "rerun", "x", "--input"]])
def test_an_empty_input_is_none(weft: Weft, server: ScriptedServer, tmp_path: Path, words: list[str]) -> None:
    """A variable that is not set, or a command that failed, must not start something without its input."""
    empty = tmp_path / "empty.json"
    empty.write_text(" \n")
    for text, name in (("", "input"), ("  ", "input"), (f"@{empty}", str(empty)), ("-", "stdin")):
        found = weft(*words, text, stdin="")
        assert (found.exit_code, found.stdout) == (4, "")
        assert found.stderr == f"Error: {name}: is empty; write {{}} for an object without members\n"
    assert not server.requests
