"""``weft services`` against a real gRPC server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import instance, service, services
from tests.integration.cli.scripted import ScriptedServer
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.api.workflow.v1 import workflow_pb2
from weft.core.errors import AlreadyExistsError
from weft.core.payload import from_payload
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration


def test_list_shows_a_plain_table(server: ScriptedServer, weft: Weft) -> None:
    """Piped, a table has no ANSI codes, no frame and no wrapped line."""
    server.on("ListServices", services(service(description="\x1b[31mred\x1b[0m"), service("x" * 60)))
    result = weft("services", "list")
    assert result.exit_code == 0
    head, first, second = result.stdout.splitlines()
    assert head.split() == ["NAME", "STATE", "HEALTH", "INSTANCES", "ACTIONS", "ENDPOINT", "UPDATED"]
    assert first.startswith("sentiment")
    assert "analyze" in first
    assert second.startswith("x" * 60 + "  ACTIVE")
    assert "\x1b" not in result.stdout


def test_list_as_json_is_one_document(server: ScriptedServer, weft: Weft) -> None:
    """JSON of a list has the items, the next token and the total, and nothing else is on stdout."""
    server.on("ListServices", services(service(), token="t1", total=7))
    result = weft("services", "list", "--output", "json", "--limit", "1", "--state", "ACTIVE")
    found = json.loads(result.stdout)
    assert (found["next_page_token"], found["total_size"]) == ("t1", 7)
    assert found["items"][0]["name"] == "sentiment"
    assert found["items"][0]["actions"][0]["input_schema"]["required"] == ["text"]
    assert server.last("ListServices").page_size == 1
    assert server.last("ListServices").state == registry_pb2.SERVICE_STATE_ACTIVE


def test_list_as_yaml(server: ScriptedServer, weft: Weft) -> None:
    """YAML holds the same document as JSON."""
    server.on("ListServices", services(service()))
    as_json = json.loads(weft("services", "list", "-o", "json").stdout)
    assert yaml.safe_load(weft("services", "list", "-o", "yaml").stdout) == as_json


def test_list_says_how_to_see_more(server: ScriptedServer, weft: Weft) -> None:
    """A page that is not the last says so on stderr."""
    server.on("ListServices", services(service(), token="t1", total=7))
    result = weft("services", "list")
    assert "1 of 7 shown" in result.stderr
    assert "--page-token t1" in result.stderr
    assert "t1" not in result.stdout


@pytest.mark.parametrize("before", [True, False])
def test_global_options_work_on_both_sides(server: ScriptedServer, weft: Weft, before: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """--output and --target are taken before and after the command."""
    server.on("ListServices", services())
    options = ["--output", "json", "--target", server.target]
    words = ["services", "list"]
    result = weft(*options, *words) if before else weft(*words, *options)
    assert json.loads(result.stdout)["items"] == []


def test_the_later_option_wins(server: ScriptedServer, weft: Weft) -> None:
    """What is said after the command overrides what is said before it."""
    server.on("ListServices", services())
    result = weft("-t", "127.0.0.1:1", "services", "list", "-t", server.target, "-o", "json")
    assert result.exit_code == 0


def test_get_shows_actions_and_instances(server: ScriptedServer, weft: Weft) -> None:
    """The table of one service has its actions, with required names starred, and its instances."""
    server.on("GetService", pb.GetServiceResponse(service=service(endpoint="http://127.0.0.1:8080")))
    server.on("ListInstances", pb.ListInstancesResponse(instances=[instance()]))
    result = weft("services", "get", "sentiment")
    assert "Endpoint: http://127.0.0.1:8080" in result.stdout.splitlines()
    assert "text*: any" in result.stdout
    assert "grpc://127.0.0.1:9000" in result.stdout


def test_list_shows_who_is_there(server: ScriptedServer, weft: Weft) -> None:
    """A service that is registered and dead does not look alive; one request asks for all."""
    dead = registry_pb2.HEALTH_STATUS_UNHEALTHY
    health = registry_pb2.ServiceHealth(service_id=service().id, service="sentiment", health=dead)
    server.on("ListServices", services(service()))
    server.on("GetIntegrationHealth", pb.GetIntegrationHealthResponse(health=dead, services=[health]))
    row = weft("services", "list").stdout.splitlines()[1]
    assert row.split()[:4] == ["sentiment", "ACTIVE", "UNHEALTHY", "0"]
    assert len(server.requests["GetIntegrationHealth"]) == 1


def test_get_says_that_nobody_is_there(server: ScriptedServer, weft: Weft) -> None:
    """Without an instance it says so; the limit of an action is shown."""
    found = service()
    found.actions[0].timeout.FromSeconds(90)
    server.on("GetService", pb.GetServiceResponse(service=found))
    server.on("ListInstances", pb.ListInstancesResponse())
    lines = weft("services", "get", "sentiment").stdout.splitlines()
    assert lines[-1] == "no instances"
    assert "1m30s" in next(line for line in lines if line.startswith("analyze"))


def test_get_as_json_is_the_record(server: ScriptedServer, weft: Weft) -> None:
    """JSON of one service is the service alone."""
    server.on("GetService", pb.GetServiceResponse(service=service()))
    assert json.loads(weft("services", "get", "sentiment", "-o", "json").stdout)["etag"] == "r3"


SERVICE_FILE = """
name: sentiment
endpoint: http://127.0.0.1:8080
actions:
  - name: analyze
    timeout: 1m30s
    idempotent: true
    input_schema: {type: object}
