"""``weft executions``: what runs, what ran, and how."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from weft.cli._base import output
from weft.cli._base.app import command, group
from weft.cli._base.attributes import FilterOption
from weft.cli._base.complete import execution_ids, workflow_names
from weft.cli._base.errors import Exit
from weft.cli._base.options import MAX_NUMBER, LimitOption, PageTokenOption
from weft.cli._base.session import Settings, call
from weft.cli._base.text import humanize_seconds, local_time
from weft.cli._executions import asking as _asking
from weft.cli._executions import deciding as _deciding
from weft.cli._executions import sets as _sets
from weft.cli._executions import steering as _steering
from weft.cli._following.progress import Progress
from weft.cli._following.step_tree import show_steps
from weft.cli._following.telling import origin, parent, waits
from weft.cli._following.watching import follow, plain_event, report_end

if TYPE_CHECKING:
    from datetime import datetime

    from weft.client import Client, Execution, Page

__all__ = ["app"]

app = group("See what runs and what ran; watch it, hold it, end it, run it anew.")

ExecutionArgument = Annotated[
    str, typer.Argument(metavar="EXECUTION", help="Id or key of the execution.", autocompletion=execution_ids)
]


@unique
class State(StrEnum):
    """States to filter by."""

    RUNNING = "running"
    PAUSED = "paused"
    INCIDENT = "incident"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


@command(
    app,
    "list",
    "weft executions list --state failed",
    "weft executions list --workflow document-processing --output json",
    """weft executions list --filter 'attributes.customer = "acme" AND create_time > now-7d'""",
    """weft executions list --filter 'parent = "exe_01k…"'""",
)
def list_executions(
    ctx: typer.Context,
    filter_: FilterOption = "",
    workflow: Annotated[
        str, typer.Option("--workflow", help="Only of this workflow.", autocompletion=workflow_names)
    ] = "",
    state: Annotated[
        State | None, typer.Option(case_sensitive=False, help="Only executions in this state.")
    ] = None,
    limit: LimitOption = 50,
    page_token: PageTokenOption = "",
) -> None:
    """List executions, newest first."""
    settings = Settings.of(ctx)
    wanted = state.upper() if state else ""

    async def read(weft: Client) -> Page[Execution]:
        token = page_token
        while True:
            page = await weft.executions.list(
                filter=filter_, workflow=workflow, state=wanted, page_size=limit, page_token=token
            )
            token = page.next_page_token
            if page.items or not token:  # a filter that fits seldom is looked for in parts
                return page

    page = call(settings, read)
    if settings.for_people:
        titles: tuple[str, ...] = ("ID", "WORKFLOW", "VERSION", "STATE", "STARTED", "DURATION")
        waiting = any(it.waits_for for it in page.items)
        titles, row = ((*titles, "WAITS FOR"), _waiting_row) if waiting else (titles, _row)
        output.page(settings, page, titles, row, spare=("VERSION", "DURATION", "STARTED"))
        return
    found = page.to_dict()
    found["items"] = [{name: it[name] for name in it if name not in _NOT_IN_LISTS} for it in found["items"]]
    output.document(settings, found)


_NOT_IN_LISTS: Final = frozenset({"input", "result", "steps"})
"""What the server leaves out of lists: it would look like values that are empty."""


def _row(execution: Execution) -> tuple[object, ...]:
    return (
        execution.id,
        execution.workflow_name,
        execution.workflow_version,
        execution.state,
        local_time(execution.create_time),
        _duration(execution.create_time, execution.end_time) or "-",
    )


def _waiting_row(execution: Execution) -> tuple[object, ...]:
    return *_row(execution), waits(execution) or "-"


def _duration(start: datetime | None, end: datetime | None) -> str:
    return humanize_seconds((end - start).total_seconds()) if start and end else ""


@command(app, "get", "weft executions get exe_01k…", "weft executions get exe_01k… --output json")
def get_execution(ctx: typer.Context, execution: ExecutionArgument) -> None:
    """Show one execution: its steps, and its result or why it failed.

    What runs inside of a step stands beneath it: [3]/book is step book of its
    item, branch or iteration 3, counted from 0.
    """
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.executions.get(execution))
    if settings.for_people:
        _show(settings, found)
    else:
        output.document(settings, found.to_dict())


def _show(settings: Settings, found: Execution) -> None:
    failure = f"{found.failure.reason}: {found.failure.message}" if found.failure else ""
    output.fields(
        settings,
        [
            ("Id", found.id),
            ("Workflow", _workflow_text(found)),
            ("Key", found.key),
            ("Origin", origin(found)),
            ("Parent", parent(found)),
            ("State", f"{found.state}, closing" if found.closing else found.state),
            ("Waits for", waits(found)),
            ("Failure", failure),
            ("Context", output.compact(found.context.flat())),
            ("Attributes", output.compact(found.search_attributes)),
            ("Started", local_time(found.create_time)),
            ("Ended", local_time(found.end_time)),
            ("Ends by", local_time(found.expire_time) if found.end_time is None else ""),
            ("Duration", _duration(found.create_time, found.end_time)),
            ("Takes turns by", found.concurrency_key),
            ("Trace", found.trace_id),
            ("Input", output.compact(found.input)),
            ("Variables", output.compact(found.variables)),
        ],
    )
    for violation in found.failure.violations if found.failure else ():
        output.fields(settings, [("  Fault", violation)])
    if found.steps:
        output.line(settings, "")
        show_steps(settings, found.steps)
    if found.result is not None:
        output.line(settings, "\nResult:")
        output.pretty(settings, found.result)


def _workflow_text(found: Execution) -> str:
    by = f", by {found.workflow_alias}" if found.workflow_alias else ""
    return f"{found.workflow_name} (version {found.workflow_version}{by})"


@command(app, "watch", "weft executions watch exe_01k…", "weft executions watch exe_01k… --output json")
def watch(
    ctx: typer.Context,
    execution: ExecutionArgument,
    after: Annotated[
        int, typer.Option(min=0, max=MAX_NUMBER, help="Only events with a higher number than this.")
    ] = 0,
) -> None:
    """Follow an execution to its end; the exit code says how it ended.

    With --output json it is one JSON object a line, as it happens.
    """
    settings = Settings.of(ctx)

    async def to_the_end(weft: Client) -> Execution:
        found = await weft.executions.get(execution)
        await follow(weft, settings, found, after=after)
        return await weft.executions.get(execution)

    code = report_end(settings, call(settings, to_the_end))
    if code is not Exit.OK:
        raise typer.Exit(code)


@command(app, "cancel", "weft executions cancel exe_01k… --reason 'wrong input'")
def cancel(
    ctx: typer.Context,
    execution: ExecutionArgument,
    reason: Annotated[str, typer.Option(help="Why; it is recorded in the history.")] = "",
    at_once: Annotated[
        bool,
        typer.Option("--at-once", help="Undo nothing, and skip what the workflow does at the end."),
    ] = False,
) -> None:
    """End an execution: no further step of its workflow is started.

    What it has done is undone first, where its steps say how, and what the workflow
    does at the end is done.
    """
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.executions.cancel(execution, reason=reason, at_once=at_once))
    output.record(settings, found, f"{found.id} ", found.state)


@command(app, "history", "weft executions history exe_01k…", "weft executions history exe_01k… --output json")
def history(ctx: typer.Context, execution: ExecutionArgument) -> None:
    """Print every event that is recorded of an execution, oldest first.

    With --output json it is one array.
    """
    settings = Settings.of(ctx)
    progress = Progress(with_date=True)

    async def read_all(weft: Client) -> list[dict[str, Any]]:
        found = []
        async for event in weft.executions.history(execution):
            if settings.for_people:
                output.line(settings, f"{event.number:>4}  ", progress.add(event))
            else:
                found.append(plain_event(event))
        return found

    events = call(settings, read_all)
    if not settings.for_people:
        output.document(settings, events)


_sets.add_to(app)
_steering.add_to(app)
_deciding.add_to(app)
_asking.add_to(app)
