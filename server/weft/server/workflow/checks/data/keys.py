"""What is wrong with the expressions of the workflow as a whole: those that are known at its start."""

from __future__ import annotations

from typing import Final

from weft.server.workflow.checks.basis.places import Spot
from weft.server.workflow.checks.basis.report import AFTER_STEPS
from weft.server.workflow.checks.data.here import Desk
from weft.server.workflow.checks.data.state import START, Room
from weft.server.workflow.checks.data.visible import Visible
from weft.server.workflow.model import Definition

__all__ = ["check_keys"]

_ROOTS: Final = ("input", "context")


def check_keys(definition: Definition, desk: Desk) -> None:
    """Check the concurrency key and the search attributes."""
    visible = Visible(
        whole=desk.whole,
        ledger=desk.ledger,
        known=desk.known,
        place=None,
        state=START,
        room=Room(),
        roots=_ROOTS,
    )
    spot = Spot(AFTER_STEPS, "", desk.report)
    if definition.concurrency is not None:
        desk.texts.text(definition.concurrency.key, "concurrency.key", visible, spot)
    for name, value in definition.search_attributes.items():
        desk.texts.text(value, f"search_attributes.{name[:80]}", visible, spot)
