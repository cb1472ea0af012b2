"""``weft workflows format``, ``graph``, ``diff`` and ``schema`` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import workflow
from tests.integration.cli.scripted import ScriptedServer
from tests.support.kinds import EVERYTHING
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.cli._base.documents import documents_of
from weft.cli._files.workflow_shape import WORKFLOW
from weft.client._writing.workflow import workflow as written
from weft.core.errors import ResourceNotFoundError

pytestmark = pytest.mark.integration

UNTIDY = "name: greet\nsteps: [{action: say, id: first, service: hello}]\n"
TIDY = "name: greet\nsteps:\n  - id: first\n    service: hello\n    action: say\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "greet.yaml"
    found.write_text(UNTIDY)
    return found


def test_format_changes_files(weft: Weft, file: Path) -> None:
    """And says which; a second time there is nothing to do."""
    assert weft("workflows", "format", str(file)).stdout == f"{file} changed\n"
    assert file.read_text() == TIDY
    assert weft("workflows", "format", str(file)).stdout == ""


def test_format_can_only_look(weft: Weft, file: Path) -> None:
    """For CI: the exit code says whether something would change."""
    result = weft("workflows", "format", "--check", str(file))
    assert (result.exit_code, result.stdout, file.read_text()) == (1, f"{file} would change\n", UNTIDY)
    file.write_text(TIDY)
    assert weft("workflows", "format", "--check", str(file)).exit_code == 0


def test_format_is_a_filter(weft: Weft) -> None:
    """What comes from stdin goes to stdout."""
    assert weft("workflows", "format", "-", stdin=UNTIDY).stdout == TIDY


def test_a_faulty_file_stops_all(weft: Weft, file: Path, tmp_path: Path) -> None:
    """None is changed when one of them cannot be read; the faults of all are told."""
    other, third = tmp_path / "other.yaml", tmp_path / "third.yaml"
    other.write_text("name: [\n")
    result = weft("workflows", "format", str(file), str(other), str(third))
    assert (result.exit_code, file.read_text()) == (4, UNTIDY)
    assert result.stderr.splitlines() == [
        f"Error: 2 faults in {other} and {third}",
        f"  {other}: line 2, column 1: did not find expected node content",
        f"  {third}: cannot be read: No such file or directory",
    ]


def test_graph_of_a_file(weft: Weft, file: Path) -> None:
    """No server is asked."""
    assert 'n2["first<br/>hello.say"]' in weft("workflows", "graph", "-f", str(file)).stdout
    assert weft("workflows", "graph", "-f", str(file), "--format", "svg").stdout.startswith("<svg ")


def test_graph_of_a_version(server: ScriptedServer, weft: Weft) -> None:
    """Of the server."""
    server.on("GetWorkflow", pb.GetWorkflowResponse(workflow=workflow()))
    result = weft("workflows", "graph", "greet", "--version", "2")
    assert result.stdout.startswith("flowchart TD\n")
    assert server.last("GetWorkflow").version == 2


def test_graph_is_of_one_thing(weft: Weft, file: Path) -> None:
    """A name or a file, not both, and not nothing."""
    assert weft("workflows", "graph").exit_code == 2
    assert weft("workflows", "graph", "greet", "-f", str(file)).exit_code == 2


def test_diff_of_a_file_and_the_server(server: ScriptedServer, weft: Weft, file: Path) -> None:
    """Shows what apply would change, and says by the exit code that there is something."""
    server.on("GetWorkflow", pb.GetWorkflowResponse(workflow=workflow()))
    result = weft("workflows", "diff", "-f", str(file))
    assert result.exit_code == 1
    assert "steps.second removed: " in result.stdout
    assert server.last("GetWorkflow").workflow == "greet"
    result = weft("workflows", "diff", "-f", str(file), "--output", "json")
    found = json.loads(result.stdout)
    assert found["different"] is True
    assert {"path", "what", "before", "after"} == set(found["changes"][0])


def test_diff_of_the_same(server: ScriptedServer, weft: Weft) -> None:
    """Two versions that mean the same have no difference."""
    server.on("GetWorkflow", pb.GetWorkflowResponse(workflow=workflow()))
    result = weft("workflows", "diff", "greet", "--from", "1", "--to", "2")
    assert (result.exit_code, result.stdout) == (0, "No difference.\n")


def test_diff_of_what_is_not_there(server: ScriptedServer, weft: Weft) -> None:
    """Is an error, not a difference."""
    server.on("GetWorkflow", ResourceNotFoundError("workflow", "greet"))
    assert weft("workflows", "diff", "greet").exit_code == 3


def test_schema_is_printed(weft: Weft) -> None:
    """For editors."""
    assert json.loads(weft("workflows", "schema").stdout)["title"] == "A workflow of Weft"


def test_get_shows_steps_inside_of_steps(server: ScriptedServer, weft: Weft) -> None:
    """Below the one that holds them, with what each does, and what runs at the end."""
    shown = written(WORKFLOW.read(documents_of(EVERYTHING.encode(), "w.yaml")[0][1], ""))
    server.on("GetWorkflow", pb.GetWorkflowResponse(workflow=shown))
    rows = [line.split() for line in weft("workflows", "get", "everything").stdout.splitlines()]
    assert ["which", "switch", "ask,", "both"] in [row[:4] for row in rows]
    lines = weft("workflows", "get", "everything").stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("both "))
    shown_below = [line.split("  ")[0] for line in lines[at + 1 : at + 5]]
    assert shown_below == ["· left:", "· · later", "· right:", "· · paid"]
    assert lines[-2].startswith("finally:")
    assert lines[-1].startswith("· close ")
