"""Limits of a definition as a whole, and what a step says beside what it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.places import Spot
from weft.server.workflow.checks.basis.report import AFTER_STEPS, BEFORE_STEPS, Report
from weft.server.workflow.model import Definition, ErrorHandler, ErrorKind, Step

__all__ = ["FAR_TOO_MANY", "MAX_STEPS", "MAX_STEP_TIMEOUT", "MAX_TIMEOUT", "check_policies", "check_whole"]

MAX_STEPS: Final = 1_000
FAR_TOO_MANY: Final = 10 * MAX_STEPS
"""From here on only their number is told."""
MAX_STEP_TIMEOUT: Final = timedelta(hours=24)
MAX_TIMEOUT: Final = timedelta(days=365)


def check_whole(definition: Definition, count: int, report: Report) -> None:
    """Report limits of the whole; ``count`` is how many steps it has at all depths."""
    if count > MAX_STEPS:
        message = f"{min(count, FAR_TOO_MANY):,} steps are over the limit of {MAX_STEPS:,}"
        if count > FAR_TOO_MANY:
            message = f"more than {message}"
        report.add(BEFORE_STEPS, "steps", Rule.TOO_MANY, message)
    timeout = definition.timeout
    if timeout is not None and not timedelta(0) <= timeout <= MAX_TIMEOUT:
        message = f"{timeout} is not between 0 and {MAX_TIMEOUT.days} days"
        report.add(AFTER_STEPS, "timeout", Rule.OUT_OF_RANGE, message)


def check_policies(step: Step, spot: Spot) -> None:
    """Report what is out of range, and handlers that are never asked."""
    most, words = (
        (MAX_STEP_TIMEOUT, "24 hours") if step.does is None else (MAX_TIMEOUT, f"{MAX_TIMEOUT.days} days")
    )
    if step.timeout is not None and not timedelta(0) < step.timeout <= most:
        message = f"{step.timeout} is not above 0 and at most {words}"
        spot.add("timeout", Rule.OUT_OF_RANGE, message)
    _check_handlers(step, spot)


def _check_handlers(step: Step, spot: Spot) -> None:
    for number, handler in enumerate(step.on_error):
        before = next(
            (at for at, earlier in enumerate(step.on_error[:number]) if _takes_all(earlier, handler)), None
        )
        if before is not None:
            message = f"on_error[{before}] takes every failure that this one is for"
            hint = "put it first, or remove it"
            spot.warn(f"on_error[{number}]", Rule.HANDLER_UNREACHABLE, message, hint)


def _takes_all(earlier: ErrorHandler, later: ErrorHandler) -> bool:
    """Tell whether a handler takes all that a later one would."""
    kind = earlier.kind in {ErrorKind.ANY, later.kind}
    return kind and (
        not earlier.reasons or (bool(later.reasons) and set(later.reasons) <= set(earlier.reasons))
    )
