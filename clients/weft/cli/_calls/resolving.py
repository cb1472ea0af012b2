"""``weft resolve``: where a service is, as calls of it see it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from weft.cli._base import output
from weft.cli._base.complete import service_names
from weft.cli._base.errors import Exit
from weft.cli._base.mesh import over_mesh, with_version
from weft.cli._base.session import Settings

if TYPE_CHECKING:
    from weft.client.mesh import Endpoint, MeshClient, Snapshot

__all__ = ["resolve"]

_PATIENCE: Final = timedelta(seconds=5)


def resolve(
    ctx: typer.Context,
    service: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A name, host:port, or such as consul://orders?tag=v1.",
            autocompletion=service_names,
        ),
    ],
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show every change.")] = False,
    version: Annotated[
        str, typer.Option(metavar="RANGE", help="Only instances of these versions, such as ^1.4.")
    ] = "",
) -> None:
    """Show every instance of a service: how well it is, its version, zone, weight and tags.

    Where a bare name is looked up says the environment (SERVICE_<NAME>_URL,
    CONSUL_HTTP_ADDR), else the registry. The exit code is 0 when an instance
    can be called, else 6. --watch goes on until Ctrl-C; with --output json each
    change is a line.
    """
    settings = Settings.of(ctx)
    target = with_version(service, version)
    with _left_out_told():
        if watch:
            _watch(settings, target)
            return
        limit = settings.request_timeout or _PATIENCE
        found = over_mesh(settings, lambda mesh: mesh.resolve(target, timeout=limit))
    if settings.for_people:
        _show(settings, found)
        if not found.endpoints and not found.stale:
            output.note(f"Hint: {_hint(target, found.service)}")
    else:
        output.document(settings, _plain(found))
    if not found.callable():
        raise typer.Exit(Exit.UNAVAILABLE)


@contextmanager
def _left_out_told() -> Iterator[None]:
    logger, handler = logging.getLogger("weft.discovery.consul"), _LeftOut(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _LeftOut(logging.Handler):
    """Tells which entries of Consul cannot be called; what else is wrong stands in the list itself."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("Consul's list of "):
            output.note(output.clean(text))


def _watch(settings: Settings, target: str) -> None:
    async def follow(mesh: MeshClient) -> None:
        first = True
        async for found in mesh.watch(target):
            if not settings.for_people:
                output.stream_item(settings, _plain(found))
                continue
            if not first:
                output.line(settings, "")
            _show(settings, found)
            first = False

    over_mesh(settings, follow)


def _show(settings: Settings, found: Snapshot) -> None:
    if found.endpoints:
        titles = ("INSTANCE", "ADDRESS", "HEALTH", "VERSION", "ZONE", "WEIGHT", "TAGS")
        spare = ("WEIGHT", "TAGS", "ZONE", "VERSION")
        output.table(settings, titles, map(_row, found.endpoints), whole=titles[:3], spare=spare)
    elif not found.version:
        output.line(settings, f"{found.service}: ", "no source has answered yet")
    else:
        output.line(settings, f"{found.service}: ", "no instances")
    if found.stale:
        output.note(f"Stale: {output.clean(found.problem)}")


def _hint(target: str, name: str) -> str:
    """Say what to look at when nothing was found, and nothing is wrong with the source."""
    if target.startswith("env://"):
        from weft.discovery.environment import variable_of  # noqa: PLC0415 - commands start fast without it

        return f"{variable_of(name)} is not set."
    if "version=" in target:
        return "there may be other versions; without a range all are shown."
    text = "`weft services list` shows the names in the registry, `consul catalog services` those in Consul"
    in_consul = target.startswith("consul://") or ("://" not in target and os.environ.get("CONSUL_HTTP_ADDR"))
    if in_consul and not any(map(os.environ.get, ("CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE"))):
        text += "; one with ACLs shows none to whom has no token (CONSUL_HTTP_TOKEN)"
    return f"{text}."


def _row(it: Endpoint) -> tuple[object, ...]:
    place = "/".join(part for part in (it.datacenter, it.zone) if part)
    return (
        it.instance_id or "-",
        _address(it),
        it.health.value,
        it.version or "-",
        place or "-",
        it.weight,
        ", ".join(it.tags) or "-",
    )


def _address(it: Endpoint) -> str:
    scheme = it.protocol.value.lower() + ("s" if it.secure else "")
    return f"{scheme}://{it.address}{it.path}"


def _plain(found: Snapshot) -> dict[str, Any]:
    """Return a JSON object."""
    return {
        "service": found.service,
        "answered": found.version > 0,
        "stale": found.stale,
        "problem": found.problem,
        "instances": [{**asdict(it), "address": it.address, "tags": list(it.tags)} for it in found.endpoints],
    }
