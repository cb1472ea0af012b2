"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["FileOption", "InputOption", "LimitOption", "PageTokenOption"]

FileOption = Annotated[
    str,
    typer.Option("--file", "-f", metavar="FILE", help="A .yaml, .yml or .json file; - reads stdin."),
]

InputOption = Annotated[
    str,
    typer.Option(
        "--input",
        "-i",
        metavar="JSON|@FILE|-",
        help="A JSON object, @ and a JSON or YAML file, or - for JSON from stdin.",
    ),
]

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most.")]

PageTokenOption = Annotated[
    str, typer.Option(metavar="TOKEN", help="Go on after a page that ended with this token.")
]
