"""The workflows that stand in the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from weft.cli._files.definitions import read_workflows
from weft.client._writing.workflow import workflow as written
from weft.server.requests import Faults
from weft.server.workflow.model import Definition
from weft.server.workflow.wire.convert import definition_from_proto

__all__ = ["called", "definition", "examples"]

PAGE = Path(__file__).parents[3] / "docs" / "workflows.md"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, str]:
    """Return every whole workflow of the page, by its name."""
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    whole = [text for text in blocks if re.search(r"^name: ", text, re.MULTILINE) and "\nsteps:" in text]
    return {re.findall(r"^name: (.*)$", text, re.MULTILINE)[0]: text for text in whole}


def definition(text: str, file: Path) -> tuple[Definition, dict[str, Any]]:
    """Read a workflow as the command and the server do; return it with what the file says."""
    file.write_text(text, encoding="utf-8")
    (found,) = read_workflows([str(file)])
    values = {"name": found.name, **found.values}
    faults = Faults()
    made = definition_from_proto(written(values), faults)
    assert faults.found == []
    return made, values


def called(made: Definition) -> dict[str, list[str]]:
    """Return the actions that a definition calls, by their service."""
    found: dict[str, set[str]] = {}
    for step in made.every_step():
        if step.does is None:
            found.setdefault(step.service, set()).add(step.action)
        if step.compensate is not None:
            found.setdefault(step.compensate.service or step.service, set()).add(step.compensate.action)
    return {name: sorted(actions) for name, actions in found.items()}
