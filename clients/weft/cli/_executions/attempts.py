"""``weft attempts``: the outcomes of actions that answer later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from weft.cli._base import output
from weft.cli._base.app import command, group
from weft.cli._base.inputs import read_object
from weft.cli._base.options import chosen_pairs
from weft.cli._base.session import Settings, call

if TYPE_CHECKING:
    from weft.client import Client

__all__ = ["app"]

app = group("Tell how attempts went whose actions answer later.")

TokenArgument = Annotated[
    str, typer.Argument(metavar="TOKEN", help="The attempt_token that the action was given.")
]


@command(
    app,
    "complete",
    """weft attempts complete exe_01k…/approve/1 --result '{"approved": true}'""",
    "weft attempts complete exe_01k…/approve/1 --result @answer.json",
)
def complete(
    ctx: typer.Context,
    token: TokenArgument,
    result: Annotated[
        str,
        typer.Option("--result", "-r", metavar="JSON|@FILE|-", help="The output of the action."),
    ] = "{}",
) -> None:
    """Tell the output of an action; the execution goes on with it."""
    settings = Settings.of(ctx)
    value = read_object(result, "result")
    call(settings, lambda weft: weft.executions.complete_attempt(token, value))
    output.done(settings, token, "completed")


@command(app, "fail", "weft attempts fail exe_01k…/approve/1 --reason DECLINED --code failed_precondition")
def fail(
    ctx: typer.Context,
    token: TokenArgument,
    reason: Annotated[str, typer.Option(help="UPPER_SNAKE_CASE and stable.")] = "",
    message: Annotated[str, typer.Option(help="What a person should read.")] = "",
    code: Annotated[
        str, typer.Option(help="Decides whether the step is tried again: aborted is, not_found is not.")
    ] = "aborted",
    value: Annotated[
        list[str] | None,
        typer.Option("--value", metavar="KEY=VALUE", help="A value of the message; may be repeated."),
    ] = None,
) -> None:
    """Tell that an action failed; the step is tried again, or fails, as it would otherwise."""
    from weft.core.errors import Code  # noqa: PLC0415 - protobuf is slow to import, and `--help` needs none

    settings = Settings.of(ctx)
    if code.upper() not in Code.__members__:
        known = ", ".join(name.lower() for name in Code.__members__)
        raise typer.BadParameter(f"{code!r} is none of {known}", ctx=ctx, param_hint="--code")
    metadata = chosen_pairs(ctx, value, "--value")

    async def tell(weft: Client) -> None:
        await weft.executions.fail_attempt(token, reason, message, code=Code[code.upper()], metadata=metadata)

    call(settings, tell)
    output.done(settings, token, "failed")


@command(app, "heartbeat", """weft attempts heartbeat exe_01k…/import/1 --details '{"percent": 40}'""")
def heartbeat(
    ctx: typer.Context,
    token: TokenArgument,
    details: Annotated[
        str | None,
        typer.Option("--details", metavar="JSON|@FILE|-", help="How far it is, for the next attempt."),
    ] = None,
) -> None:
    """Tell that an action is alive, and print whether it is to stop."""
    settings = Settings.of(ctx)
    value = None if details is None else read_object(details, "details")
    stop = call(settings, lambda weft: weft.executions.heartbeat_attempt(token, value))
    if settings.for_people:
        output.line(settings, "stop: nobody waits for it any more" if stop else "go on")
    else:
        output.document(settings, {"cancel_requested": stop})
