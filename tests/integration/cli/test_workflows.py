"""``weft workflows`` against a real gRPC server."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import problem, workflow, workflow_answer
from tests.integration.cli.scripted import ScriptedServer
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.core.errors import ConflictError, ResourceNotFoundError

pytestmark = pytest.mark.integration

GREET = """
name: greet
steps:
  - {id: first, service: hello, action: say, next: second}
  - {id: second, service: hello, action: shout, input: {text: "${ input.a }"}}
"""

MISSING = ResourceNotFoundError("workflow", "greet")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "greet.yaml"
    found.write_text(GREET)
    return found


@pytest.fixture
def valid(server: ScriptedServer) -> ScriptedServer:
    server.on("ValidateWorkflow", pb.ValidateWorkflowResponse(valid=True))
    return server


def test_apply_creates(valid: ScriptedServer, weft: Weft, file: Path) -> None:
    """A name that is not there is created."""
    valid.on("GetWorkflow", MISSING)
    valid.on("CreateWorkflow", workflow_answer(pb.CreateWorkflowResponse))
    result = weft("workflows", "apply", "-f", str(file))
    assert result.stdout == "greet created (version 2)\n"
    assert [step.id for step in valid.last("CreateWorkflow").workflow.steps] == ["first", "second"]


def test_apply_of_the_same_changes_nothing(valid: ScriptedServer, weft: Weft, file: Path) -> None:
    """What is stored already is not sent again."""
    valid.on("GetWorkflow", workflow_answer(pb.GetWorkflowResponse))
    result = weft("workflows", "apply", "-f", str(file))
    assert result.stdout == "greet unchanged (version 2)\n"
    assert "UpdateWorkflow" not in valid.requests


def test_apply_updates_what_differs(valid: ScriptedServer, weft: Weft, file: Path) -> None:
    """Only changed fields are sent, based on the etag that was compared; a missing key is emptied."""
    valid.on("GetWorkflow", workflow_answer(pb.GetWorkflowResponse, description="Old."))
    valid.on("UpdateWorkflow", workflow_answer(pb.UpdateWorkflowResponse))
    file.write_text(GREET + "timeout: 5m\n")
    result = weft("workflows", "apply", "-f", str(file))
    assert result.stdout == "greet updated (version 2: description, timeout)\n"
    sent = valid.last("UpdateWorkflow")
    assert sorted(sent.update_mask.paths) == ["description", "timeout"]
    assert sent.workflow.timeout.ToTimedelta() == timedelta(minutes=5)
    assert sent.etag == "r5"


def test_apply_from_stdin_takes_several_documents(valid: ScriptedServer, weft: Weft) -> None:
    """- reads stdin; every document of it is applied, and JSON lists all outcomes."""
    valid.on("GetWorkflow", MISSING)
    valid.on("CreateWorkflow", workflow_answer(pb.CreateWorkflowResponse))
    both = GREET + "---" + GREET.replace("greet", "greet-too")
    result = weft("workflows", "apply", "-f", "-", "-o", "json", stdin=both)
    found = json.loads(result.stdout)["items"]
    assert [item["outcome"] for item in found] == ["created", "created"]
    assert [it.workflow.name for it in valid.requests["CreateWorkflow"]] == ["greet", "greet-too"]


PARENT = """
name: trip
steps: [{id: all, parallel: {branches: [{name: x, steps: [{id: a, workflow: {name: greet}}]}]}}]
"""


@pytest.mark.parametrize("text", [PARENT + "---" + GREET, GREET + "---" + PARENT])
def test_workflows_that_run_each_other_are_applied_together(
    server: ScriptedServer, weft: Weft, text: str
) -> None:
    """In whichever order they stand: one that others run is made first, and is not missed before."""
    missed = problem(path="steps[0].parallel.branches[0].steps[0].workflow.name", code="WORKFLOW_UNKNOWN")
    fine = pb.ValidateWorkflowResponse(valid=True)
    server.on("ValidateWorkflow", lambda request: missed if request.workflow.name == "trip" else fine)
    server.on("GetWorkflow", MISSING)
    server.on("CreateWorkflow", workflow_answer(pb.CreateWorkflowResponse))
    assert weft("workflows", "validate", "-f", "-", stdin=text).exit_code == 0
    assert weft("workflows", "apply", "-f", "-", stdin=text).exit_code == 0
    assert [it.workflow.name for it in server.requests["CreateWorkflow"]] == ["greet", "trip"]


@pytest.mark.parametrize(
    "text", [PARENT, PARENT + "---" + PARENT.replace("trip", "a").replace("greet", "trip")]
)
def test_a_workflow_that_nothing_makes_is_missed(server: ScriptedServer, weft: Weft, text: str) -> None:
    """Also where others are applied with it."""
    missed = problem(path="steps[0].parallel.branches[0].steps[0].workflow.name", code="WORKFLOW_UNKNOWN")
    server.on("ValidateWorkflow", missed)
    assert weft("workflows", "apply", "-f", "-", stdin=text).exit_code == 4


def test_apply_shows_every_problem_and_stores_nothing(server: ScriptedServer, weft: Weft, file: Path) -> None:
    """A definition with an error is refused with path, message and hint, before any change."""
    found = problem(
        path="steps[0].service", code="SERVICE_UNKNOWN", message="no 'helo'", hint="did you mean 'hello'?"
    )
    server.on("ValidateWorkflow", found)
    result = weft("workflows", "apply", "-f", str(file))
    assert result.exit_code == 4
    assert f"{file}: steps[0].service: no 'helo' (did you mean 'hello'?)" in result.stderr
    assert set(server.requests) == {"ValidateWorkflow"}


def test_apply_shows_warnings_and_goes_on(server: ScriptedServer, weft: Weft, file: Path) -> None:
    """A warning stands on stderr and does not stop the change."""
    warning = problem(path="steps[0]", message="is deprecated", severity=workflow_pb2.SEVERITY_WARNING)
    server.on("ValidateWorkflow", warning)
    server.on("GetWorkflow", workflow_answer(pb.GetWorkflowResponse))
    result = weft("workflows", "apply", "-f", str(file))
    assert result.exit_code == 0
    assert result.stderr == f"Warning: {file}: steps[0]: is deprecated\n"


def test_apply_that_lost_a_race_is_a_conflict(valid: ScriptedServer, weft: Weft, file: Path) -> None:
    """Somebody else's change in between is not overwritten."""
    valid.on("GetWorkflow", workflow_answer(pb.GetWorkflowResponse, description="Old."))
    valid.on("UpdateWorkflow", ConflictError("it changed since r5"))
    assert weft("workflows", "apply", "-f", str(file)).exit_code == 5


