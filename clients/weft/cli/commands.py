"""Every command of ``weft``, by noun."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from weft.cli._base.app import RootGroup, command
from weft.cli._base.errors import EXIT_CODES
from weft.cli._calls import calling, resolving
from weft.cli._executions import attempts, batches, executions
from weft.cli._executions import run as run_
from weft.cli._health import doctor as doctor_
from weft.cli._health import health as health_
from weft.cli._health import version as version_
from weft.cli._schedules import schedules
from weft.cli._services import services
from weft.cli._workflows import forms, workflows

__all__ = ["app", "run_command_line"]

_EPILOG = "\n".join(
    (
        "[bold]Exit codes[/bold]",
        *(f"  {int(code):>3}  {text}" for code, text in EXIT_CODES.items()),
        "",
        "",
        "[bold]Examples[/bold]",
        "  [cyan]weft server[/cyan]",
        "  [cyan]weft services list --output json[/cyan]",
        "  [cyan]weft workflows apply -f pipeline.yaml[/cyan]",
        """  [cyan]weft run hello --input '{"name": "Ada"}' --watch[/cyan]""",
    )
)

app = typer.Typer(
    name="weft",
    cls=RootGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode="rich",
    epilog=_EPILOG,
    help="Registry, workflows and durable executions over gRPC.",
)


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=version_.show_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Make the application a group; the global options are the group's own."""


app.add_typer(services.app, name="services")
app.add_typer(workflows.app, name="workflows")
command(
    workflows.app,
    "format",
    "weft workflows format pipeline.yaml",
    "weft workflows format --check first.yaml second.yaml",
    "cat pipeline.yaml | weft workflows format -",
)(forms.format_files)
command(
    workflows.app,
    "graph",
    "weft workflows graph document-processing",
    "weft workflows graph -f pipeline.yaml --format svg > pipeline.svg",
)(forms.graph)
command(
    workflows.app,
    "diff",
    "weft workflows diff document-processing",
    "weft workflows diff document-processing --from 1 --to 3",
    "weft workflows diff -f pipeline.yaml",
)(forms.diff)
command(workflows.app, "schema", "weft workflows schema > workflow.schema.json")(forms.schema)
app.add_typer(executions.app, name="executions")
app.add_typer(batches.app, name="batches")
app.add_typer(schedules.app, name="schedules")
app.add_typer(attempts.app, name="attempts")
command(
    app,
    "run",
    """weft run hello --input '{"name": "Ada"}'""",
    "weft run document-processing --input @input.json --watch",
    "weft run hello --input @input.json --detach",
    "weft run hello --input @input.json --attribute customer=acme",
)(run_.run)
command(
    app,
    "call",
    """weft call sentiment-analysis analyze --input '{"text": "fine"}'""",
    "weft call consul://carts",
    """weft call consul://carts GetCart --data '{"customer": "ada"}'""",
    "weft call 127.0.0.1:50051 Carts/GetCart --describe",
    "weft call orders --http GET /orders/7",
)(calling.call_service)
command(app, "resolve", "weft resolve text-extraction", "weft resolve 'consul://orders?tag=v1' --watch")(
    resolving.resolve
)
command(app, "health", "weft health", "weft health sentiment-analysis")(health_.health)
command(app, "doctor", "weft doctor", "weft doctor --target 127.0.0.1:7421")(doctor_.doctor)
command(app, "version", "weft version")(version_.version)


def run_command_line() -> None:
    """Run the command line of this process."""
    logging.getLogger("weft").addHandler(logging.NullHandler())  # what people must know is in the errors
    app(prog_name="weft")
