"""``weft health``: is everything well?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from weft.cli._base import output
from weft.cli._base.complete import service_names
from weft.cli._base.errors import Exit
from weft.cli._base.session import Settings, call
from weft.cli._base.text import humanize_seconds
from weft.cli._services.services import show_instances

if TYPE_CHECKING:
    from weft.client import DependencyHealth, IntegrationHealth, ServiceHealth

__all__ = ["health"]


def health(
    ctx: typer.Context,
    service: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE", help="Only this service, with its instances.", autocompletion=service_names
        ),
    ] = "",
) -> None:
    """Show how well the server, what it stands on, and every service is.

    The exit code is 0 when all of it is healthy, else 1.
    """
    settings = Settings.of(ctx)
    found: IntegrationHealth | ServiceHealth
    if service:
        found = one = call(settings, lambda weft: weft.registry.service_health(service))
        if settings.for_people:
            _show_service(settings, one)
    else:
        found = whole = call(settings, lambda weft: weft.registry.integration_health())
        if settings.for_people:
            _show_all(settings, whole)
    if not settings.for_people:
        output.document(settings, _plain(found))
    if found.health != "HEALTHY":
        raise typer.Exit(Exit.FAILED)


def _plain(found: IntegrationHealth | ServiceHealth) -> dict[str, Any]:
    """Return a JSON object; what the server says of itself always in one order."""
    plain = found.to_dict()
    if "server" in plain:
        plain["server"] = _ordered(plain["server"])
    return plain


def _ordered(about: Mapping[str, Any]) -> dict[str, Any]:
    """Sort the keys: on the wire they have no order. What is not known here comes last."""
    known = {key: about[key] for key in _ABOUT if key in about}
    return known | {key: about[key] for key in sorted(about)}


_MESH: Final = "mesh"
"""What the server says of the lists that its calls go by; shown only as far as they are stale."""

_ABOUT: Final = ("version", "address", "store", "pid", "time", "open_executions")


def _show_service(settings: Settings, found: ServiceHealth) -> None:
    output.line(settings, f"{found.service} ", found.health)
    if found.note:
        output.line(settings, "Note: ", found.note)
    output.line(settings, "")
    show_instances(settings, found.instances)


def _show_all(settings: Settings, found: IntegrationHealth) -> None:
    output.line(settings, "Weft ", found.health)
    about = [(key, value) for key, value in _ordered(found.server).items() if key != _MESH]
    output.fields(settings, [(key.replace("_", " "), value) for key, value in about])
    output.line(settings, "")
    rows = [_dependency_row(it) for it in found.dependencies] + [_service_row(it) for it in found.services]
    rows += _stale_rows(found.server.get(_MESH))
    output.table(settings, ("PART", "KIND", "HEALTH", "DETAIL"), rows, whole=("PART",))


def _dependency_row(it: DependencyHealth) -> tuple[str, str, str, str]:
    took = f"answered in {humanize_seconds(it.latency.total_seconds())}" if it.latency is not None else ""
    return it.name, "dependency", it.health, it.note or took


def _service_row(it: ServiceHealth) -> tuple[str, str, str, str]:
    passing = sum(instance.health == "PASSING" for instance in it.instances)
    counted = f"{passing} of {len(it.instances)} instances pass" if it.instances else "no instance"
    return it.service, "service", it.health, it.note or counted


def _stale_rows(mesh: Any) -> list[tuple[str, str, str, str]]:
    """Return a row for each list of instances that its source does not keep up to date."""
    routes = mesh.get("routes") if isinstance(mesh, Mapping) else None
    if not isinstance(routes, list):
        return []
    stale = [it for it in routes if isinstance(it, Mapping) and it.get("stale")]
    rows = [(str(it.get("target")), "list", "STALE", str(it.get("summary", ""))) for it in stale]
    more = int(mesh.get("stale_count") or 0) - len(rows)
    return [*rows, ("…", "list", "STALE", f"and {more} more")] if more > 0 else rows
