"""The States Language of Amazon, as definitions of Weft.

- ``form``: whether a document is a state machine.
- ``machine``: a machine as a list of steps; ``simple``, ``tasks``, ``containers``: its states.
- ``data``, ``paths``, ``intrinsics``, ``choices``: the JSONPath flavour; ``jsonata``: the other.
- ``errors``, ``resources``: Retry and Catch; what a Task calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.cli.importing.asl.form import check_machine
from weft.cli.importing.asl.machine import Document, Machine
from weft.cli.importing.naming import Namer
from weft.cli.importing.nodes import Expr
from weft.cli.importing.notes import Imported, Notes
from weft.cli.importing.pieces import Scope

__all__ = ["import_asl"]

_YEAR = 31_536_000


def import_asl(document: dict[str, Any], name: str, mapping: Mapping[str, Mapping[str, Any]]) -> Imported:
    """Return what a state machine becomes.

    Args:
        document: The machine.
        name: What the workflow is called.
        mapping: What resources become: ``service``, ``action`` and ``member`` by their ARN,
            which may hold ``*``.

    Raises:
        ValidationError: The document is no state machine.
    """
    check_machine(document)
    notes = Notes()
    shared = Document(name=name, mapping=mapping)
    machine = Machine(shared, document, "", Scope(notes=notes, ids=Namer(), names=Namer()))
    steps, _ = machine.build(Expr("input", object=True))
    definition: dict[str, Any] = {"name": name, "steps": steps}
    if isinstance(document.get("Comment"), str):
        definition["description"] = document["Comment"]
    _timeout(document, definition, notes)
    return Imported(definitions=[definition, *shared.definitions], notes=notes.all)


def _timeout(document: dict[str, Any], definition: dict[str, Any], notes: Notes) -> None:
    seconds = document.get("TimeoutSeconds")
    if isinstance(seconds, int) and seconds > 0:
        definition["timeout"] = f"{min(seconds, _YEAR)}s"
        if seconds > _YEAR:
            notes.check("TimeoutSeconds", "is cut to a year, the longest that an execution may take")
