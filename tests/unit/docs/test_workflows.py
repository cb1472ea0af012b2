"""The workflows of the documentation are ones: each can be read, checked and drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.support.kinds import EVERYTHING
from tests.unit.workflow.builders import action, service, services
from weft.cli._definitions import read_workflows
from weft.cli._documents import LOADER
from weft.cli._forms import tidied
from weft.cli._graph import graphs_of
from weft.cli._schema_file import SCHEMA_FILE
from weft.cli._svg import svg
from weft.cli._workflow_shape import WORKFLOW
from weft.client._workflow_to_proto import workflow as written
from weft.core.definitions import STEP_KINDS
from weft.server.requests import Faults
from weft.server.workflow.checks import find_problems
from weft.server.workflow.convert import definition_from_proto
from weft.server.workflow.model import Definition, Severity

DOCS = Path(__file__).parents[3] / "docs"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCHEMA = jsonschema_rs.validator_for(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def examples() -> dict[str, str]:
    """Return every whole workflow of the page, by its name."""
    blocks = BLOCK.findall((DOCS / "workflows.md").read_text(encoding="utf-8"))
    whole = [text for text in blocks if re.search(r"^name: ", text, re.MULTILINE) and "\nsteps:" in text]
    return {re.findall(r"^name: (.*)$", text, re.MULTILINE)[0]: text for text in whole}


EXAMPLES = {**examples(), "everything": EVERYTHING}


def definition(text: str, file: Path) -> tuple[Definition, dict[str, Any]]:
    file.write_text(text)
    (found,) = read_workflows([str(file)])
    faults = Faults()
    made = definition_from_proto(written({"name": found.name, **found.values}), faults)
    assert faults.found == []
    return made, {"name": found.name, **found.values}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_workflow(name: str, tmp_path: Path) -> None:
    """With services of any schema, nothing is wrong with it; editors agree, and it can be drawn."""
    made, values = definition(EXAMPLES[name], tmp_path / "w.yaml")
    called: dict[str, set[str]] = {}
    for step in made.every_step():
        if step.does is None:
            called.setdefault(step.service, set()).add(step.action)
        if step.compensate is not None:
            called.setdefault(step.compensate.service or step.service, set()).add(step.compensate.action)
    known = services(*(service(it, *map(action, sorted(actions))) for it, actions in called.items()))
    problems = find_problems(made, known, name=name)
    assert [it for it in problems if it.severity is Severity.ERROR] == []
    assert [str(error) for error in SCHEMA.iter_errors(yaml.load(EXAMPLES[name], Loader=LOADER))] == []
    assert svg(graphs_of(tidied(WORKFLOW, values)), name).endswith("</svg>\n")


def test_every_kind_has_an_example(tmp_path: Path) -> None:
    """Of its own, not only in the one that has everything."""
    shown = [definition(text, tmp_path / "w.yaml")[0] for text in examples().values()]
    kinds = {step.kind for made in shown for step in made.every_step()}
    assert kinds == {"action", *STEP_KINDS}
