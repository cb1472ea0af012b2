"""``weft batches``: one operation on every execution that a filter selects."""

from __future__ import annotations

import asyncio
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Annotated, Final

import typer

from weft.cli._base import output
from weft.cli._base.app import command, group
from weft.cli._base.errors import Exit
from weft.cli._base.options import LimitOption, PageTokenOption, not_empty
from weft.cli._base.session import Settings, call
from weft.cli._base.text import local_time

if TYPE_CHECKING:
    from weft.client import Batch, BatchItem, Client

__all__ = ["app"]

app = group("Do one thing to every execution that a filter selects: cancel, retry, pause, resume.")

BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for the end; 1 when an item failed.")]

_LOOK_SECONDS: Final = 0.5


@unique
class Operation(StrEnum):
    """What a batch does."""

    CANCEL = "cancel"
    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"


@unique
class ItemState(StrEnum):
    """States to filter items by."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"


@command(
    app,
    "start",
    "weft batches start cancel --filter 'workflow = orders AND state = RUNNING' --reason 'wrong price'",
    """weft batches start retry --filter 'state = FAILED AND attributes.customer = "acme"' --wait""",
)
def start(
    ctx: typer.Context,
    operation: Annotated[Operation, typer.Argument(case_sensitive=False, help="What is done to each.")],
    filter_: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="FILTER",
            help="Which executions, as they are now; see `weft executions list --filter`. All: id:*",
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why; it is recorded in the histories.")] = "",
    request_id: Annotated[
        str, typer.Option(callback=not_empty, help="Idempotency key: the same id starts it once.")
    ] = "",
    wait: WaitOption = False,
) -> None:
    """Fix which executions, and begin; the work goes on in the server.

    Look at what it would do first: `weft executions list` with the same filter.
    """
    settings = Settings.of(ctx)

    async def run(weft: Client) -> Batch:
        started = await weft.batches.start(filter_, operation.upper(), reason=reason, request_id=request_id)
        return await _ended(weft, started) if wait else started

    found = call(settings, run, patient=not wait)
    _show(settings, found)
    if wait and (found.failed or found.state != "COMPLETED"):
        raise typer.Exit(Exit.FAILED)


async def _ended(weft: Client, batch: Batch) -> Batch:
    while batch.state == "RUNNING":
        await asyncio.sleep(_LOOK_SECONDS)
        batch = await weft.batches.get(batch.id)
    return batch


@command(app, "get", "weft batches get bat_01k…")
def get(ctx: typer.Context, batch: BatchArgument) -> None:
    """Show a batch and its progress."""
    settings = Settings.of(ctx)
    _show(settings, call(settings, lambda weft: weft.batches.get(batch)))


def _show(settings: Settings, found: Batch) -> None:
    if not settings.for_people:
        output.document(settings, found.to_dict())
        return
    output.fields(
        settings,
        [
            ("Id", found.id),
            ("Operation", found.operation),
            ("Filter", found.filter),
            ("Reason", found.reason),
            ("State", found.state),
            ("Items", _progress(found)),
            ("Started", local_time(found.create_time)),
            ("Ended", local_time(found.end_time)),
        ],
    )


def _progress(found: Batch) -> str:
    pending = found.total - found.succeeded - found.skipped - found.failed
    counts = (
        ("done", found.succeeded),
        ("skipped", found.skipped),
        ("failed", found.failed),
        ("pending", pending),
    )
    shown = ", ".join(f"{count:,} {what}" for what, count in counts if count)
    return f"{found.total:,}: {shown}" if shown else f"{found.total:,}"


@command(app, "list", "weft batches list")
def list_batches(ctx: typer.Context, limit: LimitOption = 50, page_token: PageTokenOption = "") -> None:
    """List batches, newest first; those that ended 30 days ago are gone."""
    settings = Settings.of(ctx)
    page = call(settings, lambda weft: weft.batches.list(page_size=limit, page_token=page_token))
    if settings.for_people:
        titles = ("ID", "OPERATION", "STATE", "ITEMS", "STARTED", "FILTER")
        output.page(settings, page, titles, _row, spare=("FILTER", "STARTED"))
    else:
        output.document(settings, page.to_dict())


def _row(batch: Batch) -> tuple[object, ...]:
    started = local_time(batch.create_time)
    return batch.id, batch.operation, batch.state, _progress(batch), started, batch.filter


@command(app, "items", "weft batches items bat_01k… --state failed")
def items(
    ctx: typer.Context,
    batch: BatchArgument,
    state: Annotated[
        ItemState | None, typer.Option(case_sensitive=False, help="Only items in this state.")
    ] = None,
    limit: LimitOption = 50,
    page_token: PageTokenOption = "",
) -> None:
    """List what came of each execution of a batch."""
    settings = Settings.of(ctx)
    wanted = state.upper() if state else ""
    page = call(
        settings,
        lambda weft: weft.batches.items(batch, state=wanted, page_size=limit, page_token=page_token),
    )
    if settings.for_people:
        titles = ("EXECUTION", "STATE", "RESULT", "WHY")
        output.page(settings, page, titles, _item_row, spare=("RESULT",))
    else:
        output.document(settings, page.to_dict())


def _item_row(item: BatchItem) -> tuple[object, ...]:
    why = f"{item.failure.reason}: {item.failure.message}" if item.failure else ""
    return item.execution_id, item.state, item.result_execution_id, why


@command(app, "cancel", "weft batches cancel bat_01k…")
def cancel(ctx: typer.Context, batch: BatchArgument) -> None:
    """Stop a batch; what was done stays done."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.batches.cancel(batch))
    output.record(settings, found, f"{found.id} ", found.state)
