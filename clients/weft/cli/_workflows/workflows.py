"""``weft workflows``: definitions, their versions, and what is wrong with them."""

from __future__ import annotations

from enum import StrEnum, unique
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weft.cli._base import output
from weft.cli._base.app import command, group
from weft.cli._base.complete import workflow_names
from weft.cli._base.errors import Exit, describe
from weft.cli._base.options import (
    MAX_NUMBER,
    FileOption,
    FilesArgument,
    LimitOption,
    PageTokenOption,
    chosen_files,
    chosen_pairs,
)
from weft.cli._base.session import Settings, call
from weft.cli._base.text import clean, humanize_seconds, local_time, plural
from weft.cli._workflows import aliases
from weft.cli._workflows.limits import concurrency_text
from weft.cli._workflows.testing import run_tests
from weft.cli.importing.command import import_workflows

if TYPE_CHECKING:
    from weft.cli._workflows.apply import Finding
    from weft.client import Client, Page, Workflow

__all__ = ["app"]

app = group("Define workflows, and see their versions.")
app.add_typer(aliases.app, name="alias")

WorkflowArgument = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="Name or id of the workflow.", autocompletion=workflow_names)
]


@unique
class State(StrEnum):
    """States to filter by."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    PAUSED = "paused"


@command(
    app,
    "apply",
    "weft workflows apply -f pipeline.yaml",
    "weft workflows apply first.yaml second.yaml",
    "cat pipeline.yaml | weft workflows apply -f -",
)
def apply(ctx: typer.Context, files: FilesArgument = None, file: FileOption = None) -> None:
    """Create or update the workflows that YAML or JSON files define.

    Keys: name, description, labels, metadata, input_schema, output_schema,
    timeout (30s, 5m, or seconds), retention, search_attributes, concurrency,
    defaults, steps and finally. A step has an id, and service and action, or
    one of switch, parallel, map, loop, wait, signal, approval, workflow, set,
    emit, fail and succeed: docs/workflows.md has them all. A file may hold
    several YAML documents; nothing is changed when one of them, in any of the
    files, has an error.
    """
    from weft.cli._files.definitions import read_workflows  # noqa: PLC0415 - as above
    from weft.cli._workflows.apply import apply_all  # noqa: PLC0415 - PyYAML, for the commands that use it

    settings = Settings.of(ctx)
    definitions = read_workflows(chosen_files(ctx, files, file))
    findings, outcomes = call(settings, lambda weft: apply_all(weft, definitions))
    if not settings.for_people:
        output.document(settings, {"items": [outcome.to_dict() for outcome in outcomes]})
    for outcome in outcomes if settings.for_people else ():
        output.line(
            settings, f"{outcome.workflow.name} ", outcome.text, style=output.state_style(outcome.what)
        )
    for finding in findings:
        output.note(_warning(finding))


@command(
    app,
    "validate",
    "weft workflows validate -f pipeline.yaml",
    "weft workflows validate --registry registry.json -f pipeline.yaml",
)
def validate(
    ctx: typer.Context,
    files: FilesArgument = None,
    file: FileOption = None,
    registry: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ask no server, but what `weft services export` has saved.",
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Find every problem of the workflows in YAML or JSON files, and store nothing.

    With --registry there is no server: services and workflows are those of a
    file, and the files that are checked together know each other.
    """
    from weft.cli._files.definitions import read_workflows  # noqa: PLC0415 - as above
    from weft.cli._workflows.apply import faults_of, validate_all  # noqa: PLC0415 - PyYAML, for the commands that use it
    from weft.cli._workflows.offline import load_registry, validate_offline  # noqa: PLC0415 - as above

    settings = Settings.of(ctx)
    definitions = read_workflows(chosen_files(ctx, files, file))
    if registry is None:
        findings = call(settings, lambda weft: validate_all(weft, definitions))
    else:
        findings = validate_offline(load_registry(registry), definitions)
    faults = faults_of(findings, definitions)
    if not settings.for_people:
        output.document(
            settings, {"valid": not faults, "problems": [finding.to_dict() for finding in findings]}
        )
    elif faults:
        for text in describe(faults):
            output.line(settings, text)
    else:
        output.line(settings, f"{', '.join(it.name for it in definitions)} ", "valid", style="green")
    for finding in () if faults or not settings.for_people else findings:
        output.line(settings, _warning(finding))
    if faults:
        raise typer.Exit(Exit.INVALID)


command(
    app,
    "import",
    "weft workflows import --from asl machine.asl.json > machine.yaml",
    "weft workflows import --from cncf orders.yaml --strict",
    "weft workflows import --from asl machine.json --map services.yaml --directory workflows",
)(import_workflows)

command(
    app,
    "test",
    "weft workflows test examples/document_pipeline/workflow.test.yaml",
    "weft workflows test *.test.yaml --output json",
    'weft workflows test trip.test.yaml --case "all goes well"',
)(run_tests)


