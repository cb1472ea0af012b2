"""``weft workflows alias``: names of versions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from weft.cli._base import output
from weft.cli._base.app import command, group
from weft.cli._base.complete import workflow_names
from weft.cli._base.options import not_empty
from weft.cli._base.session import Settings, call

if TYPE_CHECKING:
    from weft.client import Workflow, WorkflowAlias

__all__ = ["AliasOption", "aliases_text", "app"]

app = group("Name versions of a workflow, such as `stable`.")

WorkflowArgument = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="Name or id of the workflow.", autocompletion=workflow_names)
]
AliasArgument = Annotated[str, typer.Argument(metavar="ALIAS", help="Such as stable.")]
AliasOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", callback=not_empty, help="By which alias, in place of a version, such as stable."
    ),
]

_SHARE: Final = re.compile(r"(\d{1,18})(?:=(\d{1,3})%?)?", re.ASCII)


@command(
    app,
    "set",
    "weft workflows alias set document-processing stable 3",
    "weft workflows alias set document-processing stable 3=90 4=10",
)
def set_alias(
    ctx: typer.Context,
    workflow: WorkflowArgument,
    alias: AliasArgument,
    versions: Annotated[
        list[str],
        typer.Argument(
            metavar="VERSION[=PERCENT]...", help="A version; or several, with percentages that add up to 100."
        ),
    ],
) -> None:
    """Make an alias name a version, or share executions out among several.

    What runs keeps its version.
    """
    settings = Settings.of(ctx)
    shares = _read_shares(ctx, versions)
    found = call(settings, lambda weft: weft.workflows.set_alias(workflow, alias, shares))
    named = next(it for it in found.aliases if it.name == alias)
    output.record(settings, found, f"{found.name}@{alias} ", _shares_text(named))


@command(app, "delete", "weft workflows alias delete document-processing canary")
def delete_alias(ctx: typer.Context, workflow: WorkflowArgument, alias: AliasArgument) -> None:
    """Delete an alias; what runs keeps its version."""
    settings = Settings.of(ctx)
    call(settings, lambda weft: weft.workflows.delete_alias(workflow, alias))
    output.done(settings, f"{workflow}@{alias}", "deleted")


@command(app, "list", "weft workflows alias list document-processing")
def list_aliases(ctx: typer.Context, workflow: WorkflowArgument) -> None:
    """List the aliases of a workflow, and which versions they name."""
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.workflows.get(workflow))
    if settings.for_people:
        output.table(settings, ("ALIAS", "VERSIONS"), _rows(found), whole=("ALIAS",))
    else:
        items = [{"name": "latest", "shares": [{"version": found.version, "percent": 100}]}]
        output.document(settings, {"items": [*items, *(alias.to_dict() for alias in found.aliases)]})


def aliases_text(workflow: Workflow) -> str:
    """Return the aliases of a workflow in one line."""
    return "; ".join(f"{alias.name}: {_shares_text(alias)}" for alias in workflow.aliases)


def _rows(workflow: Workflow) -> list[tuple[str, str]]:
    return [
        ("latest", str(workflow.version)),
        *((alias.name, _shares_text(alias)) for alias in workflow.aliases),
    ]


def _shares_text(alias: WorkflowAlias) -> str:
    if len(alias.shares) == 1:
        return str(alias.shares[0].version)
    return ", ".join(f"{share.version} ({share.percent} %)" for share in alias.shares)


def _read_shares(ctx: typer.Context, texts: list[str]) -> dict[int, int]:
    """Return what was typed, as percentages by version."""
    found: dict[int, int] = {}
    for text in texts:
        share = _SHARE.fullmatch(text)
        if share is None or (len(texts) > 1 and share[2] is None):
            form = "VERSION=PERCENT, such as 3=90" if len(texts) > 1 else "a version, such as 3"
            raise typer.BadParameter(f"{text!r} is not {form}", ctx=ctx, param_hint="VERSION")
        if int(share[1]) in found:
            raise typer.BadParameter(f"version {share[1]} is named twice", ctx=ctx, param_hint="VERSION")
        found[int(share[1])] = 100 if share[2] is None else int(share[2])
    return found
