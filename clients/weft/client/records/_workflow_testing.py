"""What came of a definition that ran against given results."""

from __future__ import annotations

from dataclasses import dataclass

from weft.client.records._base import Record
from weft.client.records._execution import Event, Execution
from weft.client.records._workflow import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowTest(Record):
    """What a definition does with the results that are given."""

    execution: Execution | None = None
    """As it ended, or as it waits; None: the definition has errors, and was not run."""
    events: tuple[Event, ...] = ()
    """Its history; at most 10,000 events."""
    problems: tuple[Problem, ...] = ()
    """What was found in the definition."""
    missing: tuple[str, ...] = ()
    """Paths of steps that were to run and have no result; the test ended there."""
    waiting: tuple[str, ...] = ()
    """Paths of steps that still wait, when nothing of what was given will come."""
    truncated: bool = False
    """Whether it was stopped at 10,000 events."""