def _warning(finding: Finding) -> str:
    hint = f" ({finding.problem.hint})" if finding.problem.hint else ""
    return clean(f"Warning: {finding.label}: {finding.problem.path}: {finding.problem.message}{hint}")


@command(
    app,
    "list",
    "weft workflows list",
    "weft workflows list --state inactive --output json",
    "weft workflows list --label team=checkout",
)
def list_workflows(
    ctx: typer.Context,
    state: Annotated[
        State | None, typer.Option(case_sensitive=False, help="Only workflows in this state.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=VALUE",
            help="Only workflows that have this label; may be repeated: then all of them.",
        ),
    ] = None,
    limit: LimitOption = 50,
    page_token: PageTokenOption = "",
) -> None:
    """List the workflows by name, each in its latest version."""
    settings = Settings.of(ctx)
    wanted = state.upper() if state else ""
    labels = chosen_pairs(ctx, label, "--label")

    async def fetch(weft: Client) -> Page[Workflow]:
        return await weft.workflows.list(
            state=wanted, labels=labels, page_size=limit, page_token=page_token, partial=True
        )

    page = call(settings, fetch)
    output.page(settings, page, ("NAME", "STATE", "VERSION", "STEPS", "UPDATED"), _row)


def _row(workflow: Workflow) -> tuple[object, ...]:
    path = " → ".join(step.id for step in workflow.steps)
    return workflow.name, workflow.state, workflow.version, path, local_time(workflow.update_time)


@command(
    app, "get", "weft workflows get document-processing", "weft workflows get document-processing --version 2"
)
def get_workflow(
    ctx: typer.Context,
    workflow: WorkflowArgument,
    version: Annotated[int, typer.Option(min=0, max=MAX_NUMBER, help="Which version; 0 is the latest.")] = 0,
) -> None:
    """Show one workflow and its steps."""
    from weft.cli._workflows.steps_table import steps_table  # noqa: PLC0415 - only for this command

    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.workflows.get(workflow, version=version))
    if not settings.for_people:
        output.document(settings, found.to_dict())
        return
    output.fields(
        settings,
        [
            ("Name", found.name),
            ("Id", found.id),
            ("State", found.state),
            ("Version", found.version),
            ("Aliases", aliases.aliases_text(found)),
            ("Description", found.description),
            ("Metadata", output.compact(found.metadata)),
            ("Input schema", output.compact(found.input_schema)),
            ("Output schema", output.compact(found.output_schema)),
            ("Timeout", humanize_seconds(found.timeout.total_seconds()) if found.timeout else ""),
            ("Concurrency", concurrency_text(found)),
            ("Retention", humanize_seconds(found.retention.total_seconds()) if found.retention else ""),
            ("Attributes", output.compact(found.search_attributes)),
            ("Labels", output.compact(found.labels)),
            ("Created", local_time(found.create_time)),
            ("Updated", local_time(found.update_time)),
        ],
    )
    output.line(settings, "")
    output.table(settings, *steps_table(found))


@command(app, "versions", "weft workflows versions document-processing")
def versions(
    ctx: typer.Context,
    workflow: WorkflowArgument,
    limit: LimitOption = 50,
    page_token: PageTokenOption = "",
) -> None:
    """List the versions of a workflow, newest first."""
    settings = Settings.of(ctx)
    page = call(
        settings, lambda weft: weft.workflows.versions(workflow, page_size=limit, page_token=page_token)
    )
    output.page(settings, page, ("VERSION", "CREATED", "STEPS"), _version_row)


def _version_row(workflow: Workflow) -> tuple[object, ...]:
    return workflow.version, local_time(workflow.version_create_time), plural(len(workflow.steps), "step")


@command(app, "delete", "weft workflows delete document-processing")
def delete(ctx: typer.Context, workflow: WorkflowArgument) -> None:
    """Delete a workflow; what runs goes on, and past executions stay readable."""
    settings = Settings.of(ctx)
    call(settings, lambda weft: weft.workflows.delete(workflow))
    output.done(settings, workflow, "deleted")


@command(app, "activate", "weft workflows activate document-processing")
def activate(ctx: typer.Context, workflow: WorkflowArgument) -> None:
    """Let a workflow be started, and its executions go on where it was paused."""
    _set_state(ctx, workflow, "ACTIVE")


@command(app, "deactivate", "weft workflows deactivate document-processing")
def deactivate(ctx: typer.Context, workflow: WorkflowArgument) -> None:
    """Let a workflow not be started until it is activated; what runs goes on."""
    _set_state(ctx, workflow, "INACTIVE")


@command(app, "pause", "weft workflows pause document-processing")
def pause(ctx: typer.Context, workflow: WorkflowArgument) -> None:
    """Hold all executions of a workflow until it is activated: no step of them is started.

    It can be started meanwhile; attempts that run may end, and are recorded.
    """
    _set_state(ctx, workflow, "PAUSED")


def _set_state(ctx: typer.Context, workflow: str, state: str) -> None:
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.workflows.set_state(workflow, state))
    output.record(settings, found, f"{found.name} ", found.state)
