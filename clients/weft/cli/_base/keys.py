"""Keys that callers choose for executions, as options."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Annotated, Any

import typer

from weft.cli._base.options import not_empty

__all__ = ["KeyConflictOption", "KeyOption", "KeyReuseOption", "chosen_key"]


@unique
class KeyReuse(StrEnum):
    """What to do when an execution that has ended has the key."""

    ALLOW = "allow"
    RETURN_EXISTING = "return-existing"
    REJECT = "reject"


@unique
class KeyConflict(StrEnum):
    """What to do when an open execution has the key."""

    FAIL = "fail"
    USE_EXISTING = "use-existing"
    TERMINATE_EXISTING = "terminate-existing"


KeyOption = Annotated[
    str,
    typer.Option(
        "--key",
        callback=not_empty,
        help="An id of your own for the execution; at most one open execution has it.",
    ),
]
KeyReuseOption = Annotated[
    KeyReuse | None,
    typer.Option(
        "--key-reuse", case_sensitive=False, help="When one that has ended has the key; allow by default."
    ),
]
KeyConflictOption = Annotated[
    KeyConflict | None,
    typer.Option("--key-conflict", case_sensitive=False, help="When an open one has it; fail by default."),
]


def chosen_key(
    ctx: typer.Context, key: str, reuse: KeyReuse | None, conflict: KeyConflict | None
) -> dict[str, Any]:
    """Return what a start says of its key."""
    if not key and (reuse or conflict):
        raise typer.BadParameter("--key-reuse and --key-conflict say what to do about a --key", ctx=ctx)
    return {
        "key": key,
        "key_reuse": reuse.name if reuse else "",
        "key_conflict": conflict.name if conflict else "",
    }
