"""Serverless Workflow 1.0 of the CNCF, as definitions of Weft.

- ``form``: whether a document is a workflow of the format.
- ``plan``: tasks in tasks, as one flat plan; ``tasks``: a plan as a list of steps.
- ``simple``, ``calls``, ``events``, ``holders``: the tasks; ``errors``, ``durations``.
- ``jq``: runtime expressions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weft.cli.importing.cncf import jq
from weft.cli.importing.cncf.document import Document
from weft.cli.importing.cncf.durations import as_text, seconds_of
from weft.cli.importing.cncf.form import check_document
from weft.cli.importing.cncf.plan import plan_of
from weft.cli.importing.cncf.tasks import Tasks
from weft.cli.importing.flow import Flow
from weft.cli.importing.naming import Namer, service_name
from weft.cli.importing.nodes import Expr, Node
from weft.cli.importing.notes import Imported, Notes
from weft.cli.importing.pieces import Scope

__all__ = ["import_cncf"]

_YEAR: Final = 31_536_000.0
_KNOWN: Final = frozenset(["document", "input", "use", "do", "timeout", "output", "schedule", "evaluate"])
_NOT_THERE: Final = {
    "authentications": "whoever registers a service says how it is reached",
    "secrets": "definitions hold no secrets; services have their own",
    "extensions": "nothing runs before and behind every task",
    "catalogs": "functions of a catalogue are services that somebody registers",
}


def import_cncf(document: dict[str, Any], name: str, mapping: Mapping[str, Mapping[str, Any]]) -> Imported:
    """Return what a workflow becomes.

    Args:
        document: The workflow.
        name: What it is called, unless the document says so.
        mapping: What is called instead of what the rule says: ``service``, ``action``, ``member``
            and ``result`` by what is called, which may hold ``*``.

    Raises:
        ValidationError: The document is no workflow of the format.
    """
    check_document(document)
    notes = Notes()
    shared = Document(source=document, notes=notes, mapping=mapping)
    definition = _head(document, name, notes)
    _lost(document, notes)
    scope = Scope(notes=notes, ids=Namer(), names=Namer({"context"}))
    entry, plan = plan_of(document["do"], "do", top=True, names={})
    flow = Flow(scope, Tasks(shared, plan, scope), plan)
    steps, ends = flow.open(entry, _entered(document, shared))
    for end in ends:
        end.state = shared.result(end.state)
    flow.finish(steps, ends)
    for key, vertex in plan.items():
        if key not in flow.reached and vertex.role == "task":
            notes.check(vertex.path, "nothing leads to this task; it is left out")
    return Imported(definitions=[{**definition, "steps": steps}], notes=notes.all)


def _entered(document: Mapping[str, Any], shared: Document) -> Node:
    state: Node = Expr("input", object=True)
    given = document.get("input", {})
    if "from" not in given:
        return state
    return jq.value_of(given["from"], {**shared.names(), ".": state}, "input.from", shared.notes.lost)


def _head(document: Mapping[str, Any], name: str, notes: Notes) -> dict[str, Any]:
    head = document["document"]
    definition: dict[str, Any] = {"name": name or service_name(head["name"], "workflow")}
    texts = [head[key] for key in ("title", "summary") if isinstance(head.get(key), str)]
    if texts:
        definition["description"] = "\n\n".join(text.strip() for text in texts)
    metadata = {key: head[key] for key in ("namespace", "version", "tags", "metadata") if key in head}
    if metadata:
        definition["metadata"] = metadata
    for member, own in (("input", "input_schema"), ("output", "output_schema")):
        schema = document.get(member, {}).get("schema")
        if isinstance(schema, dict) and isinstance(schema.get("document"), dict):
            definition[own] = schema["document"]
        elif schema is not None:
            notes.lost(f"{member}.schema", "only a schema that stands in the document is taken")
    _timeout(document, definition, notes)
    return definition


def _timeout(document: Mapping[str, Any], definition: dict[str, Any], notes: Notes) -> None:
    given = document.get("timeout")
    if given is None:
        return
    defined = document.get("use", {}).get("timeouts", {})
    found = defined.get(given) if isinstance(given, str) else given
    seconds = seconds_of(found.get("after")) if isinstance(found, dict) else None
    if seconds:
        definition["timeout"] = as_text(min(seconds, _YEAR))
    else:
        notes.lost("timeout", "is no fixed duration")


def _lost(document: Mapping[str, Any], notes: Notes) -> None:
    for name in document:
        if name not in _KNOWN:
            notes.lost(name, "is no member that is known here")
    if "schedule" in document:
        notes.lost("schedule", "a workflow is started by schedules beside it: see `weft schedules`")
    language = document.get("evaluate", {}).get("language", "jq")
    if language != "jq":
        notes.lost("evaluate.language", f"expressions are read as jq, and not as {language}"[:100])
    for name, why in _NOT_THERE.items():
        if document.get("use", {}).get(name):
            notes.lost(f"use.{name}", why)
