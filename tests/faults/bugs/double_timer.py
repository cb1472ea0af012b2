"""A timer that fires is recorded twice."""

from __future__ import annotations

from tests.faults.bugs.seams import change_bodies
from weft.server.execution.history.model import ExecutionTimedOut


def plant() -> None:
    change_bodies(lambda body: [body, body] if isinstance(body, ExecutionTimedOut) else [body])
