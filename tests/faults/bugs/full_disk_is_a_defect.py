"""A database without room is none of the faults that a server knows."""

from __future__ import annotations

from tests.faults.bugs.seams import wrap
from weft.server.store.postgres import _faults


def plant() -> None:
    wrap(_faults, "_FULL", lambda _: "")
    wrap(_faults, "_BREAKING_CLASSES", lambda known: known - {"53"})
