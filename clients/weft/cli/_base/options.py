"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Final

import typer

__all__ = [
    "MAX_NUMBER",
    "FileOption",
    "FilesArgument",
    "InputOption",
    "LimitOption",
    "PageTokenOption",
    "chosen_files",
    "chosen_pairs",
    "not_empty",
]

FileOption = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="FILE", help="The same; may be repeated."),
]

FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="Each a .yaml, .yml or .json file; - reads stdin."),
]


def chosen_files(ctx: typer.Context, files: list[str] | None, file: list[str] | None) -> list[str]:
    """Return every file that was named, with or without ``--file``."""
    chosen = [*(files or ()), *(file or ())]
    if not chosen:
        raise typer.BadParameter("no file is named: write -f FILE, or -f - for stdin", ctx=ctx)
    return chosen


def chosen_pairs(ctx: typer.Context, pairs: list[str] | None, option: str) -> dict[str, str]:
    """Return what an option of the form ``KEY=VALUE`` says, the last one of a key winning."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{pair!r} is not of the form KEY=VALUE", ctx=ctx, param_hint=option)
        found[key] = value
    return found


def not_empty(ctx: typer.Context, param: typer.CallbackParam, value: str) -> str:
    """Refuse what was typed and is empty: a variable of somebody's shell that is not set."""
    if not value and str(ctx.get_parameter_source(str(param.name))).endswith("COMMANDLINE"):
        raise typer.BadParameter("it is empty; leave the option out where there is none")
    return value


InputOption = Annotated[
    str,
    typer.Option(
        "--input",
        "-i",
        metavar="JSON|@FILE|-",
        help="A JSON object, @ and a JSON or YAML file, or - for JSON from stdin.",
    ),
]

MAX_NUMBER: Final = 2**63 - 1
"""The largest number that a version or an event can have."""

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most.")]

PageTokenOption = Annotated[
    str, typer.Option(metavar="TOKEN", help="Go on after a page that ended with this token.")
]
