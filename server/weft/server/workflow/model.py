"""Definitions of workflows, their versions, and what is found wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique

from weft.core.payload import JsonObject

__all__ = [
    "Concurrency",
    "Definition",
    "Exhausted",
    "Problem",
    "RetryPolicy",
    "Severity",
    "Step",
    "Workflow",
    "WorkflowState",
]


@unique
class WorkflowState(StrEnum):
    """Whether a workflow can be started."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    PAUSED = "PAUSED"
    """Can be started; no step of it is dispatched until it is active again."""


@unique
class Exhausted(StrEnum):
    """What becomes of a step whose attempts are used up."""

    INCIDENT = "INCIDENT"
    """The execution waits until somebody resolves it."""
    FAIL = "FAIL"
    """The step fails, and the execution with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How a step is tried again. A step without one has a single attempt."""

    max_attempts: int = 3
    """Failed attempts in all; 0: without end."""
    initial_backoff: timedelta = timedelta(seconds=1)
    """From the first failure to the second attempt."""
    multiplier: float = 2.0
    """By how much each pause is longer than the one before."""
    max_backoff: timedelta = timedelta(minutes=1)
    """The longest pause."""
    jitter: float = 0.2
    """A pause is up to this share longer, by chance; never shorter."""
    non_retryable: tuple[str, ...] = ()
    """Reasons that end the attempts at once."""
    exhausted: Exhausted = Exhausted.INCIDENT
    """What happens when they are used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """How many executions of a workflow run at the same time; further ones wait for their turn."""

    limit: int
    """How many, of each key."""
    key: str = ""
    """A template over ``input`` and ``context``; empty: one key for all executions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of an action, and where to go from there."""

    id: str
    """Unique in the workflow."""
    service: str
    """Name of a registered service."""
    action: str
    """Name of one of its actions."""
    next: str = ""
    """The step that follows; empty: the end."""
    input: JsonObject | None = None
    """Template with ``${ … }`` expressions; none: the implicit data flow."""
    timeout: timedelta | None = None
    """How long one attempt may take."""
    description: str = ""
    """For people."""
    service_version: str = ""
    """Which versions of the service it takes, such as ``^1.4``; empty: those of the newest API version."""
    retry: RetryPolicy | None = None
    """How it is tried again; none: not at all."""
    schedule_to_close_timeout: timedelta | None = None
    """How long all its attempts may take together, the pauses included."""
    heartbeat_timeout: timedelta | None = None
    """How long a running attempt may be silent; none: to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a workflow does: the part that is versioned."""

    steps: tuple[Step, ...] = ()
    """The first one is where an execution begins."""
    input_schema: JsonObject | None = None
    """JSON Schema of an execution's input; none takes any object."""
    output_schema: JsonObject | None = None
    """JSON Schema of the result; none takes any object."""
    timeout: timedelta | None = None
    """How long an execution may take in all."""
    concurrency: Concurrency | None = None
    """How many executions run at the same time; none: as many as are started."""

    def step(self, step_id: str) -> Step | None:
        """Return the step of that id."""
        return next((step for step in self.steps if step.id == step_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A named definition, in one of its versions."""

    id: str
    """``wf_`` and 26 characters."""
    name: str
    """Unique among workflows that are not deleted."""
    description: str = ""
    """For people."""
    metadata: JsonObject = field(default_factory=dict)
    """Free values."""
    definition: Definition
    """What it does."""
    state: WorkflowState = WorkflowState.ACTIVE
    """Whether it can be started."""
    version: int = 1
    """1, 2, 3, …; grows when the definition changes."""
    revision: int = 1
    """Grows by one with every change."""
    create_time: datetime
    """When the workflow was created."""
    update_time: datetime
    """When it last changed."""
    version_create_time: datetime
    """When this version was created."""
    deleted: bool = False
    """Whether it was deleted; its versions stay for what runs."""

    @property
    def etag(self) -> str:
        """What a change is based on."""
        return f"r{self.revision}"


@unique
class Severity(StrEnum):
    """How serious a problem is."""

    ERROR = "ERROR"
    WARNING = "WARNING"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing found in a definition."""

    path: str
    """Where, such as ``steps[1].next``."""
    code: str
    """Which rule."""
    message: str
    """What is wrong."""
    hint: str = ""
    """What to do, when that can be said."""
    severity: Severity = Severity.ERROR
    """Whether the definition is refused for it."""