"""


def test_register_sends_what_the_file_says(server: ScriptedServer, weft: Weft, tmp_path: Path) -> None:
    """Every key of the file arrives, durations included."""
    server.on("RegisterService", pb.RegisterServiceResponse(service=service()))
    file = tmp_path / "service.yaml"
    file.write_text(SERVICE_FILE)
    result = weft("services", "register", "-f", str(file), "--replace")
    assert result.stdout == "sentiment registered (1 action, revision 3)\n"
    sent = server.last("RegisterService")
    assert sent.on_conflict == pb.CONFLICT_POLICY_REPLACE
    assert sent.service.endpoint == "http://127.0.0.1:8080"
    assert sent.service.actions[0].timeout.seconds == 90
    assert sent.service.actions[0].idempotent
    assert from_payload(sent.service.actions[0].input_schema) == {"type": "object"}


def test_register_says_what_it_breaks(server: ScriptedServer, weft: Weft, tmp_path: Path) -> None:
    """Each workflow with its first problem; --reject-breaking asks the server to refuse that."""
    problem = workflow_pb2.Problem(path="steps[1]", code="INPUT_MISSING", message="'a' is missing")
    broken = pb.BrokenWorkflow(workflow="orders", version=3, open_executions=2, problems=[problem])
    server.on("RegisterService", pb.RegisterServiceResponse(service=service(), broken=[broken]))
    file = tmp_path / "service.yaml"
    file.write_text(SERVICE_FILE)
    result = weft("services", "register", "-f", str(file), "--replace", "--reject-breaking")
    assert result.stdout.splitlines() == [
        "sentiment registered (1 action, revision 3)",
        "  breaks orders@3 (2 open executions)",
        "    steps[1]: 'a' is missing",
    ]
    assert server.last("RegisterService").reject_breaking
    shown = json.loads(weft("services", "register", "-f", str(file), "-o", "json").stdout)
    assert shown["items"][0]["broken"][0]["workflow"] == "orders"
    assert not server.last("RegisterService").reject_breaking


def test_register_by_address(server: ScriptedServer, weft: Weft, tmp_path: Path) -> None:
    """With a name and no file; everything else is left to the server."""
    descriptors = tmp_path / "carts.binpb"
    descriptors.write_bytes(b"\x0a\x00")
    server.on("RegisterService", pb.RegisterServiceResponse(service=service()))
    words = ["carts", "--endpoint", "grpc://127.0.0.1:1", "--version", "2.0.0", "--replace"]
    words += ["--descriptor-set", str(descriptors), "--grpc-service", "a.A", "--grpc-service", "b.B"]
    assert weft("services", "register", *words).exit_code == 0
    sent = server.last("RegisterService")
    assert (sent.service.name, sent.service.endpoint) == ("carts", "grpc://127.0.0.1:1")
    assert (sent.service.version, sent.service.descriptor_set) == ("2.0.0", b"\x0a\x00")
    assert list(sent.grpc_services) == ["a.A", "b.B"]
    assert sent.on_conflict == pb.CONFLICT_POLICY_REPLACE


def test_register_says_that_nothing_can_be_called(server: ScriptedServer, weft: Weft) -> None:
    """An address of HTTP says nothing of itself; without a file of its actions there are none."""
    bare = registry_pb2.Service(name="web", revision=1, endpoint="http://a:1")
    server.on("RegisterService", pb.RegisterServiceResponse(service=bare))
    result = weft("services", "register", "web", "--endpoint", "http://a:1")
    assert (result.exit_code, result.stdout) == (0, "web registered (0 actions, revision 1)\n")
    assert result.stderr == "It has no actions, so nothing of it can be called; a file names those of HTTP.\n"


def test_register_by_address_needs_one_name(weft: Weft, tmp_path: Path) -> None:
    """No name, two names, a file beside it, a set that cannot be read: usage errors, and nothing is sent."""
    for words in (
        ("--endpoint", "grpc://h:1"),
        ("a", "b", "--endpoint", "grpc://h:1"),
        ("-f", "a.yaml", "--endpoint", "grpc://h:1"),
        ("a", "--descriptor-set", str(tmp_path / "none.binpb")),
    ):
        assert weft("services", "register", *words).exit_code == 2


def test_get_shows_the_other_versions(server: ScriptedServer, weft: Weft) -> None:
    """Each with its own actions."""
    found = service(version="2.0.0")
    other = registry_pb2.ServiceVersion(version="1.4.2", actions=[registry_pb2.Action(name="analyze-old")])
    found.other_versions.append(other)
    server.on("GetService", pb.GetServiceResponse(service=found))
    server.on("ListInstances", pb.ListInstancesResponse())
    shown = weft("services", "get", "sentiment").stdout
    assert "Version 1.4.2, side by side:" in shown
    assert "analyze-old" in shown
    found_json = json.loads(weft("services", "get", "sentiment", "-o", "json").stdout)
    assert found_json["other_versions"][0]["version"] == "1.4.2"


def test_register_of_a_taken_name_is_a_conflict(server: ScriptedServer, weft: Weft) -> None:
    """The server's refusal is the exit code 5."""
    server.on("RegisterService", AlreadyExistsError("'sentiment' exists", reason=Reason.SERVICE_EXISTS))
    result = weft("services", "register", "-f", "-", stdin='{"name": "sentiment"}')
    assert result.exit_code == 5
    assert result.stderr.splitlines() == [
        "Error: 'sentiment' exists",
        "Hint: --replace changes a service that is registered.",
    ]
    assert server.last("RegisterService").on_conflict != pb.CONFLICT_POLICY_REPLACE


def test_deregister(server: ScriptedServer, weft: Weft) -> None:
    """A removal says what was removed, for people and for programs."""
    server.on("DeregisterService", pb.DeregisterServiceResponse())
    assert weft("services", "deregister", "sentiment", "--etag", "r3").stdout == "sentiment deregistered\n"
    assert server.last("DeregisterService").etag == "r3"
    weft("services", "deregister", "sentiment", "--version", "1")
    assert server.last("DeregisterService").version == "1"
    found = json.loads(weft("services", "deregister", "sentiment", "-o", "json").stdout)
    assert found == {"name": "sentiment", "outcome": "deregistered"}


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        ("activate", registry_pb2.SERVICE_STATE_ACTIVE),
        ("deactivate", registry_pb2.SERVICE_STATE_INACTIVE),
    ],
)
def test_state_changes(
    server: ScriptedServer, weft: Weft, verb: str, state: registry_pb2.ServiceState.ValueType
) -> None:
    """Activate and deactivate move the service to the state of that name."""
    server.on("SetServiceState", pb.SetServiceStateResponse(service=service()))
    assert weft("services", verb, "sentiment").exit_code == 0
    assert server.last("SetServiceState").state == state
