"""The steps of a workflow as a table: those inside of others below them, with a dot for each list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from weft.cli._base import output
from weft.cli._drawing.graph import kind_of, step_text
from weft.cli._files.forms import tidied
from weft.cli._files.workflow_shape import STEP
from weft.cli._workflows.limits import limits_text, retry_text

if TYPE_CHECKING:
    from weft.client import Step, Workflow

__all__ = ["steps_table"]

_TITLES = ("STEP", "SERVICE", "ACTION", "NEXT", "INPUT", "TIMEOUT")
_INDENT = "· "
Row = tuple[object, ...]


def steps_table(workflow: Workflow) -> tuple[tuple[str, ...], list[Row]]:
    """Return the titles and rows; how steps are tried again only where one of them is."""
    found = [*_rows(workflow.steps, "")]
    if workflow.finally_:
        found += [("finally:", None), *_rows(workflow.finally_, _INDENT)]
    retried = any(step is not None and step.retry for _, step in found)
    rows = [_row(label, step, retried=retried) for label, step in found]
    return ((*_TITLES, "RETRY") if retried else _TITLES), rows


def _rows(steps: Sequence[Step], indent: str) -> Iterator[tuple[str, Step | None]]:
    for step in steps:
        yield f"{indent}{step.id}", step
        inside = indent + _INDENT
        for branch in step.parallel.branches if step.parallel else ():
            yield f"{inside}{branch.name}:", None
            yield from _rows(branch.steps, inside + _INDENT)
        for body in (step.map, step.loop):
            yield from _rows(body.steps if body else (), inside)


def _row(label: str, step: Step | None, *, retried: bool) -> Row:
    if step is None:
        return (label, *[""] * (len(_TITLES) - 1 + retried))
    said = tidied(STEP, step)
    kind = kind_of(said)
    action = step.action if kind == "action" else step_text(said)
    mapping = "implicit" if kind == "action" else ""
    given = mapping if step.input is None else output.compact(step.input) or "{}"
    row = label, step.service, action, _next(kind, step), given, limits_text(step)
    return (*row, retry_text(step)) if retried else row


def _next(kind: str, step: Step) -> str:
    if step.switch is not None:
        targets = [case.next or "(end)" for case in step.switch.cases] + [step.switch.default]
        return ", ".join(dict.fromkeys(target for target in targets if target))
    return "-" if kind in {"fail", "succeed"} else step.next or "(end)"
