"""Registering services from files, or one by its address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import typer

from weft.cli._base import output
from weft.cli._base.options import chosen_files
from weft.cli._base.session import Settings, call
from weft.cli._base.text import plural
from weft.core.errors import ValidationError

if TYPE_CHECKING:
    from weft.cli._files.definitions import Definition
    from weft.client import Client, Service

__all__ = ["Address", "How", "register_files", "register_named", "show_broken"]


def show_broken(settings: Settings, service: Service) -> None:
    """Write which workflows the change has broken, each with its first problem."""
    for it in service.broken:
        running = plural(it.open_executions, "open execution")
        output.line(settings, f"  breaks {it.workflow}@{it.version}", f" ({running})")
        for problem in it.problems[:1]:
            output.line(settings, f"    {problem.path}: {problem.message}")


class How(TypedDict):
    """What becomes of a service that is registered already."""

    replace: bool
    reject_breaking: bool


@dataclass(frozen=True, slots=True)
class Address:
    """One service that is registered without a file."""

    endpoint: str
    descriptor_set: Path | None
    grpc_services: tuple[str, ...]
    version: str


def register_named(
    ctx: typer.Context, given: Address, names: list[str] | None, file: list[str] | None, how: How
) -> Service:
    """Register one service that is named on the command line."""
    if file or not names or len(names) != 1:
        raise typer.BadParameter("these options are about one service: write its NAME, and no file", ctx=ctx)
    (name,) = names
    content = _read_descriptors(ctx, given.descriptor_set)
    return call(
        Settings.of(ctx),
        lambda weft: weft.registry.register(
            name,
            endpoint=given.endpoint,
            descriptor_set=content,
            grpc_services=given.grpc_services,
            version=given.version,
            **how,
        ),
    )


def _read_descriptors(ctx: typer.Context, path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path else b""
    except OSError as error:
        text = f"{path}: {error.strerror or error}"
        raise typer.BadParameter(text, ctx=ctx, param_hint="--descriptor-set") from None


def register_files(
    ctx: typer.Context, files: list[str] | None, file: list[str] | None, how: How
) -> list[Service]:
    """Register the services that files define."""
    from weft.cli._files.definitions import read_services  # noqa: PLC0415 - PyYAML, for the commands that use it

    definitions = read_services(chosen_files(ctx, files, file))
    return call(Settings.of(ctx), lambda weft: _register_all(weft, definitions, how))


async def _register_all(weft: Client, definitions: list[Definition], how: How) -> list[Service]:
    from weft.cli._files.definitions import in_files, located  # noqa: PLC0415 - as above

    found = []
    for it in definitions:
        try:
            found.append(await weft.registry.register(it.name, **it.values, **how))
        except ValidationError as error:
            raise in_files([located(it.label, fault) for fault in error.violations], [it.source]) from None
    return found
