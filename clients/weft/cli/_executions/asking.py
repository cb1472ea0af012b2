"""``weft executions approvals`` and ``compensations``: what waits for people, and what would be undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from weft.cli._base import output
from weft.cli._base.app import command
from weft.cli._base.complete import execution_ids, workflow_names
from weft.cli._base.options import LimitOption
from weft.cli._base.session import Settings, call
from weft.cli._following.telling import clock_time

if TYPE_CHECKING:
    from weft.client import ApprovalRequest, Client, Execution, PlannedCompensation

__all__ = ["add_to"]

_STATES: Final = ("RUNNING", "PAUSED")
"""States in which something may be asked."""
_AT_ONCE: Final = 8
"""Executions that are read at the same time."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group of executions."""
    command(
        app,
        "approvals",
        "weft executions approvals",
        "weft executions approvals --assignee ann --workflow order",
    )(approvals)
    command(app, "compensations", "weft executions compensations order-7")(compensations)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A step that asks a person."""

    execution: Execution
    step_id: str
    approval: ApprovalRequest

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "execution_id": self.execution.id,
            "key": self.execution.key,
            "workflow_name": self.execution.workflow_name,
            "step_id": self.step_id,
            **self.approval.to_dict(),
        }


def approvals(
    ctx: typer.Context,
    workflow: Annotated[
        str, typer.Option("--workflow", help="Only of this workflow.", autocompletion=workflow_names)
    ] = "",
    assignee: Annotated[str, typer.Option(help="Only what this person or group is asked.")] = "",
    limit: LimitOption = 50,
) -> None:
    """List what open executions ask people: the question, who is asked, and when it is due."""
    settings = Settings.of(ctx)

    async def read(weft: Client) -> list[_Asked]:
        found: list[_Asked] = []
        async for asked in _all_asked(weft, workflow):
            if assignee in {"", *asked.approval.assignees}:
                found.append(asked)
            if len(found) == limit:
                break
        return found

    found = call(settings, read)
    if not settings.for_people:
        output.document(settings, [asked.to_dict() for asked in found])
    elif found:
        titles = ("EXECUTION", "STEP", "QUESTION", "ASKED", "DUE", "OUTCOMES")
        output.table(settings, titles, map(_row, found), whole=titles[:2], spare=("DUE", "ASKED"))
        output.note("To decide: weft executions decide EXECUTION OUTCOME --step STEP")
    else:
        output.note("Nothing is asked.")


async def _all_asked(weft: Client, workflow: str) -> AsyncIterator[_Asked]:
    for state in _STATES:
        token = ""
        while True:
            page = await weft.executions.list(
                filter="waits = APPROVAL", workflow=workflow, state=state, page_token=token
            )
            for start in range(0, len(page.items), _AT_ONCE):
                some = page.items[start : start + _AT_ONCE]
                for execution in await asyncio.gather(*(weft.executions.get(it.id) for it in some)):
                    for asked in _asked(execution):
                        yield asked
            token = page.next_page_token
            if not token:
                break


def _asked(execution: Execution) -> list[_Asked]:
    return [
        _Asked(execution=execution, step_id=step.step_id, approval=step.approval)
        for step in execution.steps
        if step.waits_for == "APPROVAL" and step.approval is not None
    ]


def _row(asked: _Asked) -> tuple[object, ...]:
    approval = asked.approval
    return (
        asked.execution.key or asked.execution.id,
        asked.step_id,
        approval.title,
        ", ".join(approval.assignees) or "anybody",
        clock_time(approval.due_time) if approval.due_time else "-",
        ", ".join(approval.outcomes),
    )


def compensations(
    ctx: typer.Context,
    execution: Annotated[
        str,
        typer.Argument(metavar="EXECUTION", help="Id or key of the execution.", autocompletion=execution_ids),
    ],
) -> None:
    """Show what would be undone if the execution failed now, or what was: in order, and by what."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.executions.compensation_plan(execution))
    if not settings.for_people:
        output.document(settings, [it.to_dict() for it in found])
    elif found:
        output.table(settings, ("STEP", "UNDONE BY", "STATE"), map(_plan_row, found), whole=("STEP",))
    else:
        output.note("Nothing is to be undone.")


def _plan_row(planned: PlannedCompensation) -> tuple[object, ...]:
    by = f"{planned.service}.{planned.action}" if planned.action else f"undoing {planned.child_execution_id}"
    return planned.step_id, by, planned.state or "-"
