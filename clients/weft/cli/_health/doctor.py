"""``weft doctor``: why does it not work? Checks from this side, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from weft.cli._base import output
from weft.cli._base.errors import Exit
from weft.cli._base.interrupts import interrupts
from weft.cli._base.session import Settings

if TYPE_CHECKING:
    from weft.cli._health.checks import Check

__all__ = ["doctor"]


def doctor(ctx: typer.Context) -> None:
    """Check this installation, the way to the server, and the server itself.

    The exit code is 0 when nothing failed; warnings do not count.
    """
    from weft.cli._health.checks import run_checks  # noqa: PLC0415 - gRPC is slow to import

    settings = Settings.of(ctx)
    checks = interrupts.run(_collect(settings, run_checks))
    failed = sum(check.status == "FAIL" for check in checks)
    if not settings.for_people:
        output.document(settings, {"ok": not failed, "checks": [check.to_dict() for check in checks]})
    elif failed:
        output.note(f"{failed} of {len(checks)} checks failed.")
    if failed:
        raise typer.Exit(Exit.FAILED)


async def _collect(settings: Settings, run_checks: Any) -> list[Check]:
    found = []
    async for check in run_checks(settings):
        found.append(check)
        if settings.for_people:
            _show(settings, check)
    return found


def _show(settings: Settings, check: Check) -> None:
    output.line(
        settings,
        f"{check.status:<5}{check.name}: ",
        check.detail,
        style=output.state_style(check.status),
    )
    if check.hint:
        output.line(settings, "     ", f"→ {check.hint}")
