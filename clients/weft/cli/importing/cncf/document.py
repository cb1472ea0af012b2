"""What all tasks of a document share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weft.cli.importing.cncf import jq
from weft.cli.importing.nodes import Expr, Missing, Node, Record, node_of
from weft.cli.importing.notes import Notes

__all__ = ["Document"]


@dataclass(slots=True, kw_only=True)
class Document:
    """A workflow of the format."""

    source: Mapping[str, Any]
    """As it was read."""
    notes: Notes
    """What is to be known."""
    mapping: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What is called instead of what the rule says."""
    called: set[tuple[str, str]] = field(default_factory=set)
    """Services and actions that are called."""

    def use(self, kind: str) -> Mapping[str, Any]:
        """Return what is defined once under ``use``."""
        found = self.source.get("use", {}).get(kind, {})
        return found if isinstance(found, dict) else {}

    def names(self) -> dict[str, Node]:
        """Return the variables that every expression sees."""
        head = self.source["document"]
        workflow = Record(
            {
                "id": Expr("execution.id"),
                "input": Expr("input", object=True),
                "startedAt": Record({"iso8601": Expr("execution.create_time")}),
                "definition": Record({"document": node_of(head)}),
            }
        )
        exported = _has_export(self.source.get("do"))
        context = Expr("vars.context") if exported else Missing("$context is never exported")
        return {"$workflow": workflow, "$context": context}

    def result(self, state: Node) -> Node:
        """Return what the workflow gives for the data at its end."""
        output = self.source.get("output", {})
        if not isinstance(output, dict) or "as" not in output:
            return state
        return jq.value_of(output["as"], {**self.names(), ".": state}, "output.as", self.notes.lost)


def _has_export(value: Any) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if isinstance(each.get("export"), dict):
                return True
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return False