def test_validate(server: ScriptedServer, weft: Weft, file: Path) -> None:
    """Problems are the result: a table or a document on stdout, and the exit code 4."""
    server.on("ValidateWorkflow", problem(path="steps[1].next", code="STEP_UNKNOWN", message="no step 'x'"))
    result = weft("workflows", "validate", "-f", str(file))
    assert result.exit_code == 4
    assert "steps[1].next" in result.stdout
    found = json.loads(weft("workflows", "validate", "-f", str(file), "-o", "json").stdout)
    assert found["valid"] is False
    assert found["problems"][0]["code"] == "STEP_UNKNOWN"
    assert found["problems"][0]["file"] == str(file)


def test_validate_of_a_good_file(valid: ScriptedServer, weft: Weft, file: Path) -> None:
    """Without a problem it says so and exits 0."""
    result = weft("workflows", "validate", "-f", str(file))
    assert (result.exit_code, result.stdout) == (0, "greet valid\n")


def test_list_get_and_versions(server: ScriptedServer, weft: Weft) -> None:
    """The tables name the steps, their order and their inputs."""
    server.on("ListWorkflows", pb.ListWorkflowsResponse(workflows=[workflow()], total_size=1))
    server.on("ListWorkflowVersions", pb.ListWorkflowVersionsResponse(workflows=[workflow()], total_size=1))
    server.on("GetWorkflow", workflow_answer(pb.GetWorkflowResponse))
    assert "first → second" in weft("workflows", "list").stdout
    assert "2 steps" in weft("workflows", "versions", "greet").stdout
    shown = weft("workflows", "get", "greet", "--version", "2").stdout
    assert '{"text": "${ input.a }"}' in shown
    assert server.last("GetWorkflow").version == 2


