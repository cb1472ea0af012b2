"""Names offered by the shell as one types: asked of the server, best effort."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import typer

from weft.cli._base.session import Settings, call

if TYPE_CHECKING:
    from weft.client import Client, Page

__all__ = ["action_names", "execution_ids", "policies", "schedule_names", "service_names", "workflow_names"]

_PATIENCE: Final = 1.0
"""Seconds; who presses Tab does not wait longer."""

_LIMIT: Final = 200


def service_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of registered services."""
    items = _ask(ctx, lambda weft: weft.registry.list(page_size=_LIMIT))
    return [(item.name, item.description) for item in items if item.name.startswith(incomplete)]


def workflow_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of workflows."""
    items = _ask(ctx, lambda weft: weft.workflows.list(page_size=_LIMIT))
    return [(item.name, item.description) for item in items if item.name.startswith(incomplete)]


def schedule_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of schedules."""
    items = _ask(ctx, lambda weft: weft.schedules.list(page_size=_LIMIT))
    return [(item.name, item.description) for item in items if item.name.startswith(incomplete)]


def execution_ids(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the ids of the newest executions."""
    items = _ask(ctx, lambda weft: weft.executions.list(page_size=_LIMIT))
    return [
        (item.id, f"{item.workflow_name}, {item.state}") for item in items if item.id.startswith(incomplete)
    ]


def action_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the actions of the service that stands before."""
    items = _ask(ctx, lambda weft: weft.registry.list(page_size=_LIMIT))
    actions = [action for item in items if item.name == ctx.params.get("service") for action in item.actions]
    return [(action.name, action.description) for action in actions if action.name.startswith(incomplete)]


def policies(incomplete: str) -> list[str]:
    """Offer the names of the policies that choose instances."""
    from weft.mesh.balancing.config import POLICIES  # noqa: PLC0415 - only for who presses Tab

    return [name for name in POLICIES if name.startswith(incomplete)]


def _ask(ctx: typer.Context, fetch: Callable[[Client], Awaitable[Page[Any]]]) -> tuple[Any, ...]:
    async def in_time(weft: Client) -> tuple[Any, ...]:
        return (await asyncio.wait_for(fetch(weft), _PATIENCE)).items

    try:
        return call(Settings.of(ctx), in_time, patient=False)
    except Exception:
        return ()
