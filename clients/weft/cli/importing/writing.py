"""Definitions as YAML, with what is to be known about them as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from weft.cli.importing.notes import Note

__all__ = ["as_yaml", "in_order"]

_ORDER: Final = [
    "id",
    "name",
    "until",
    "while",
    "max_iterations",
    "items",
    "max_concurrency",
    "tolerated_failures",
    "join",
    "description",
    "service",
    "action",
    "service_version",
    "input",
    "set",
    "switch",
    "parallel",
    "map",
    "loop",
    "wait",
    "signal",
    "approval",
    "workflow",
    "emit",
    "fail",
    "succeed",
    "output",
    "timeout",
    "heartbeat_timeout",
    "schedule_to_close_timeout",
    "retry",
    "on_error",
    "compensate",
    "cache",
    "limit",
    "at_most_once",
    "next",
    "metadata",
    "labels",
    "input_schema",
    "output_schema",
    "defaults",
    "concurrency",
    "retention",
    "search_attributes",
    "steps",
    "finally",
]
_RANK: Final = {name: rank for rank, name in enumerate(_ORDER)}


def as_yaml(definitions: Sequence[Mapping[str, Any]], origin: str, notes: Sequence[Note]) -> str:
    """Write definitions, each a document of its own."""
    head = "".join(f"# {line}\n" for line in _comment(origin, notes))
    return head + "---\n".join(_dump(in_order(definition)) for definition in definitions)


def _comment(origin: str, notes: Sequence[Note]) -> list[str]:
    lines = [f"Imported from {_plain(origin)}."]
    for note in notes:
        lines += textwrap.wrap(_plain(note.text), 110, initial_indent="- ", subsequent_indent="  ")
    return lines


def _plain(text: str) -> str:
    """Keep a comment a comment, whatever the source holds."""
    return "".join(char if char.isprintable() else " " for char in text)


def in_order(value: Any) -> Any:
    """Return a definition with the members of each step in the order that people read them."""
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "id" not in value and "steps" not in value:
        return {
            name: in_order(item) if name in {"branches", "steps"} else item for name, item in value.items()
        }
    names = sorted(value, key=lambda name: _RANK.get(name, len(_RANK)))
    return {name: in_order(value[name]) if name in _HOLDERS else value[name] for name in names}


_HOLDERS: Final = frozenset(["steps", "finally", "parallel", "map", "loop"])


class _Dumper(yaml.SafeDumper):
    """Writes lists inside of objects indented, and no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - the base's signature
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base's signature
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value and all(line == line.rstrip() for line in value.split("\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _dump(definition: Mapping[str, Any]) -> str:
    return yaml.dump(definition, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
