"""Bring schedules to what files say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weft.cli._files.definitions import Definition, in_files, located
from weft.core.errors import ResourceNotFoundError, ValidationError, Violation
from weft.core.reasons import Rule

if TYPE_CHECKING:
    from weft.client import Client, Schedule

__all__ = ["ScheduleOutcome", "apply_schedules"]

_PREFIX = "schedule."


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleOutcome:
    """What became of one definition."""

    what: str
    """``created``, ``updated`` or ``unchanged``."""
    schedule: Schedule
    """As it is stored now."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"outcome": self.what, "schedule": self.schedule.to_dict()}


async def apply_schedules(weft: Client, definitions: list[Definition]) -> list[ScheduleOutcome]:
    """Create or update every schedule; nothing is changed when the times of one are wrong.

    What is wrong besides in such a file, as far as it can be known, is told with them.

    Raises:
        ValidationError: A definition has faults.
    """
    faults: list[Violation] = []
    for it in definitions:
        try:
            await weft.schedules.preview(it.values["spec"], 1)
        except ValidationError as error:
            found = [*error.violations, *await _missing(weft, it)]
            faults.extend(located(it.label, violation) for violation in found)
    if faults:
        raise in_files(faults, (it.source for it in definitions))
    return [await _apply(weft, it) for it in definitions]


async def _missing(weft: Client, it: Definition) -> list[Violation]:
    """Say that there is no such workflow, if there is none."""
    try:
        await weft.workflows.get(it.values["action"]["workflow"])
    except ResourceNotFoundError as error:
        return [Violation("action.workflow", str(error), Rule.INVALID)]
    return []


async def _apply(weft: Client, it: Definition) -> ScheduleOutcome:
    values = it.values
    said: dict[str, Any] = {
        "spec": values["spec"],
        "action": values["action"],
        "policies": values.get("policies", {}),
        "description": values.get("description", ""),
    }
    try:
        try:
            current = await weft.schedules.get(it.name)
        except ResourceNotFoundError:
            return ScheduleOutcome(what="created", schedule=await weft.schedules.create(it.name, **said))
        changed = await weft.schedules.update(current.id, **said, etag=current.etag)
    except ValidationError as error:
        raise in_files([_in_file(it, violation) for violation in error.violations], [it.source]) from None
    what = "unchanged" if changed.etag == current.etag else "updated"
    return ScheduleOutcome(what=what, schedule=changed)


def _in_file(it: Definition, violation: Violation) -> Violation:
    field = violation.field.removeprefix(_PREFIX)
    return located(it.label, Violation(field, violation.description, violation.reason))
