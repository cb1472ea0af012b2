"""The steps of an execution as a table: what runs inside of a step stands beneath it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from weft.cli._base import output
from weft.cli._base.session import Settings
from weft.cli._base.text import humanize_seconds
from weft.cli._following.telling import step_note

if TYPE_CHECKING:
    from weft.client import StepExecution

__all__ = ["rows", "show_steps"]

_SHOWN: Final = 10
"""Items of one step that are shown, of more."""
_ENDED: Final = frozenset({"COMPLETED"})
_INDENT: Final = "· "
_APART: Final = ("undo", "finally")
"""Scopes that are no step's: what undoes, and what runs at the end."""


def show_steps(settings: Settings, steps: Sequence[StepExecution]) -> None:
    """Write the table; of calls one after the other with service and action in columns of their own."""
    if all("/" not in step.step_id and step.kind in {"", "action"} for step in steps):
        titles: tuple[str, ...] = ("STEP", "SERVICE", "ACTION", "STATE", "ATTEMPT", "DURATION", "NOTE")
        output.table(
            settings, titles, [(it.step_id, it.service, it.action, *_rest(it, step_note(it))) for it in steps]
        )
        return
    titles = ("STEP", "WHAT", "STATE", "ATTEMPT", "DURATION", "NOTE")
    output.table(settings, titles, rows(steps), whole=titles[:1], spare=("ATTEMPT", "DURATION"))


def rows(steps: Sequence[StepExecution]) -> Iterator[tuple[object, ...]]:
    """Yield a row for each step, those inside of a step behind it; of many items only some."""
    inside: dict[str, list[StepExecution]] = {}
    known = {step.step_id for step in steps}
    for step in steps:
        container, _ = _split(step.step_id)
        inside.setdefault(container if container in known else "", []).append(step)
    return _rows(inside, "", 0)


def _rows(inside: dict[str, list[StepExecution]], container: str, depth: int) -> Iterator[tuple[object, ...]]:
    shown, hidden = _chosen(inside.get(container, []), folds=bool(container))
    for step in shown:
        _, name = _split(step.step_id) if container else ("", step.step_id)
        what = f"{step.service}.{step.action}" if step.action else step.kind
        yield _INDENT * depth + name, what, *_rest(step, step_note(step))
        yield from _rows(inside, step.step_id, depth + 1)
    if hidden:
        yield _INDENT * depth + f"… and {hidden:,} more", "", "", "", "", ""


def _chosen(steps: Iterable[StepExecution], *, folds: bool) -> tuple[list[StepExecution], int]:
    """Return the steps to show, and how many items (or such) are left out: first those that are done."""
    by_number: dict[str, list[StepExecution]] = {}
    for step in steps:
        _, name = _split(step.step_id)
        by_number.setdefault(name.partition("/")[0] if folds else step.step_id, []).append(step)
    if not folds or len(by_number) <= _SHOWN:
        return [step for group in by_number.values() for step in group], 0
    groups = sorted(by_number.values(), key=_is_done)[:_SHOWN]
    return [step for group in groups for step in group], len(by_number) - _SHOWN


def _is_done(group: list[StepExecution]) -> bool:
    return all(step.state in _ENDED for step in group)


def _split(path: str) -> tuple[str, str]:
    """Return which step a path is inside of, and what is left of it: ``each`` and ``[3]/book``."""
    head, slash, last = path.rpartition("/")
    if not slash or head in _APART or path.startswith("undo/"):
        return "", path
    container, _, number = head.rpartition("[")
    return container, f"[{number}/{last}"


def _rest(step: StepExecution, note: str) -> tuple[object, ...]:
    took = (
        (step.end_time - step.schedule_time).total_seconds() if step.end_time and step.schedule_time else None
    )
    return step.state, step.attempt, "-" if took is None else humanize_seconds(took), note
