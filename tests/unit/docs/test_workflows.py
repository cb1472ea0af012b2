"""The workflows of the documentation are ones: each can be read, checked and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from tests.support.kinds import EVERYTHING
from tests.unit.docs.pages import called, definition, examples
from tests.unit.workflow.builders import action, service, services
from weft.cli._base.documents import LOADER
from weft.cli._drawing.graph import graphs_of
from weft.cli._drawing.svg import svg
from weft.cli._files.forms import tidied
from weft.cli._files.schema_file import SCHEMA_FILE
from weft.cli._files.workflow_shape import WORKFLOW
from weft.core.definitions import STEP_KINDS
from weft.server.workflow.checks.checks import find_problems
from weft.server.workflow.model import Severity

SCHEMA = jsonschema_rs.validator_for(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


EXAMPLES = {**examples(), "everything": EVERYTHING}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_workflow(name: str, tmp_path: Path) -> None:
    """With services of any schema, nothing is wrong with it; editors agree, and it can be drawn."""
    made, values = definition(EXAMPLES[name], tmp_path / "w.yaml")
    known = services(*(service(it, *map(action, actions)) for it, actions in called(made).items()))
    problems = find_problems(made, known, name=name)
    assert [it for it in problems if it.severity is Severity.ERROR] == []
    assert [str(error) for error in SCHEMA.iter_errors(yaml.load(EXAMPLES[name], Loader=LOADER))] == []
    assert svg(graphs_of(tidied(WORKFLOW, values)), name).endswith("</svg>\n")


def test_every_kind_has_an_example(tmp_path: Path) -> None:
    """Of its own, not only in the one that has everything."""
    shown = [definition(text, tmp_path / "w.yaml")[0] for text in examples().values()]
    kinds = {step.kind for made in shown for step in made.every_step()}
    assert kinds == {"action", *STEP_KINDS}
