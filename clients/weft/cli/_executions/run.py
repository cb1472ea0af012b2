"""``weft run``: execute a workflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from weft.cli._base import output
from weft.cli._base.app import duration
from weft.cli._base.attributes import AttributeOption, chosen_attributes
from weft.cli._base.complete import workflow_names
from weft.cli._base.errors import Exit
from weft.cli._base.inputs import read_object
from weft.cli._base.interrupts import Farewell, interrupts
from weft.cli._base.keys import KeyConflictOption, KeyOption, KeyReuseOption, chosen_key
from weft.cli._base.options import MAX_NUMBER, InputOption, chosen_pairs, not_empty
from weft.cli._base.session import Settings, call
from weft.cli._following.watching import follow, report_end, wait_for_end
from weft.cli._workflows.aliases import AliasOption

if TYPE_CHECKING:
    from weft.client import Client, Execution

__all__ = ["ContextOption", "ProjectOption", "run", "travelling"]

ContextOption = Annotated[
    list[str] | None,
    typer.Option("--context", metavar="KEY=VALUE", help="A value that travels with it; may be repeated."),
]
ProjectOption = Annotated[str, typer.Option("--project-id", help="The project it belongs to.")]

_UNKNOWN: Final = "Stopped before the server answered; `weft executions list` shows whether it started."


@dataclass(slots=True, kw_only=True)
class _Run:
    """One start of a workflow, and what is known of it when Ctrl-C comes."""

    workflow: str
    values: dict[str, Any] = field(default_factory=dict)
    execution_id: str = ""

    async def start(self, weft: Client) -> Execution:
        execution = await weft.executions.start(self.workflow, **self.values)
        self.execution_id = execution.id
        return execution

    async def watch(self, weft: Client, settings: Settings) -> Execution:
        execution = await self.start(weft)
        await follow(weft, settings, execution, aside=True)
        return await weft.executions.get(execution.id)

    async def wait(self, weft: Client, settings: Settings) -> Execution:
        execution = await self.start(weft)
        await wait_for_end(weft, settings, execution)
        return await weft.executions.get(execution.id)

    def farewell(self) -> Farewell:
        """Say how to go on after Ctrl-C: the server does not stop with us."""
        if not self.execution_id:
            return Farewell(_UNKNOWN, {})
        text = (
            f"Stopped watching; execution {self.execution_id} goes on.\n"
            f"  watch it again:  weft executions watch {self.execution_id}\n"
            f"  cancel it:       weft executions cancel {self.execution_id}"
        )
        return Farewell(text, {"execution_id": self.execution_id})


def run(
    ctx: typer.Context,
    workflow: Annotated[
        str,
        typer.Argument(metavar="WORKFLOW", help="Name or id of the workflow.", autocompletion=workflow_names),
    ],
    input_: InputOption = "{}",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show progress step by step.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print the id and do not wait.")] = False,
    version: Annotated[int, typer.Option(min=0, max=MAX_NUMBER, help="Which version; 0 is the latest.")] = 0,
    alias: AliasOption = "",
    project_id: ProjectOption = "",
    request_id: Annotated[
        str,
        typer.Option(
            callback=not_empty,
            help="Idempotency key: the same id joins the execution it started, and is in its context.",
        ),
    ] = "",
    key: KeyOption = "",
    key_reuse: KeyReuseOption = None,
    key_conflict: KeyConflictOption = None,
    context: ContextOption = None,
    attribute: AttributeOption = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="End the execution as TIMED_OUT after this time, such as 30s."),
    ] = None,
) -> None:
    """Execute a workflow and print its result.

    Ctrl-C stops the waiting, not the execution. One that is paused or has an
    incident goes on being waited for. The exit code is 0 when it
    completed, 1 when it failed or was cancelled, 7 when it timed out. With
    --output json it prints the record of the execution; together with --watch
    the events instead, one JSON object a line.
    """
    settings = Settings.of(ctx)
    if watch and detach:
        raise typer.BadParameter("--watch and --detach exclude each other", ctx=ctx)
    task = _Run(
        workflow=workflow,
        values={
            "input": read_object(input_),
            "version": version,
            "alias": alias,
            "context": travelling(ctx, project_id, request_id, context),
            "request_id": request_id,
            **chosen_key(ctx, key, key_reuse, key_conflict),
            "timeout": duration(timeout, "--timeout"),
            "attributes": chosen_attributes(ctx, attribute),
        },
    )
    _run(settings, task, watch=watch, detach=detach)


def _run(settings: Settings, task: _Run, *, watch: bool, detach: bool) -> None:
    with interrupts.saying(task.farewell):
        if detach:
            execution = call(settings, task.start)
        elif watch:
            execution = call(settings, lambda weft: task.watch(weft, settings))
        else:
            execution = call(settings, lambda weft: task.wait(weft, settings))
    if detach:
        output.record(settings, execution, execution.id, "")
        return
    if not settings.for_people and not watch:
        output.document(settings, execution.to_dict())
    elif settings.for_people and execution.state == "COMPLETED":
        output.pretty(settings, execution.result or {})
    code = report_end(settings, execution)
    if code is not Exit.OK:
        raise typer.Exit(code)


def travelling(
    ctx: typer.Context, project_id: str, request_id: str, pairs: list[str] | None
) -> dict[str, str]:
    """Return what travels along; keys without a value are no context."""
    known = {"project_id": project_id, "request_id": request_id}
    found = {key: value for key, value in known.items() if value}
    return {**found, **chosen_pairs(ctx, pairs, "--context")}