def test_a_list_names_what_its_server_cannot_read(server: ScriptedServer, weft: Weft) -> None:
    """On stderr for people, in the document for programs; the exit code is 0."""
    answer = pb.ListWorkflowsResponse(workflows=[workflow()], total_size=3, unreachable=["moon", "tide"])
    server.on("ListWorkflows", answer)
    shown = weft("workflows", "list")
    assert server.last("ListWorkflows").return_partial_success
    assert shown.stdout.splitlines()[1].startswith("greet ")
    assert shown.stderr == "Not listed, as only servers of a newer release can read them: moon, tide\n"
    document = json.loads(weft("workflows", "list", "-o", "json").stdout)
    assert (len(document["items"]), document["unreachable"]) == (1, ["moon", "tide"])


def test_delete_and_states(server: ScriptedServer, weft: Weft) -> None:
    """delete, activate and deactivate each send their request."""
    server.on("DeleteWorkflow", pb.DeleteWorkflowResponse())
    server.on("SetWorkflowState", workflow_answer(pb.SetWorkflowStateResponse))
    assert weft("workflows", "delete", "greet").stdout == "greet deleted\n"
    assert weft("workflows", "activate", "greet").stdout == "greet ACTIVE\n"
    weft("workflows", "deactivate", "greet")
    assert server.last("SetWorkflowState").state == workflow_pb2.WORKFLOW_STATE_INACTIVE


@pytest.mark.parametrize("options", [["-f", "{}", "-f", "{}"], ["{}", "{}"], ["{}", "-f", "{}"]])
def test_apply_takes_every_file(
    valid: ScriptedServer, weft: Weft, tmp_path: Path, options: list[str]
) -> None:
    """None of several files is dropped, however they are named."""
    valid.on("GetWorkflow", MISSING)
    valid.on("CreateWorkflow", workflow_answer(pb.CreateWorkflowResponse))
    names = iter(("one", "two"))
    words = [_stored(tmp_path, next(names)) if word == "{}" else word for word in options]
    assert weft("workflows", "apply", *words).exit_code == 0
    assert {it.workflow.name for it in valid.requests["CreateWorkflow"]} == {"one", "two"}
    assert weft("workflows", "validate", *words).exit_code == 0
    assert len(valid.requests["ValidateWorkflow"]) == 4


def _stored(folder: Path, name: str) -> str:
    (folder / f"{name}.yaml").write_text(GREET.replace("greet", name))
    return str(folder / f"{name}.yaml")


def test_faults_of_every_file_are_listed(valid: ScriptedServer, weft: Weft, tmp_path: Path) -> None:
    """A file with a fault hides none of another's; the summary says in which files they are."""
    good, bad, worse = (tmp_path / name for name in ("good.yaml", "bad.yaml", "worse.yaml"))
    good.write_text(GREET)
    bad.write_text("name: bad\n")
    worse.write_text("a: [\n")
    result = weft("workflows", "apply", str(good), str(bad), str(worse))
    assert result.exit_code == 4
    first, *others = result.stderr.splitlines()
    assert first == f"Error: 2 faults in {bad} and {worse}"
    assert others[0] == f"  {bad}: steps: is required"
    assert others[1].startswith(f"  {worse}: line 2")
    assert not valid.requests


