"""Steps of the rig's workflows that call its worker."""

from __future__ import annotations

from typing import Any, Final

from tests.faults.rig.worker import SERVICE

MAX_ATTEMPTS: Final = 20
"""Of each step: more than kills may cost it."""
BACKOFF: Final = 0.1
"""How many seconds a retry waits at the least."""
INPUT: Final = {"token": "${input.token}", "seconds": "${input.seconds}"}
"""What every step is given of the workflow's input."""


def work(step: str, *, next: str | None = None, **given: object) -> dict[str, Any]:  # noqa: A002 - the contract's name
    """Return a step that calls the worker."""
    return {
        "id": step,
        "service": SERVICE,
        "action": "work",
        "next": next,
        "input": {**INPUT, **given},
        "retry": {
            "max_attempts": MAX_ATTEMPTS,
            "initial_backoff": BACKOFF,
            "max_backoff": BACKOFF * 4,
            "on_exhausted": "FAIL",
        },
    }
