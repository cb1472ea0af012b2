"""``weft executions pause``, ``resume``, ``resolve`` and ``rerun``: what is decided about one execution."""

from __future__ import annotations

from typing import Annotated

import typer

from weft.cli._base import output
from weft.cli._base.app import command
from weft.cli._base.complete import execution_ids
from weft.cli._base.inputs import read_object
from weft.cli._base.options import MAX_NUMBER, not_empty
from weft.cli._base.session import Settings, call

__all__ = ["add_to"]

ExecutionArgument = Annotated[
    str, typer.Argument(metavar="EXECUTION", help="Id or key of the execution.", autocompletion=execution_ids)
]
ReasonOption = Annotated[str, typer.Option(help="Why; it is recorded in the history.")]
NewInputOption = Annotated[
    str | None,
    typer.Option(
        "--input", "-i", metavar="JSON|@FILE|-", help="Another input than before, as of `weft run`."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group of executions."""
    command(app, "pause", "weft executions pause exe_01k… --reason 'look at it first'")(pause)
    command(app, "resume", "weft executions resume exe_01k…")(resume)
    command(
        app,
        "resolve",
        "weft executions resolve exe_01k… --note 'the printer is back'",
        """weft executions resolve exe_01k… --input '{"printer": "other"}'""",
        "weft executions resolve exe_01k… --fail",
        "weft executions resolve exe_01k… --step 'each[3]/book'",
    )(resolve)
    command(
        app,
        "rerun",
        "weft executions rerun exe_01k…",
        "weft executions rerun exe_01k… --from-step print --version 3",
    )(rerun)


def pause(ctx: typer.Context, execution: ExecutionArgument, reason: ReasonOption = "") -> None:
    """Let an execution start no further step; an action that runs may end, and is recorded."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.executions.pause(execution, reason=reason))
    output.record(settings, found, f"{found.id} ", found.state)


def resume(ctx: typer.Context, execution: ExecutionArgument, reason: ReasonOption = "") -> None:
    """Let a paused execution go on where it stands."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.executions.resume(execution, reason=reason))
    output.record(settings, found, f"{found.id} ", found.state)


def resolve(
    ctx: typer.Context,
    execution: ExecutionArgument,
    fail: Annotated[bool, typer.Option("--fail", help="Let the step fail, and what it is part of.")] = False,
    input_: NewInputOption = None,
    note: Annotated[str, typer.Option(help="What the history is to say.")] = "",
    step: Annotated[
        str, typer.Option(metavar="STEP", help="Path of the step; needed when several have incidents.")
    ] = "",
) -> None:
    """Decide about a step that used up its attempts: it is tried again, unless --fail says otherwise.

    With --input its further attempts take that, instead of the input that the
    step makes.
    """
    settings = Settings.of(ctx)
    if fail and input_ is not None:
        raise typer.BadParameter("--fail and --input exclude each other", ctx=ctx)
    value = None if input_ is None else read_object(input_)
    resolution = "FAIL" if fail else "RETRY"
    found = call(
        settings,
        lambda weft: weft.executions.resolve_incident(
            execution, resolution, input=value, note=note, step_id=step
        ),
    )
    output.record(settings, found, f"{found.id} ", found.state)


def rerun(
    ctx: typer.Context,
    execution: ExecutionArgument,
    from_step: Annotated[
        str,
        typer.Option(
            metavar="STEP",
            help="The first step to run again, none inside of another; "
            "by default the one that failed, or the first undone.",
        ),
    ] = "",
    version: Annotated[
        int, typer.Option(min=0, max=MAX_NUMBER, help="Of the workflow; 0 is the one that ran.")
    ] = 0,
    input_: NewInputOption = None,
    request_id: Annotated[str, typer.Option(callback=not_empty, help="Idempotency key.")] = "",
) -> None:
    """Run an execution that has ended anew, from the step that failed, and print the id of the new one.

    Outputs of the steps before are reused.
    """
    settings = Settings.of(ctx)
    value = None if input_ is None else read_object(input_)
    found = call(
        settings,
        lambda weft: weft.executions.rerun(
            execution, from_step=from_step, version=version, input=value, request_id=request_id
        ),
    )
    output.record(settings, found, found.id, "")
