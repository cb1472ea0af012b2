"""Files that define workflows and services, checked as a whole: every fault at once.

Only the form is checked here: known keys, their types, durations. What a
definition means is the server's to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

from weft.cli._base.documents import read_documents
from weft.cli._base.sources import source_name
from weft.cli._files.schedule_shape import SCHEDULE
from weft.cli._files.service_shape import SERVICE
from weft.cli._files.shapes import Shape
from weft.cli._files.workflow_shape import WORKFLOW
from weft.core.definitions import too_large
from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = [
    "Definition",
    "check_size",
    "in_files",
    "located",
    "only_workflow",
    "read_schedules",
    "read_services",
    "read_workflows",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One definition of a file."""

    source: str
    """The file, as messages call it."""
    label: str
    """Where it stands, such as ``pipeline.yaml (document 2)``."""
    name: str
    """What it defines."""
    values: dict[str, Any] = field(default_factory=dict)
    """The rest of its keys, durations as such."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as the client takes it: a name that Python has for itself ends in ``_``."""
        return {f"{name}_" if iskeyword(name) else name: value for name, value in self.values.items()}


def read_workflows(sources: Sequence[str]) -> list[Definition]:
    """Read every workflow of some files.

    Raises:
        ValidationError: A file or a definition in it has faults; those of all are listed.
    """
    return _read(sources, WORKFLOW, check_size)


def read_schedules(sources: Sequence[str]) -> list[Definition]:
    """Read every schedule of some files.

    Raises:
        ValidationError: A file or a schedule in it has faults; those of all are listed.
    """
    return _read(sources, SCHEDULE)


def read_services(sources: Sequence[str]) -> list[Definition]:
    """Read every service of some files.

    Raises:
        ValidationError: A file or a definition in it has faults; those of all are listed.
    """
    return _read(sources, SERVICE)


def only_workflow(source: str) -> Definition:
    """Read a file that defines one workflow.

    Raises:
        ValidationError: It has faults, or defines several.
    """
    found = read_workflows([source])
    if len(found) > 1:
        name = source_name(source)
        raise ValidationError([Violation(name, f"holds {len(found)} workflows, not one", Rule.INVALID)])
    return found[0]


def check_size(document: Mapping[str, Any]) -> None:
    """Refuse a definition that is too large before anything of it is read."""
    fault = too_large(document)
    if fault is not None:
        raise ValidationError([fault])


def _read(
    sources: Sequence[str], shape: Shape, check: Callable[[Mapping[str, Any]], None] | None = None
) -> list[Definition]:
    faults: list[Violation] = []
    found: list[Definition] = []
    for source in dict.fromkeys(sources):
        try:
            documents = read_documents(source)
        except ValidationError as error:
            faults.extend(error.violations)
            continue
        for label, document in documents:
            try:
                if check is not None:
                    check(document)
                values = shape.read(document, "")
            except ValidationError as error:
                faults.extend(located(label, violation) for violation in error.violations)
                continue
            name = values.pop("name")
            found.append(Definition(source=source_name(source), label=label, name=name, values=values))
    faults.extend(_repeated(found))
    if faults:
        raise in_files(faults, map(source_name, sources))
    return found


def in_files(faults: Sequence[Violation], sources: Iterable[str]) -> ValidationError:
    """Make the error of faults in files; its metadata name those that have some."""
    faulty = [name for name in dict.fromkeys(sources) if any(it.field.startswith(name) for it in faults)]
    named = " and ".join(faulty) if len(faulty) <= 2 else f"{len(faulty)} files"
    return ValidationError(faults, metadata={"files": named})


def located(label: str, violation: Violation) -> Violation:
    """Say in which file, or document of it, a fault is."""
    where = f"{label}: {violation.field}" if violation.field else label
    return Violation(where, violation.description, violation.reason)


def _repeated(definitions: list[Definition]) -> list[Violation]:
    """Find names that several documents define: the later would undo the earlier."""
    first: dict[str, str] = {}
    faults = []
    for it in definitions:
        if it.name in first:
            description = f"{it.name!r} is defined by {first[it.name]} already"
            faults.append(Violation(f"{it.label}: name", description, Rule.DUPLICATE))
        first.setdefault(it.name, it.label)
    return faults
