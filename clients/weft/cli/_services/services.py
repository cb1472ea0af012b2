"""``weft services``: what is registered, and what it can do."""

from __future__ import annotations

from enum import StrEnum, unique
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weft.cli._base import output
from weft.cli._base.app import command, group
from weft.cli._base.complete import service_names
from weft.cli._base.options import FileOption, FilesArgument, LimitOption, PageTokenOption
from weft.cli._base.session import Settings, call
from weft.cli._base.text import humanize_seconds, local_time, plural
from weft.cli._services.registering import Address, How, register_files, register_named, show_broken
from weft.cli._services.schemas import summary
from weft.core.errors import WeftError

if TYPE_CHECKING:
    from weft.client import Action, Client, Instance, Page, Service, ServiceHealth

__all__ = ["app"]

app = group("Register services, and see what they can do.")

ServiceArgument = Annotated[
    str, typer.Argument(metavar="SERVICE", help="Name or id of the service.", autocompletion=service_names)
]


@unique
class State(StrEnum):
    """States to filter by."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DEPRECATED = "deprecated"


@command(app, "list", "weft services list --state active", "weft services list --output json")
def list_services(
    ctx: typer.Context,
    state: Annotated[
        State | None, typer.Option(case_sensitive=False, help="Only services in this state.")
    ] = None,
    limit: LimitOption = 50,
    page_token: PageTokenOption = "",
) -> None:
    """List the registered services by name."""
    settings = Settings.of(ctx)
    wanted = state.upper() if state else ""
    if not settings.for_people:
        output.document(
            settings,
            call(
                settings,
                lambda weft: weft.registry.list(state=wanted, page_size=limit, page_token=page_token),
            ).to_dict(),
        )
        return

    async def both(weft: Client) -> tuple[Page[Service], dict[str, ServiceHealth]]:
        found = await weft.registry.list(state=wanted, page_size=limit, page_token=page_token)
        return found, await _healths(weft)

    page, healths = call(settings, both)
    titles = ("NAME", "STATE", "HEALTH", "INSTANCES", "ACTIONS", "ENDPOINT", "UPDATED")
    output.page(
        settings, page, titles, lambda it: _row(it, healths.get(it.id)), spare=("UPDATED", "ENDPOINT")
    )


async def _healths(weft: Client) -> dict[str, ServiceHealth]:
    """Return the health of every service by id; nothing when the server cannot say, as the list goes on."""
    try:
        return {it.service_id: it for it in (await weft.registry.integration_health()).services}
    except WeftError:
        return {}


def _row(service: Service, health: ServiceHealth | None) -> tuple[object, ...]:
    return (
        service.name,
        service.state,
        health.health if health else "-",
        len(health.instances) if health else "-",
        ", ".join(action.name for action in service.actions),
        service.endpoint or "-",
        local_time(service.update_time),
    )


@command(app, "get", "weft services get text-extraction")
def get_service(ctx: typer.Context, service: ServiceArgument) -> None:
    """Show one service: its actions, and on a table its instances as well."""
    settings = Settings.of(ctx)
    if not settings.for_people:
        output.document(settings, call(settings, lambda weft: weft.registry.get(service)).to_dict())
        return

    async def both(weft: Client) -> tuple[Service, tuple[Instance, ...]]:
        found = await weft.registry.get(service)
        return found, (await weft.registry.instances(found.id)).items

    _show(settings, *call(settings, both))


def _show(settings: Settings, service: Service, instances: tuple[Instance, ...]) -> None:
    output.fields(
        settings,
        [
            ("Name", service.name),
            ("Id", service.id),
            ("State", service.state),
            ("Description", service.description),
            ("Version", service.version),
            ("Endpoint", service.endpoint),
            ("Metadata", output.compact(service.metadata)),
            ("Revision", service.revision),
            ("Registered", local_time(service.create_time)),
            ("Updated", local_time(service.update_time)),
        ],
    )
    if service.actions:
        output.line(settings, "")
        _show_actions(settings, service.actions)
    for other in service.other_versions:
        output.line(settings, "")
        output.line(settings, f"Version {other.version}, side by side:")
        _show_actions(settings, other.actions)
    output.line(settings, "")
    show_instances(settings, instances)


def _show_actions(settings: Settings, actions: tuple[Action, ...]) -> None:
    """Write the table of actions; the RPCs behind them where there are some."""
    titles: tuple[str, ...] = ("ACTION", "INPUT", "OUTPUT", "TIMEOUT", "DESCRIPTION")
    rows: list[tuple[object, ...]] = [_action_row(it) for it in actions]
    for title, values in (
        ("UNDONE BY", [it.compensation for it in actions]),
        ("RPC", [it.grpc_method for it in actions]),
    ):
        if any(values):
            titles = (*titles, title)
            rows = [(*row, value or "-") for row, value in zip(rows, values, strict=True)]
    output.table(settings, titles, rows, whole=("ACTION", "RPC"), spare=titles[5:])


def _action_row(action: Action) -> tuple[object, ...]:
    limit = humanize_seconds(action.timeout.total_seconds()) if action.timeout else "-"
    return action.name, summary(action.input_schema), summary(action.output_schema), limit, action.description


def show_instances(settings: Settings, instances: tuple[Instance, ...]) -> None:
    """Write the table of instances, or that there is none."""
    if not instances:
        output.line(settings, "no instances")
        return
    rows = [
        (it.id, f"{it.protocol.lower()}://{it.host}:{it.port}", it.health, it.version, it.health_note)
        for it in instances
    ]
    titles = ("INSTANCE", "ADDRESS", "HEALTH", "VERSION", "NOTE")
    output.table(settings, titles, rows, whole=titles[:3], spare=("VERSION",))


@command(
    app,
    "register",
    "weft services register -f services.yaml",
    "weft services register -f services.yaml --replace --reject-breaking",
    "weft services register carts --endpoint grpc://127.0.0.1:50051",
)
def register(
    ctx: typer.Context,
    files: FilesArgument = None,
    file: FileOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change a service that is registered already.")
    ] = False,
    reject_breaking: Annotated[
        bool,
        typer.Option("--reject-breaking", help="Refuse new schemas that would break workflows."),
    ] = False,
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="Register one service, NAME, by where it is.")
    ] = "",
    descriptor_set: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read its actions from this FileDescriptorSet.", dir_okay=False),
    ] = None,
    grpc_service: Annotated[
        list[str] | None,
        typer.Option(metavar="FULL_NAME", help="Take only this gRPC service; may be repeated."),
    ] = None,
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="Which version its actions belong to.")
    ] = "",
) -> None:
    """Register the services that YAML or JSON files define, or one by its address.

    Keys: name, description, version, endpoint (grpc://…, http://…, https://…,
    consul://…, dns://…), metadata, and actions, a list of name, description,
    input_schema, output_schema, idempotent, timeout, grpc_method and compensation
    (the action that undoes it). A file may hold several YAML documents. Without
    actions, a service that speaks gRPC is asked what it can do, as far as
    grpc_services names its services.

    With --endpoint or --descriptor-set the argument is no file but the NAME.
    """
    settings = Settings.of(ctx)
    how = How(replace=replace, reject_breaking=reject_breaking)
    if endpoint or descriptor_set or grpc_service or version:
        named = Address(endpoint, descriptor_set, tuple(grpc_service or ()), version)
        found = [register_named(ctx, named, files, file, how)]
    else:
        found = register_files(ctx, files, file, how)
    if settings.for_people:
        for service in found:
            actions = plural(len(service.actions), "action")
            output.line(settings, f"{service.name} ", f"registered ({actions}, revision {service.revision})")
            show_broken(settings, service)
            if not service.actions:
                output.note("It has no actions, so nothing of it can be called; a file names those of HTTP.")
    else:
        output.document(settings, {"items": [service.to_dict() for service in found]})


@command(app, "export", "weft services export > registry.json")
def export(ctx: typer.Context) -> None:
    """Write what is registered as one JSON document, to check workflows against it without a server.

    It holds the services with their schemas, and the workflows in their newest
    version and in those that aliases name: weft workflows validate --registry.
    """
    from weft.client.snapshot import take_snapshot  # noqa: PLC0415 - only here

    settings = Settings.of(ctx)
    output.document(settings, call(settings, take_snapshot))


@command(app, "deregister", "weft services deregister text-extraction")
def deregister(
    ctx: typer.Context,
    service: ServiceArgument,
    etag: Annotated[str, typer.Option(help="Only when the service still has this etag.")] = "",
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="Only the actions of this API version, such as 1.")
    ] = "",
) -> None:
    """Remove a service and its instances; running calls finish."""
    settings = Settings.of(ctx)
    call(settings, lambda weft: weft.registry.deregister(service, etag=etag, version=version))
    output.done(settings, service, "deregistered")


@command(app, "activate", "weft services activate text-extraction")
def activate(ctx: typer.Context, service: ServiceArgument) -> None:
    """Let a service take calls."""
    _set_state(ctx, service, "ACTIVE")


@command(app, "deactivate", "weft services deactivate text-extraction")
def deactivate(ctx: typer.Context, service: ServiceArgument) -> None:
    """Let a service take no calls until it is activated."""
    _set_state(ctx, service, "INACTIVE")


def _set_state(ctx: typer.Context, service: str, state: str) -> None:
    settings = Settings.of(ctx)
    found = call(settings, lambda weft: weft.registry.set_state(service, state))
    output.record(settings, found, f"{found.name} ", found.state)
