"""Everything that a verdict is based on: what callers saw, what workers did, what is stored at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.faults.rig.record import Body, Operation, Window

FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})
"""States that an execution never leaves."""

LAST_EVENTS = {
    "execution_completed": "COMPLETED",
    "execution_failed": "FAILED",
    "execution_cancelled": "CANCELLED",
    "execution_timed_out": "TIMED_OUT",
}
"""Kinds of events that end a history, and the state that each leads to."""

STEP_KINDS = {
    "each": "map",
    "both": "parallel",
    "paid": "signal",
    "paid-again": "signal",
    "sub": "workflow",
    "kin": "map",
    "kin.run": "workflow",
    "never": "signal",
    "pause": "wait",
    "ask": "approval",
    "way": "switch",
    "again": "loop",
    "zero": "set",
    "tally": "set",
    "spread": "map",
}
"""What the steps are that call no action, by id: the rig gives its ids no other meaning."""

UNDONE = frozenset({"u0", "u1", "u2", "u3", "u4"})
"""Ids of the steps that something undoes; children are undone as well."""

CLOSING = {"tidy": ("f0", "f1")}
"""Workflows that do something at the end, and the ids of those steps in their order."""

AT_THE_END = ("undo/", "finally/")
"""How the paths begin of what runs when the outcome is decided."""

RATE_TTL, FRESH_TTL = 600.0, 1.0
"""For how many seconds the outputs of the steps ``rate`` and ``fresh`` are kept."""

CACHED = {"rate": RATE_TTL, "fresh": FRESH_TTL}
"""Ids of the steps whose outputs are kept, by the key that they are given, and for how long."""

TOGETHER = {"rate": 1, "narrow": 2}
"""Of how many calls of a step, with one key, the bodies may run at the same time."""

PACED = {"paced": (12, 1.0)}
"""How many calls of a step may begin, and in how many seconds."""

PAUSE = 0.4
"""How many seconds a waiting step waits."""


def step_kind(path: str) -> str:
    """Return what a step is; empty: a call of an action."""
    return STEP_KINDS.get(path.rpartition("/")[2], "")


def is_of_the_end(path: str) -> bool:
    """Tell whether a step runs because the outcome is decided."""
    return path.startswith(AT_THE_END)


HistoryEvent = Mapping[str, Any]
"""An event as the SDK shows it: ``number``, ``time``, ``kind``, ``data``."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An execution as it is read after the drain."""

    id: str
    state: str
    token: str
    """Which request started it: the driver puts it into the input."""
    last_event: int
    events: tuple[HistoryEvent, ...]
    result: Mapping[str, Any] | None = None
    created: float = 0.0
    """By the server's clock, in seconds since 1970."""
    timeout: float | None = None
    """How long it may take, as it was asked for."""
    parent: str = ""
    """Id of the execution whose child it is; empty: nobody's."""
    parent_step: str = ""
    """Path of the step that started it."""
    workflow: str = ""
    """What it is an execution of."""
    origin: str = ""
    """Of which execution it undoes what that did: its history begins with that one's."""

    def of_kind(self, *kinds: str) -> list[HistoryEvent]:
        return [event for event in self.events if event["kind"] in kinds]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one run left behind."""

    operations: tuple[Operation, ...] = ()
    bodies: tuple[Body, ...] = ()
    stored: Mapping[str, Stored] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    wall: float = 0.0
    """What the seconds since 1970 are ahead of the clock of operations, bodies and windows."""
    max_attempts: int | None = None
    """Of the steps' retry policy, where there is one."""
    backoff: float = 0.0
    """How many seconds a retry waits at the least."""
    store_faults: tuple[str, ...] = ()
    """What the store's own verification said after the servers were stopped."""
    log_faults: tuple[str, ...] = ()
    """Lines of the servers' logs that must not be there."""
    fences: tuple[Mapping[str, Any], ...] = ()
    """Writes that a paused server tried after it had lost its lease: ``accepted`` or not."""

    def ok(self, *names: str) -> list[Operation]:
        return [op for op in self.operations if op.ok and op.name in names]

    def is_calm(self, since: float, until: float) -> bool:
        """Tell whether nothing was done to the cluster between two times, in seconds since 1970."""
        began, ended = since - self.wall, until - self.wall
        return not any(window.began < ended and began < window.ended for window in self.windows)

    @cached_property
    def started(self) -> dict[str, set[str]]:
        """Ids that were answered, by request id."""
        found: dict[str, set[str]] = {}
        for op in self.ok("start", "execute"):
            found.setdefault(op.request["request_id"], set()).add(op.answer["id"])
        return found

    @cached_property
    def accepted(self) -> set[str]:
        """Ids of executions that somebody was told of."""
        return {one for ids in self.started.values() for one in ids}

    @cached_property
    def readings(self) -> dict[str, list[tuple[HistoryEvent, ...]]]:
        """Every beginning of a history that anybody read, by execution, in that order."""
        found: dict[str, list[tuple[HistoryEvent, ...]]] = {}
        for op in sorted(self.ok("history", "watch"), key=lambda op: op.ended):
            found.setdefault(op.request["id"], []).append(tuple(op.answer["events"]))
        return found

    @cached_property
    def bodies_of(self) -> dict[tuple[str, str], list[Body]]:
        """Runs of bodies, by execution and step."""
        found: dict[tuple[str, str], list[Body]] = {}
        for body in self.bodies:
            found.setdefault((body.execution, body.step), []).append(body)
        return found

    @cached_property
    def bodies_in(self) -> dict[str, list[Body]]:
        """Runs of bodies, by execution."""
        found: dict[str, list[Body]] = {}
        for body in self.bodies:
            found.setdefault(body.execution, []).append(body)
        return found


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and where."""

    invariant: str
    """Its name in the list of reliability promises, such as ``W3``."""
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"
