"""Bring workflows to what files say: validate all of them, then change what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weft.cli._files.definitions import Definition, in_files, located
from weft.cli._files.diff import differences
from weft.cli._files.forms import meaning
from weft.cli._files.order import children_first, made_before, value_at
from weft.cli._files.workflow_shape import WORKFLOW
from weft.core.errors import ResourceNotFoundError, ValidationError, Violation
from weft.core.reasons import Rule

if TYPE_CHECKING:
    from weft.client import Client, Problem, Workflow

__all__ = ["Finding", "Outcome", "apply_all", "changes", "faults_of", "validate_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem, and the definition it is in."""

    label: str
    """Where the definition stands."""
    problem: Problem
    """What was found."""

    @property
    def is_error(self) -> bool:
        """Whether the definition is refused for it."""
        return self.problem.severity != "WARNING"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"file": self.label, **self.problem.to_dict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one definition."""

    what: str
    """``created``, ``updated`` or ``unchanged``."""
    workflow: Workflow
    """As it is stored now."""
    fields: tuple[str, ...] = ()
    """What was changed."""

    @property
    def text(self) -> str:
        """One line for a person."""
        changed = f": {', '.join(self.fields)}" if self.fields else ""
        return f"{self.what} (version {self.workflow.version}{changed})"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"outcome": self.what, "workflow": self.workflow.to_dict()}


async def validate_all(weft: Client, definitions: list[Definition]) -> list[Finding]:
    """Return every problem of every definition, in their order.

    A workflow that is not there yet is no problem where another one of the definitions makes it.
    """
    findings: list[Finding] = []
    made = made_before(definitions)
    for it in definitions:
        try:
            problems = await weft.workflows.validate(it.name, **it.arguments)
        except ValidationError as error:
            raise in_files([located(it.label, fault) for fault in error.violations], [it.source]) from None
        findings.extend(
            Finding(label=it.label, problem=problem)
            for problem in problems
            if problem.code != Rule.WORKFLOW_UNKNOWN or value_at(it, problem.path) not in made[it.name]
        )
    return findings


async def apply_all(weft: Client, definitions: list[Definition]) -> tuple[list[Finding], list[Outcome]]:
    """Create or update every workflow, when none has an error; return warnings and outcomes.

    Raises:
        ValidationError: A definition has errors; those of all are listed, and nothing was changed.
    """
    findings = await validate_all(weft, definitions)
    faults = faults_of(findings, definitions)
    if faults:
        raise faults
    return findings, [await _apply(weft, it) for it in children_first(definitions)]


def faults_of(findings: list[Finding], definitions: list[Definition]) -> ValidationError | None:
    """Return the findings for which definitions are refused, as one error."""
    faults = [_violation(finding) for finding in findings if finding.is_error]
    return in_files(faults, (it.source for it in definitions)) if faults else None


def _violation(finding: Finding) -> Violation:
    problem = finding.problem
    description = f"{problem.message} ({problem.hint})" if problem.hint else problem.message
    return located(finding.label, Violation(problem.path, description, problem.code))


async def _apply(weft: Client, it: Definition) -> Outcome:
    try:
        current = await weft.workflows.get(it.name)
    except ResourceNotFoundError:
        return Outcome(what="created", workflow=await weft.workflows.create(it.name, **it.arguments))
    changed = changes(current, it.values)
    if not changed:
        return Outcome(what="unchanged", workflow=current)
    arguments = it.arguments
    updated = await weft.workflows.update(
        current.id,
        **{name: value for name, value in arguments.items() if name.rstrip("_") in changed},
        clear=[name for name in changed if name not in it.values],
        etag=current.etag,
    )
    return Outcome(what="updated", workflow=updated, fields=changed)


def changes(current: Workflow, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which fields differ in what they mean; a key that the file lacks is to be emptied."""
    before, after = meaning(WORKFLOW, current), meaning(WORKFLOW, wanted)
    changed = {change.path.partition(".")[0] for change in differences(before, after)}
    return tuple(name for name in WORKFLOW.fields if name in changed and name != "name")