def test_apply_and_validate_tell_the_same_story(server: ScriptedServer, weft: Weft, file: Path) -> None:
    """Both lay out the same findings the same way: here as the result, there as the reason of a refusal."""
    found = problem(path="steps[0].service", code="SERVICE_UNKNOWN", message="no 'helo'", hint="'hello'?")
    found.problems.add(path="steps[1].next", code="STEP_UNKNOWN", message="no step 'x'")
    server.on("ValidateWorkflow", found)
    expected = [
        f"2 faults in {file}",
        f"  {file}: steps[0].service: no 'helo' ('hello'?)",
        f"  {file}: steps[1].next: no step 'x'",
    ]
    assert weft("workflows", "validate", str(file)).stdout.splitlines() == expected
    refused = weft("workflows", "apply", str(file))
    assert refused.stderr.removeprefix("Error: ").splitlines() == expected


def test_validate_shows_warnings(server: ScriptedServer, weft: Weft, file: Path) -> None:
    """A warning does not make a definition invalid."""
    warning = problem(path="steps[0]", message="is deprecated", severity=workflow_pb2.SEVERITY_WARNING)
    server.on("ValidateWorkflow", warning)
    result = weft("workflows", "validate", "-f", str(file))
    assert (result.exit_code, result.stdout) == (
        0,
        f"greet valid\nWarning: {file}: steps[0]: is deprecated\n",
    )


STABLE = workflow_pb2.WorkflowAlias(
    name="stable",
    shares=[
        workflow_pb2.VersionShare(version=2, percent=90),
        workflow_pb2.VersionShare(version=3, percent=10),
    ],
)


def with_alias() -> workflow_pb2.Workflow:
    found = workflow()
    found.aliases.append(STABLE)
    return found


def test_an_alias_is_set(server: ScriptedServer, weft: Weft) -> None:
    """One version needs no percentage; several have theirs; what is neither is refused before it is sent."""
    server.on("SetWorkflowAlias", pb.SetWorkflowAliasResponse(workflow=with_alias()))
    result = weft("workflows", "alias", "set", "greet", "stable", "2=90", "3=10%")
    assert result.stdout == "greet@stable 2 (90 %), 3 (10 %)\n"
    assert server.last("SetWorkflowAlias").alias == STABLE
    weft("workflows", "alias", "set", "greet", "stable", "7")
    assert [(it.version, it.percent) for it in server.last("SetWorkflowAlias").alias.shares] == [(7, 100)]
    for words in (("two",), ("1", "2"), ("1=50", "1=50")):
        assert weft("workflows", "alias", "set", "greet", "stable", *words).exit_code == 2


def test_aliases_are_listed_and_deleted(server: ScriptedServer, weft: Weft) -> None:
    """`latest` is always the first; a workflow shows them too."""
    server.on("GetWorkflow", pb.GetWorkflowResponse(workflow=with_alias()))
    server.on("DeleteWorkflowAlias", pb.DeleteWorkflowAliasResponse(workflow=workflow()))
    lines = weft("workflows", "alias", "list", "greet").stdout.splitlines()
    named = dict(line.split(maxsplit=1) for line in lines[1:])
    assert named == {"latest": "2", "stable": "2 (90 %), 3 (10 %)"}
    listed = json.loads(weft("workflows", "alias", "list", "greet", "--output", "json").stdout)
    assert [item["name"] for item in listed["items"]] == ["latest", "stable"]
    assert "stable: 2 (90 %), 3 (10 %)" in weft("workflows", "get", "greet").stdout
    assert weft("workflows", "alias", "delete", "greet", "stable").stdout == "greet@stable deleted\n"


def test_workflows_are_listed_by_labels(server: ScriptedServer, weft: Weft) -> None:
    """All that are given have to fit; what is no pair is refused before it is sent."""
    server.on("ListWorkflows", pb.ListWorkflowsResponse(workflows=[workflow()], total_size=1))
    assert weft("workflows", "list", "--label", "team=x", "--label", "tier=1").exit_code == 0
    assert dict(server.last("ListWorkflows").labels) == {"team": "x", "tier": "1"}
    assert weft("workflows", "list", "--label", "team").exit_code == 2
