"""``weft workflows format``: files in one form, without a change of what they mean."""

from __future__ import annotations

import json
from typing import Any

from weft.cli._base.documents import LOADER, documents_of, is_json, text_of
from weft.cli._base.sources import source_name
from weft.cli._files.comments import read_comments
from weft.cli._files.definitions import check_size, in_files, located
from weft.cli._files.forms import tidied
from weft.cli._files.workflow_shape import WORKFLOW
from weft.cli._files.yaml_text import write_document
from weft.core.errors import ValidationError, Violation

__all__ = ["formatted"]


def formatted(data: bytes, source: str) -> str:
    """Return the text of a file in the one form.

    Raises:
        ValidationError: It is no file of workflows; everything that is wrong with its form.
    """
    documents = _read(data, source)
    if is_json(data, source):
        return json.dumps(documents[0], indent=2, ensure_ascii=False) + "\n"
    comments = read_comments(text_of(data, source_name(source)), LOADER)
    return "---\n".join(write_document(it, found) for it, found in zip(documents, comments, strict=True))


def _read(data: bytes, source: str) -> list[dict[str, Any]]:
    faults: list[Violation] = []
    found: list[dict[str, Any]] = []
    for label, document in documents_of(data, source):
        try:
            check_size(document)
            found.append(tidied(WORKFLOW, WORKFLOW.read(document, "")))
        except ValidationError as error:
            faults.extend(located(label, violation) for violation in error.violations)
    if faults:
        raise in_files(faults, [source_name(source)])
    return found
