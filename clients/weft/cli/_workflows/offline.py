"""Checking definitions against a saved registry: the server's checks, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.cli._files.definitions import Definition, in_files, located
from weft.cli._workflows.apply import Finding
from weft.client.snapshot import Snapshot, definition_message, problems_of, read_snapshot
from weft.core.errors import InternalError, ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["load_registry", "validate_offline"]

_GROUP: Final = "weft.cli.offline"
_NAME: Final = "validate"
_MAX_BYTES: Final = 64 * 1024 * 1024


def load_registry(path: Path) -> Snapshot:
    """Read what ``weft services export`` wrote.

    Raises:
        ValidationError: The file cannot be read, or is something else.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _fault(name, f"cannot be read: {error.strerror or error}") from None
    if len(content) > _MAX_BYTES:
        raise _fault(name, f"is larger than {_MAX_BYTES:,} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise _fault(name, "is no JSON") from None
    try:
        return read_snapshot(document)
    except ValidationError as error:
        raise in_files([located(name, fault) for fault in error.violations], [name]) from None


def _fault(name: str, description: str) -> ValidationError:
    return in_files([Violation(name, description, Rule.INVALID)], [name])


def validate_offline(registry: Snapshot, definitions: Sequence[Definition]) -> list[Finding]:
    """Return every problem of every definition, in their order.

    Raises:
        ValidationError: A definition is none at all.
        InternalError: The server's checks are not installed.
    """
    messages = []
    for it in definitions:
        try:
            messages.append(definition_message(it.name, it.values))
        except ValidationError as error:
            raise in_files([located(it.label, fault) for fault in error.violations], [it.source]) from None
    answers = _checks()(messages, registry.services, registry.workflows)
    return [
        Finding(label=it.label, problem=problem)
        for it, answer in zip(definitions, answers, strict=True)
        for problem in problems_of(answer)
    ]


def _checks() -> Callable[[Any, Any, Any], list[pb.ValidateWorkflowResponse]]:
    for entry_point in entry_points(group=_GROUP, name=_NAME):
        found: Callable[[Any, Any, Any], list[pb.ValidateWorkflowResponse]] = entry_point.load()
        return found
    raise InternalError("this installation has no checks of its own; leave out --registry to ask a server")
