"""A server ends an execution that it cannot read, also when that is of a newer release."""

from __future__ import annotations

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine import claims


class _NobodyRaisesThisError(Exception):
    """In the place of the one that says so."""


def plant() -> None:
    wrap(claims, "NewerReleaseError", lambda _: _NobodyRaisesThisError)
