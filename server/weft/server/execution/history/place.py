"""One list of steps that runs, and where it is: at one of its steps."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto, unique
from typing import Any

from weft.core.payload import JsonObject
from weft.server.execution.history.model import (
    Failure,
    IncidentRaised,
    IncidentResolved,
    MapStarted,
    Resolution,
    StepAccepted,
    StepFailed,
    StepProgressed,
    StepRetryScheduled,
    StepScheduled,
    StepWaiting,
)
from weft.server.execution.history.paths import id_of
from weft.server.execution.history.plan import PlannedStep
from weft.server.workflow.kinds import Loop, Map

__all__ = ["Parsed", "Phase", "Place"]


@unique
class Phase(Enum):
    """What there is to do."""

    READY = auto()
    """What follows the step is to be scheduled; the first one when there is none."""
    SCHEDULED = auto()
    """An attempt runs, or is lost when nobody here runs it; what is no action is to be worked out."""
    ACCEPTED = auto()
    """An attempt runs elsewhere; its outcome will be told."""
    RETRYING = auto()
    """The next attempt is due at ``retry_time``."""
    INCIDENT = auto()
    """Somebody has to decide."""
    WAITING = auto()
    """For a time, a message, a person or a child."""
    OPEN = auto()
    """Steps inside of it run."""
    FAILED = auto()
    """The step failed, and nothing in this list takes that."""
    ENDED = auto()
    """Nothing."""


class Parsed:
    """What the steps of one list gave, as it was read.

    Attributes:
        outputs: By id.
        merged: Their members, later ones winning.
    """

    __slots__ = ("merged", "outputs")

    def __init__(self, base: JsonObject) -> None:
        self.outputs: dict[str, JsonObject] = {}
        self.merged = base

    def add(self, step_id: str, output: JsonObject) -> None:
        """Take note of one more."""
        self.outputs[step_id] = output
        self.merged.update(output)


class Place:
    """Where a list of steps is.

    Attributes:
        scope: Which list: what stands before the step in its path.
        holder: The place of the step that the list is inside of; None at the top.
        number: Which branch, item or iteration of that step.
        phase: What there is to do.
        path: The step that it is about; empty before the first.
        planned: That step as the workflow has it; set by who knows the workflow.
        goto: Which step follows, where the step itself has chosen that; None: as defined.
        attempt: The newest attempt; 0 before the first.
        failures: How many attempts failed since it was first scheduled, or its incident was resolved.
        since: When that was.
        start_time: When the newest attempt was scheduled.
        close_time: When it has to be over, if it runs elsewhere.
        heard_time: When it was heard of last.
        retry_time: When the next attempt is due.
        progress: JSON text of what an attempt of the step told last; empty: nothing.
        input: JSON text that replaces the input that the step would make.
        failure: Why the last attempt failed.
        caught: The failure that brought it to a handler, and the step's path: the newest.
        waiting: What it waits for.
        looked_time: When its child was looked at last, or was to be started.
        seen: Whether this server has looked at its child.
        outputs: JSON texts of what its steps gave so far, by id, in the order they ran.
        fresh: Ids of those that were not read yet.
        parsed: What was read of them.
        inside: What runs inside of the step, by number.
        started: How many were begun inside.
        completed: How many of them are done.
        failed: Their failures, by number.
        results: JSON texts of what they gave, by number.
        items: What a map goes over, once that is known: JSON text.
        item_values: What was read of it.
        count: How many items there are.
        last: The newest of them that ended.
        previous: The place that it was.
    """

    __slots__ = (
        "attempt",
        "caught",
        "close_time",
        "completed",
        "count",
        "failed",
        "failure",
        "failures",
        "fresh",
        "goto",
        "heard_time",
        "holder",
        "input",
        "inside",
        "item_values",
        "items",
        "last",
        "looked_time",
        "number",
        "outputs",
        "parsed",
        "path",
        "phase",
        "planned",
        "previous",
        "progress",
        "results",
        "retry_time",
        "scope",
        "seen",
        "since",
        "start_time",
        "started",
        "waiting",
    )

    def __init__(self, scope: str, holder: Place | None = None, number: int = 0) -> None:
        self.scope = scope
        self.holder = holder
        self.number = number
        self.outputs: dict[str, bytes] = {}
        self.fresh: list[str] = []
        self.parsed: Parsed | None = None
        self.caught: tuple[Failure, str] | None = None
        self.phase = Phase.READY
        self.path = ""
        self.planned: PlannedStep | None = None
        self.goto: str | None = None
        self._reset()

    def _reset(self) -> None:
        self.attempt = self.failures = 0
        self.since: datetime | None = None
        self.start_time: datetime | None = None
        self.close_time: datetime | None = None
        self.heard_time: datetime | None = None
        self.retry_time: datetime | None = None
        self.progress = b""
        self.input: bytes | None = None
        self.failure: Failure | None = None
        self.waiting: StepWaiting | None = None
        self.looked_time: datetime | None = None
        self.seen = False
        self.inside: dict[int, Place] = {}
        self.started = self.completed = self.count = self.last = 0
        self.failed: dict[int, Failure] = {}
        self.results: dict[int, bytes] = {}
        self.items = b""
        self.item_values: Any = None
        self.previous: Place | None = None

    def unheard_before(self, moment: datetime) -> None:
        """Take note that nobody listened before: what was silent then may have spoken."""
        if self.heard_time is not None:
            self.heard_time = max(self.heard_time, moment)

    def silent_at(self, heartbeat_timeout: timedelta | None) -> datetime | None:
        """Return when an attempt that runs elsewhere has to be over, or to be heard of."""
        if heartbeat_timeout is None or self.heard_time is None or self.close_time is None:
            return self.close_time
        return min(self.close_time, self.heard_time + heartbeat_timeout)

    def schedule(self, body: StepScheduled, time: datetime) -> None:
        """Begin a step, or another attempt of it."""
        if body.step_id != self.path or self.since is None:
            self._reset()
            self.path = body.step_id
            self.since = time
        self.goto = None
        self.phase = Phase.SCHEDULED
        self.attempt = body.attempt
        self.start_time = self.heard_time = time
        self.close_time = self.retry_time = None

    def go_on(
        self,
        body: StepAccepted | StepProgressed | StepRetryScheduled | IncidentRaised | IncidentResolved,
        time: datetime,
    ) -> None:
        """Take note of what happens to an attempt."""
        match body:
            case StepAccepted():
                self.phase = Phase.ACCEPTED
                self.heard_time, self.close_time = time, body.close_time
            case StepProgressed():
                self.progress, self.heard_time = body.details, time
            case StepRetryScheduled():
                self.phase = Phase.RETRYING
                self.failures += 1
                self.failure, self.retry_time = body.failure, body.retry_time
            case IncidentRaised():
                self.phase = Phase.INCIDENT
                self.failure = body.failure
            case IncidentResolved():
                self._resolve(body, time)

    def _resolve(self, body: IncidentResolved, time: datetime) -> None:
        if body.resolution is not Resolution.RETRY:
            return  # its failure follows
        self.phase = Phase.RETRYING
        self.retry_time = self.since = time
        self.failures = 0
        if body.input is not None:
            self.input = body.input

    def enter(self, body: MapStarted | StepWaiting, time: datetime) -> None:
        """Take note of what a step begins that is no action."""
        if isinstance(body, MapStarted):
            self.phase = Phase.OPEN
            self.count, self.items = body.count, body.items
        else:
            self.phase = Phase.WAITING
            self.waiting, self.looked_time, self.seen = body, time, False

    def hold(self, inner: Place) -> None:
        """Take note that something begins inside."""
        self.phase = Phase.OPEN
        self.inside[inner.number] = inner
        self.started = max(self.started, inner.number + 1)

    def complete(self, path: str, output: bytes, goto: str | None) -> None:
        """Take note of what the step gave; another one is looked at now."""
        self._reset()
        self.path = path
        self.phase = Phase.READY
        self.goto = goto
        step_id = id_of(path)
        self.outputs.pop(step_id, None)  # the order is that of running
        self.outputs[step_id] = output
        self.fresh.append(step_id)

    def fail(self, body: StepFailed) -> None:
        """Take note that the step failed for good."""
        self._reset()
        self.path = body.step_id
        self.failure = body.failure
        if body.handled:
            self.phase, self.goto = Phase.READY, body.next
            self.caught = (body.failure, body.step_id)
        else:
            self.phase = Phase.FAILED

    def inside_completed(self, inner: Place, output: bytes) -> None:
        """Take note of what a list inside gave."""
        self.completed += 1
        does = self.planned.step.does if self.planned is not None else None
        if isinstance(does, Loop):
            self.results.clear()  # nobody asks for those before
        if not (isinstance(does, Map) and does.discard_outputs):
            self.results[inner.number] = output
        self.last, self.previous = inner.number, inner

    def inside_failed(self, inner: Place, failure: Failure) -> None:
        """Take note that a list inside failed."""
        self.failed[inner.number] = failure
        self.last = inner.number
