"""What is asked of a start."""

from __future__ import annotations

from dataclasses import field
from datetime import timedelta
from enum import StrEnum, unique

from weft.core.context import CallContext
from weft.core.payload import JsonObject
from weft.core.values import dataclass
from weft.server.execution.history.model import Origin, Parent
from weft.server.execution.starting.attributes import Attributes
from weft.server.store.base import RequestKey

__all__ = ["KeyConflict", "KeyReuse", "RerunCommand", "StartCommand"]


@unique
class KeyReuse(StrEnum):
    """What a start does when its key belongs to executions that have ended."""

    ALLOW = "ALLOW"
    """It starts another one."""
    RETURN_EXISTING = "RETURN_EXISTING"
    """It returns the newest of them."""
    REJECT = "REJECT"
    """It is refused."""


@unique
class KeyConflict(StrEnum):
    """What a start does when its key belongs to an open execution."""

    FAIL = "FAIL"
    """It is refused."""
    USE_EXISTING = "USE_EXISTING"
    """It returns that one."""
    TERMINATE_EXISTING = "TERMINATE_EXISTING"
    """It cancels that one and starts another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCommand:
    """What to start, and how."""

    workflow: str
    """Id or name."""
    version: int
    """0: what the alias names, or else the latest."""
    input: JsonObject
    """What to start it with."""
    text: bytes
    """The same as JSON text."""
    context: CallContext
    """What travels with it."""
    timeout: timedelta | None
    """How long it may take in all; none: the workflow's own."""
    key: RequestKey | None
    """Makes the start idempotent."""
    execution_key: str = ""
    """The id that the caller chose."""
    reuse: KeyReuse = KeyReuse.ALLOW
    """When that one has ended."""
    conflict: KeyConflict = KeyConflict.FAIL
    """When that one is open."""
    origin: Origin = field(default_factory=Origin)
    """What it repeats."""
    attributes: Attributes = field(default_factory=dict)
    """What it can be found by."""
    alias: str = ""
    """By which alias it is started, in place of a version."""
    parent: Parent = field(default_factory=Parent)
    """Whose child it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunCommand:
    """Which execution to run anew, and from where."""

    execution: str
    """Id or key."""
    from_step: str
    """The first step that runs again; empty: the one that failed or was under way."""
    version: int
    """Of the workflow; 0: the same."""
    text: bytes | None
    """JSON text of another input; none: the same."""
    key: RequestKey | None
    """Makes the start idempotent."""
