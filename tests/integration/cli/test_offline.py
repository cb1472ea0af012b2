"""``weft services export``, and ``weft workflows validate --registry`` without any server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import service, services
from tests.integration.cli.scripted import ScriptedServer
from weft.api.workflow.v1 import workflow_service_pb2 as workflow_pb

pytestmark = pytest.mark.integration

REGISTRY = {
    "weft_registry": 1,
    "services": [{"name": "shop", "actions": [{"name": "price"}]}],
    "workflows": [{"name": "refund", "steps": [{"id": "a", "service": "shop", "action": "price"}]}],
}
FINE = """
name: order
steps: [{id: a, service: shop, action: price, next: b}, {id: b, workflow: {name: refund}}]
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(REGISTRY))
    return path


def test_a_definition_is_checked_without_a_server(weft: Weft, registry: Path, tmp_path: Path) -> None:
    """Services and workflows are those of the file; nothing is asked of the network."""
    file = tmp_path / "order.yaml"
    file.write_text(FINE)
    result = weft("--target", "127.0.0.1:9", "workflows", "validate", "--registry", str(registry), str(file))
    assert (result.exit_code, result.stdout) == (0, "order valid\n")


def test_problems_are_those_that_a_server_finds(weft: Weft, registry: Path, tmp_path: Path) -> None:
    """With path and hint; the exit code says that it is not valid."""
    file = tmp_path / "order.yaml"
    file.write_text(FINE.replace("price,", "prize,").replace("refund", "refud"))
    result = weft("workflows", "validate", "--registry", str(registry), str(file))
    assert result.exit_code == 4
    assert [line.partition(": ")[2] for line in result.stdout.splitlines()[1:]] == [
        "steps[0].action: the service 'shop' has no action 'prize' (did you mean 'price'?)",
        "steps[1].workflow.name: there is no workflow 'refud' (did you mean 'refund'?)",
    ]
    shown = json.loads(
        weft("workflows", "validate", "--registry", str(registry), str(file), "-o", "json").stdout
    )
    assert [it["code"] for it in shown["problems"]] == ["ACTION_UNKNOWN", "WORKFLOW_UNKNOWN"]
    assert not shown["valid"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "is no saved registry"),
        ('{"weft_registry": 1, "services": 5}', "services: is not a list"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_a_file_that_is_no_saved_registry(weft: Weft, tmp_path: Path, content: str, words: str) -> None:
    """It is told what is wrong with it, and the exit code is that of input that is not valid."""
    registry, file = tmp_path / "registry.json", tmp_path / "order.yaml"
    registry.write_text(content)
    file.write_text(FINE)
    result = weft("workflows", "validate", "--registry", str(registry), str(file))
    assert result.exit_code == 4
    assert words in result.stderr
    missing = weft("workflows", "validate", "--registry", str(tmp_path / "none"), str(file))
    assert missing.exit_code == 4
    assert "cannot be read" in missing.stderr


def test_export_writes_what_validate_reads(server: ScriptedServer, weft: Weft, tmp_path: Path) -> None:
    """One JSON document, also for people."""
    server.on("ListServices", services(service()))
    server.on("ListWorkflows", workflow_pb.ListWorkflowsResponse())
    result = weft("services", "export")
    found = json.loads(result.stdout)
    assert found["weft_registry"] == 1
    assert [it["name"] for it in found["services"]] == ["sentiment"]
    assert set(found["services"][0]) == {"name", "state", "actions"}
    registry, file = tmp_path / "registry.json", tmp_path / "one.yaml"
    registry.write_text(result.stdout)
    file.write_text("{name: one, steps: [{id: a, service: sentiment, action: analyse}]}")
    told = weft("workflows", "validate", "--registry", str(registry), str(file))
    assert "did you mean 'analyze'?" in told.stdout
