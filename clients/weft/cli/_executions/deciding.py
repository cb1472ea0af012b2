"""``weft executions signal`` and ``decide``: what is brought to executions from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from weft.cli._base import output
from weft.cli._base.app import command, duration
from weft.cli._base.attributes import AttributeOption, chosen_attributes
from weft.cli._base.complete import execution_ids, workflow_names
from weft.cli._base.inputs import read_object
from weft.cli._base.options import MAX_NUMBER, not_empty
from weft.cli._base.session import Settings, call
from weft.cli._workflows.aliases import AliasOption

if TYPE_CHECKING:
    from weft.client import Client, Execution

__all__ = ["add_to"]

ExecutionArgument = Annotated[
    str, typer.Argument(metavar="EXECUTION", help="Id or key of the execution.", autocompletion=execution_ids)
]

_OF_A_START: Final = ("input_", "version", "alias", "attribute", "timeout")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group of executions."""
    command(
        app,
        "signal",
        """weft executions signal order-7 paid --payload '{"amount": 30}'""",
        "weft executions signal exe_01k… paid --correlation invoice-3 --signal-id payment-81",
        """weft executions signal order-8 paid --start order --input '{"order": "8"}'""",
    )(signal)
    command(
        app,
        "decide",
        "weft executions decide order-7 approved --by ann --comment 'fine'",
        """weft executions decide exe_01k… rejected --step 'each[3]/ask' --data '{"limit": 100}'""",
    )(decide)


def signal(
    ctx: typer.Context,
    execution: ExecutionArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which message.")],
    payload: Annotated[
        str,
        typer.Option(
            "--payload", "-p", metavar="JSON|@FILE|-", help="What it says: an object, as of `weft run`."
        ),
    ] = "{}",
    correlation: Annotated[str, typer.Option(help="What it belongs to.")] = "",
    signal_id: Annotated[
        str, typer.Option(callback=not_empty, help="Idempotency key: the same id changes nothing.")
    ] = "",
    start: Annotated[
        str,
        typer.Option(
            metavar="WORKFLOW",
            help="Start this first, when no open execution has the key EXECUTION.",
            autocompletion=workflow_names,
        ),
    ] = "",
    input_: Annotated[
        str, typer.Option("--input", "-i", metavar="JSON|@FILE|-", help="Of what --start starts.")
    ] = "{}",
    version: Annotated[
        int, typer.Option(min=0, max=MAX_NUMBER, help="Of what --start starts; 0 is the latest.")
    ] = 0,
    alias: AliasOption = "",
    attribute: AttributeOption = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Of what --start starts, such as 30s.")
    ] = None,
) -> None:
    """Bring a message to an execution.

    A step that waits for it takes it; otherwise it is kept for the next one
    that does. With --start, EXECUTION is the key of the execution, and it is
    started when no open one has it.
    """
    settings = Settings.of(ctx)
    said: dict[str, Any] = {"correlation": correlation, "signal_id": signal_id}
    value = read_object(payload, "payload")
    if not start:
        _refuse_values_of_a_start(ctx)
        found = call(settings, lambda weft: weft.executions.signal(execution, name, value, **said))
        output.record(settings, found, f"{found.id} ", found.state)
        return
    values: dict[str, Any] = {
        "input": read_object(input_),
        "version": version,
        "alias": alias,
        "attributes": chosen_attributes(ctx, attribute),
        "timeout": duration(timeout, "--timeout"),
    }

    async def started(weft: Client) -> tuple[Execution, bool]:
        return await weft.executions.signal_with_start(start, execution, name, value, **said, **values)

    found, new = call(settings, started)
    if settings.for_people:
        output.line(settings, f"{found.id} ", f"{found.state}, started" if new else found.state)
    else:
        output.document(settings, {"execution": found.to_dict(), "started": new})


def _refuse_values_of_a_start(ctx: typer.Context) -> None:
    given = [name for name in _OF_A_START if str(ctx.get_parameter_source(name)).endswith("COMMANDLINE")]
    if given:
        option = given[0].rstrip("_")
        raise typer.BadParameter(f"--{option} goes with --start only", ctx=ctx, param_hint=f"--{option}")


def decide(
    ctx: typer.Context,
    execution: ExecutionArgument,
    outcome: Annotated[str, typer.Argument(metavar="OUTCOME", help="One of those that are offered.")],
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    by: Annotated[str, typer.Option(help="Who decided.")] = "",
    step: Annotated[
        str, typer.Option(metavar="STEP", help="Path of the step; needed when several ask.")
    ] = "",
    data: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE|-", help="What else was said: an object, as of `weft run`."),
    ] = None,
) -> None:
    """Decide what an execution asks a person; `weft executions approvals` lists what is asked."""
    settings = Settings.of(ctx)
    value = None if data is None else read_object(data, "data")
    found = call(
        settings,
        lambda weft: weft.executions.decide(
            execution, outcome, comment=comment, by=by, step_id=step, data=value
        ),
    )
    output.record(settings, found, f"{found.id} ", found.state)
