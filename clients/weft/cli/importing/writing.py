"""Definitions as YAML, with what is to be known about them as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from weft.cli._files.comments import Comments
from weft.cli._files.forms import tidied
from weft.cli._files.workflow_shape import WORKFLOW
from weft.cli._files.yaml_text import write_document
from weft.cli.importing.notes import Note
from weft.core.errors import ValidationError

__all__ = ["HEAD", "as_yaml"]

HEAD: Final = "# Imported from"
"""What a file that was written begins with."""


def as_yaml(definitions: Sequence[Mapping[str, Any]], origin: str, notes: Sequence[Note]) -> str:
    """Write definitions, each a document of its own, in the form of ``weft workflows format``."""
    heads = [_comment(origin, notes), *([] for _ in definitions[1:])]
    return "---\n".join(
        write_document(_tidied(definition), Comments(head=head))
        for definition, head in zip(definitions, heads, strict=True)
    )


def _tidied(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put members in order; what is not well formed, as its source was not, is written as it is."""
    try:
        return tidied(WORKFLOW, WORKFLOW.read(definition, ""))
    except ValidationError:
        return definition


def _comment(origin: str, notes: Sequence[Note]) -> list[str]:
    lines = [f"{HEAD} {_plain(origin)}."]
    for note in notes:
        lines += textwrap.wrap(_plain(note.text), 110, initial_indent="# - ", subsequent_indent="#   ")
    return lines


def _plain(text: str) -> str:
    """Keep a comment a comment, whatever the source holds."""
    return "".join(char if char.isprintable() else " " for char in text)
