"""``weft version``: what is installed here."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Final

import typer

from weft.cli._base import output
from weft.cli._base.session import Settings

__all__ = ["show_version", "version"]

_PACKAGES: Final = ("weft", "grpcio", "protobuf")


def version(ctx: typer.Context) -> None:
    """Print the versions of Weft, Python and gRPC on this side."""
    settings = Settings.of(ctx)
    found = {name: _installed(name) for name in _PACKAGES} | {"python": platform.python_version()}
    if settings.for_people:
        output.line(settings, "", " ".join(f"{name} {number}" for name, number in found.items()))
    else:
        output.document(settings, found)


def show_version(asked: bool) -> None:
    """Print the version of Weft alone, and end: what ``--version`` does."""
    if asked:
        typer.echo(f"weft {_installed('weft')}")
        raise typer.Exit


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return "unknown"
