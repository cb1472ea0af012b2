"""What a definition is run with when nothing is called, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from weft.core.schema import Schema
from weft.server.execution.history.model import Event, Failure
from weft.server.execution.history.run import ExecutionDetails
from weft.server.execution.orders.messages import SendSignal

__all__ = ["AttemptResult", "KnownAction", "Rehearsed", "TestMessage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What one attempt gives."""

    output: bytes | None = None
    """JSON text; none: it fails."""
    failure: Failure | None = None
    """Why it fails."""
    takes: timedelta = timedelta()
    """How long it takes."""


@dataclass(frozen=True, slots=True)
class KnownAction:
    """What is registered of an action."""

    takes: Schema
    """Schema of its input."""
    gives: Schema
    """Schema of its output."""
    undo: str = ""
    """The action of the same service that undoes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMessage:
    """A message that comes."""

    after: timedelta
    """When, from the start."""
    signal: SendSignal
    """The message."""

    __test__ = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What came of it."""

    details: ExecutionDetails
    """As it ended, or as it waits."""
    events: Sequence[Event]
    """Its history."""
    missing: Sequence[str]
    """Steps for which no result was given."""
    waiting: Sequence[str]
    """Steps that still wait, when nothing more comes."""
    truncated: bool
    """Whether it was stopped at ``MAX_EVENTS``."""
