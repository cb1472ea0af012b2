"""``weft workflows`` that are about the form of definitions: format, graph, diff and schema."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weft.cli._base import output
from weft.cli._base.complete import workflow_names
from weft.cli._base.errors import Exit
from weft.cli._base.options import MAX_NUMBER, FileOption, FilesArgument, chosen_files
from weft.cli._base.session import Settings, call
from weft.cli._base.sources import STDIN, read_bytes, replace_text, source_name
from weft.core.errors import ValidationError, Violation

if TYPE_CHECKING:
    from weft.cli._files.diff import Change
    from weft.client import Client, Workflow

__all__ = ["diff", "format_files", "graph", "schema"]

WorkflowArgument = Annotated[
    str,
    typer.Argument(metavar="WORKFLOW", help="Name or id of the workflow.", autocompletion=workflow_names),
]
OneFileOption = Annotated[
    str, typer.Option("--file", "-f", metavar="FILE", help="A .yaml, .yml or .json file; - reads stdin.")
]


@unique
class Drawing(StrEnum):
    """Forms of a graph."""

    MERMAID = "mermaid"
    SVG = "svg"


def format_files(
    ctx: typer.Context,
    files: FilesArgument = None,
    file: FileOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 when a file would change.")
    ] = False,
) -> None:
    """Bring files of workflows into one form; what they mean stays, and so do their comments.

    Members have one order, durations one spelling, and lists one indentation.
    What comes from stdin goes to stdout.
    """
    from weft.cli._files.definitions import in_files  # noqa: PLC0415 - PyYAML, for the commands that use it
    from weft.cli._files.format import formatted  # noqa: PLC0415

    settings = Settings.of(ctx)
    sources = list(dict.fromkeys(chosen_files(ctx, files, file)))
    results: list[tuple[str, bytes, str]] = []
    faults: list[Violation] = []
    for source in sources:
        try:
            data = read_bytes(source)
            results.append((source, data, formatted(data, source)))
        except ValidationError as error:
            faults += error.violations
    if faults:
        raise in_files(faults, map(source_name, sources))
    changed = [(source, text) for source, data, text in results if text.encode() != data]
    for source, text in changed if not check else ():
        if source != STDIN:
            replace_text(source, text)
    if STDIN in sources and not check:
        sys.stdout.write(next(text for source, _, text in results if source == STDIN))
        return
    _tell(settings, [source for source, _ in changed], check=check)
    if check and changed:
        raise typer.Exit(Exit.FAILED)


def _tell(settings: Settings, changed: list[str], *, check: bool) -> None:
    names = [source_name(source) for source in changed]
    if not settings.for_people:
        output.document(settings, {"changed": names})
    for name in names if settings.for_people else ():
        output.line(settings, f"{name} ", "would change" if check else "changed")


def graph(
    ctx: typer.Context,
    workflow: WorkflowArgument = "",
    file: OneFileOption = "",
    version: Annotated[int, typer.Option(min=0, max=MAX_NUMBER, help="Which version; 0 is the latest.")] = 0,
    form: Annotated[
        Drawing, typer.Option("--format", case_sensitive=False, help="What to draw it as.")
    ] = Drawing.MERMAID,
) -> None:
    """Draw a workflow of the server, or one in a file, as Mermaid or SVG."""
    from weft.cli._drawing.graph import graphs_of  # noqa: PLC0415 - only for this command
    from weft.cli._drawing.mermaid import mermaid  # noqa: PLC0415 - as above
    from weft.cli._drawing.svg import svg  # noqa: PLC0415 - as above

    settings = Settings.of(ctx)
    _one_of(ctx, workflow, file)
    said = _from_file(file) if file else _from_server(settings, workflow, version)
    graphs = graphs_of(said)
    sys.stdout.write(mermaid(graphs) if form is Drawing.MERMAID else svg(graphs, said["name"]))


def _one_of(ctx: typer.Context, workflow: str, file: str) -> None:
    if bool(workflow) == bool(file):
        raise typer.BadParameter("name a workflow of the server, or a file by --file", ctx=ctx)


def _from_file(file: str) -> dict[str, Any]:
    from weft.cli._files.definitions import only_workflow  # noqa: PLC0415 - PyYAML, for those who use it
    from weft.cli._files.forms import meaning  # noqa: PLC0415 - as above
    from weft.cli._files.workflow_shape import WORKFLOW  # noqa: PLC0415 - as above

    found = only_workflow(file)
    return meaning(WORKFLOW, {"name": found.name, **found.values})


def _from_server(settings: Settings, workflow: str, version: int) -> dict[str, Any]:
    return _meaning(call(settings, lambda weft: weft.workflows.get(workflow, version=version)))


def _meaning(workflow: Workflow) -> dict[str, Any]:
    from weft.cli._files.forms import meaning  # noqa: PLC0415 - only for these commands
    from weft.cli._files.workflow_shape import WORKFLOW  # noqa: PLC0415 - as above

    return meaning(WORKFLOW, workflow)


def diff(
    ctx: typer.Context,
    workflow: WorkflowArgument = "",
    file: OneFileOption = "",
    before: Annotated[
        int,
        typer.Option("--from", min=0, max=MAX_NUMBER, help="Which version; by default the one before --to."),
    ] = 0,
    after: Annotated[
        int, typer.Option("--to", min=0, max=MAX_NUMBER, help="Which version; 0 is the latest.")
    ] = 0,
) -> None:
    """Show what is different between two versions, or between the server and a file.

    With --file, the change is the one that apply would make, to the version
    --from, by default the latest. The exit code is 1 when something is different.
    """
    from weft.cli._files.diff import differences  # noqa: PLC0415 - only for this command

    settings = Settings.of(ctx)
    if file:
        new = _from_file(file)
        old = _from_server(settings, workflow or new["name"], before)
    else:
        _one_of(ctx, workflow, file)
        old, new = call(settings, _versions(workflow, before, after))
    changes = list(differences(old, new))
    _show(settings, changes)
    if changes:
        raise typer.Exit(Exit.FAILED)


def _versions(
    workflow: str, before: int, after: int
) -> Callable[[Client], Awaitable[tuple[dict[str, Any], dict[str, Any]]]]:
    async def read(weft: Client) -> tuple[dict[str, Any], dict[str, Any]]:
        new = await weft.workflows.get(workflow, version=after)
        old = await weft.workflows.get(new.id, version=before or max(new.version - 1, 1))
        return _meaning(old), _meaning(new)

    return read


def _show(settings: Settings, changes: list[Change]) -> None:
    if not settings.for_people:
        shown = [change.to_dict() for change in changes]
        output.document(settings, {"different": bool(changes), "changes": shown})
    for change in changes if settings.for_people else ():
        output.line(settings, f"{change.path} ", _change_text(change))
    if settings.for_people and not changes:
        output.line(settings, "No difference.")


def _change_text(change: Change) -> str:
    if change.what in {"changed", "reordered"}:
        return f"{change.what}: {output.compact(change.before)} -> {output.compact(change.after)}"
    said = output.compact(change.after if change.what == "added" else change.before)
    return f"{change.what}: {said}"


def schema() -> None:
    """Print the JSON Schema of workflow files, for editors that complete and check while one writes."""
    from weft.cli._files.schema_file import SCHEMA_FILE  # noqa: PLC0415 - only for this command

    sys.stdout.write(SCHEMA_FILE.read_text(encoding="utf-8"))
