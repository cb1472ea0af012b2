"""What an import gives is a definition that the server takes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.importing.examples import ASL, CNCF, golden
from weft.cli._files.definitions import Definition as Written
from weft.cli._files.definitions import read_workflows
from weft.cli._files.format import formatted
from weft.client._writing.workflow import workflow
from weft.server.registry.model import Action, Service, ServiceState
from weft.server.requests import Faults
from weft.server.workflow.checks.checks import find_problems
from weft.server.workflow.model import Definition, Severity
from weft.server.workflow.wire.convert import definition_from_proto

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLES = [*ASL, *CNCF]


def definition_of(written: Written) -> Definition:
    faults = Faults()
    found = definition_from_proto(workflow({"name": written.name, **written.values}), faults)
    faults.raise_any()
    return found


def services_of(definition: Definition) -> dict[str, Service]:
    """Give a registry of all that is called, with schemas that take anything."""
    called: dict[str, set[str]] = {}
    for step in definition.every_step():
        if step.service:
            called.setdefault(step.service, set()).add(step.action)
    return {
        name: Service(
            id=f"svc_{name}",
            name=name,
            actions=tuple(Action(name=action, input_schema=None, output_schema=None) for action in actions),
            state=ServiceState.ACTIVE,
            create_time=NOW,
            update_time=NOW,
        )
        for name, actions in called.items()
    }


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_example_is_valid(file: Path) -> None:
    """Once the services that it names are registered."""
    for written in read_workflows([str(golden(file))]):
        definition = definition_of(written)
        problems = find_problems(definition, services_of(definition))
        assert [each for each in problems if each.severity is Severity.ERROR] == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_example_is_in_the_one_form(file: Path) -> None:
    """`weft workflows format` changes nothing of it."""
    text = golden(file).read_text(encoding="utf-8")
    assert formatted(text.encode(), golden(file).name) == text
