"""``weft executions count``, ``export`` and ``import``: many executions, and whole ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weft.cli._base import output
from weft.cli._base.app import command
from weft.cli._base.attributes import FilterOption
from weft.cli._base.complete import execution_ids
from weft.cli._base.session import Settings, call

if TYPE_CHECKING:
    from weft.client import Client, ExecutionGroup

__all__ = ["add_to"]

ExecutionArgument = Annotated[
    str, typer.Argument(metavar="EXECUTION", help="Id of the execution.", autocompletion=execution_ids)
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group of executions."""
    command(
        app,
        "count",
        "weft executions count --filter 'create_time > now-1d' --group-by state",
        "weft executions count --group-by attributes.customer --output json",
    )(count)
    command(app, "export", "weft executions export exe_01k… > execution.jsonl")(export)
    command(
        app,
        "import",
        "weft executions import execution.jsonl",
        "weft executions export exe_01k… | weft --target 127.0.0.1:7421 executions import -",
    )(import_)


def count(
    ctx: typer.Context,
    filter_: FilterOption = "",
    group_by: Annotated[str, typer.Option(metavar="FIELD", help="state, workflow or attributes.NAME.")] = "",
) -> None:
    """Count executions, all of them or those of a filter."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.executions.count(filter=filter_, group_by=group_by))
    if not settings.for_people:
        output.document(settings, found.to_dict())
        return
    if group_by:
        output.table(settings, (group_by.upper(), "COUNT"), [_row(group) for group in found.groups])
        output.note(f"{found.total:,} in all")
    else:
        output.line(settings, str(found.total))


def _row(group: ExecutionGroup) -> tuple[object, ...]:
    value = str(group.value).lower() if isinstance(group.value, bool) else group.value
    return group.workflow_name or value, group.count


def export(ctx: typer.Context, execution: ExecutionArgument) -> None:
    """Write an execution that has ended to stdout, as JSON lines: it and its whole history.

    The bytes are the same each time; `weft executions import` reads them.
    """
    settings = Settings.of(ctx)

    async def write(weft: Client) -> None:
        async for piece in weft.archives.export_execution(execution):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    call(settings, write)


def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What export wrote; - reads stdin.")],
) -> None:
    """Store an execution that was exported, as of another server; a repeat changes nothing."""
    settings = Settings.of(ctx)
    data = _read(ctx, file)
    found = call(settings, lambda weft: weft.archives.import_execution(data))
    if not settings.for_people:
        output.document(settings, found.to_dict())
        return
    output.line(settings, f"{found.execution.id} ", "CREATED" if found.created else "UNCHANGED")


def _read(ctx: typer.Context, file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", ctx=ctx, param_hint="FILE") from None
