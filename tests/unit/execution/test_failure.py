"""Failures at rest: what an action says of its end is kept, up to a size that everybody can read."""

from __future__ import annotations

from typing import Final

import orjson
import pytest

from weft.core.errors import ActionFailedError, Code, ValidationError, Violation, WeftError
from weft.core.reasons import Rule
from weft.server.execution.history.failure import Failure

LARGE: Final = "é" * 1_000_000
MANY: Final = [Violation(f"input.items[{number}]", "is odd " * 20, Rule.INVALID) for number in range(10_000)]

HUGE: Final[list[WeftError]] = [
    ActionFailedError(LARGE, reason="LARGE", code=Code.ABORTED),
    ActionFailedError("x", reason="R" * 1_000_000),
    ActionFailedError("x", reason="META", metadata={f"key_{number}": "v" * 100 for number in range(30_000)}),
    ActionFailedError("x", reason="META", metadata={LARGE: LARGE}),
    ActionFailedError("x", reason="FAULTS", violations=MANY),
    ActionFailedError("x", reason="FAULTS", violations=[Violation(LARGE, LARGE, LARGE)]),
    ValidationError(MANY),
]


@pytest.mark.parametrize("error", HUGE, ids=range(len(HUGE)))
def test_whatever_an_action_says_the_execution_can_be_read(error: WeftError) -> None:
    """A message ends at 4 MiB, and one execution tells of many failures."""
    failure = Failure.of(error)
    assert len(orjson.dumps(failure, default=dict)) < 40_000
    assert failure.code is error.code


def test_what_was_left_out_is_said() -> None:
    """Texts that were cut end with three dots; the last fault says how many more there are."""
    failure = Failure.of(ActionFailedError(LARGE, reason="LARGE", violations=MANY))
    assert failure.message.startswith("éé")
    assert failure.message.endswith("…")
    assert failure.violations[0] == MANY[0]
    kept = len(failure.violations) - 1
    assert failure.violations[-1] == Violation("", f"and {10_000 - kept} more", "MORE")


def test_what_fits_is_kept_as_it_is() -> None:
    """Nothing of an ordinary failure changes."""
    error = ActionFailedError(
        "no\x00\n" + "m" * 8_000, reason="own words", metadata={"a": "b" * 1_000}, violations=MANY[:50]
    )
    failure = Failure.of(error)
    assert (failure.message, failure.reason) == (error.message, "own words")
    assert (failure.metadata, failure.violations) == (error.metadata, error.violations)
