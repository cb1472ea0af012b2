"""Definitions of workflows, their versions, and what is found wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique

from weft.core.payload import JsonObject
from weft.server.workflow.kinds import Fail, Kind, Loop, Map, Parallel, Succeed, Switch

__all__ = [
    "Cache",
    "Compensation",
    "Concurrency",
    "Definition",
    "ErrorHandler",
    "ErrorKind",
    "Exhausted",
    "OnConflict",
    "Problem",
    "RetryPolicy",
    "Severity",
    "Share",
    "Step",
    "StepDefaults",
    "StepLimit",
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


@unique
class OnConflict(StrEnum):
    """What becomes of an execution that is started while as many run as may."""

    QUEUE = "QUEUE"
    """It waits for its turn."""
    REJECT = "REJECT"
    """It is refused."""
    CANCEL_RUNNING = "CANCEL_RUNNING"
    """The oldest that runs is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """How many executions of a workflow run at the same time."""

    limit: int
    """How many, of each key."""
    key: str = ""
    """A template over ``input`` and ``context``; empty: one key for all executions."""
    on_conflict: OnConflict = OnConflict.QUEUE
    """What becomes of further ones."""


@unique
class ErrorKind(StrEnum):
    """Which failures."""

    ANY = "ANY"
    BUSINESS = "BUSINESS"
    """Meant by an action, or by a ``fail`` step."""
    TECHNICAL = "TECHNICAL"
    """All others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorHandler:
    """Where to go on after some failures."""

    reasons: tuple[str, ...] = ()
    """Which; none: all."""
    kind: ErrorKind = ErrorKind.ANY
    """Which kind of them."""
    next: str = ""
    """The step of the same list; empty: the list ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """How a completed step is undone."""

    service: str = ""
    """Empty: the step's own."""
    action: str
    """Which action does it."""
    input: JsonObject | None = None
    """Template, also over ``output`` and ``error``; none: the implicit data flow."""
    retry: RetryPolicy | None = None
    """How it is tried again; none: 10 attempts."""
    timeout: timedelta | None = None
    """How long one attempt may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Keeps what a step gave, for later executions of the workflow."""

    key: str = ""
    """Text with expressions; empty: the input."""
    ttl: timedelta
    """For how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimit:
    """Bounds calls of a step over all executions of the workflow."""

    key: str = ""
    """Text with expressions; calls of one key count together."""
    concurrency: int = 0
    """How many run at the same time; 0: any number."""
    rate: int = 0
    """How many are begun in each ``per``; 0: any number."""
    per: timedelta = timedelta(seconds=1)
    """The time that ``rate`` is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDefaults:
    """What steps have that say nothing themselves."""

    retry: RetryPolicy | None = None
    """How actions are tried again."""
    timeout: timedelta | None = None
    """How long one attempt may take."""
    heartbeat_timeout: timedelta | None = None
    """How long a running attempt may be silent."""
    schedule_to_close_timeout: timedelta | None = None
    """How long all attempts may take together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of an action, unless ``does`` says what else, and where to go from there."""

    id: str
    """Unique in the workflow, whatever the depth."""
    service: str = ""
    """Name of a registered service."""
    action: str = ""
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
    does: Kind | None = None
    """What it is; none: a call of ``action``."""
    output: JsonObject | None = None
    """Template, also over ``output``, of what the step is said to have given; none: all of it."""
    on_error: tuple[ErrorHandler, ...] = ()
    """Where to go on when it fails for good."""
    compensate: Compensation | None = None
    """What undoes it."""
    cache: Cache | None = None
    """How long what it gave is used again."""
    limit: StepLimit | None = None
    """How much it is called."""
    at_most_once: bool = False
    """Whether an attempt whose outcome is unknown is an incident, and not repeated."""

    @property
    def kind(self) -> str:
        """What it is, in one word."""
        return self.does.kind if self.does is not None else "action"

    @property
    def bodies(self) -> tuple[tuple[Step, ...], ...]:
        """The lists of steps inside of it."""
        match self.does:
            case Parallel(branches=branches):
                return tuple(branch.steps for branch in branches)
            case Map(steps=steps) | Loop(steps=steps):
                return (steps,) if steps else ()
            case _:
                return ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The steps of its own list that may follow it; empty for one that ends the list."""
        handled = tuple(handler.next for handler in self.on_error)
        match self.does:
            case Switch(cases=cases, default=default):
                found = tuple(case.next for case in cases)
                return (*found, default, *handled) if default else (*found, *handled)
            case Fail():
                return handled
            case Succeed():
                return ()
            case _:
                return (self.next, *handled)


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
    finally_steps: tuple[Step, ...] = ()
    """What runs at the end, however it ends."""
    defaults: StepDefaults | None = None
    """What steps have that say nothing themselves."""
    retention: timedelta | None = None
    """How long ended executions are kept; none: as the server is configured."""
    search_attributes: Mapping[str, str] = field(default_factory=dict)
    """What executions can be found by: templates over ``input`` and ``context``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """For people and tools."""

    def step(self, step_id: str) -> Step | None:
        """Return the step of that id at the top."""
        return next((step for step in self.steps if step.id == step_id), None)

    def every_step(self) -> Iterator[Step]:
        """Yield every step at every depth, a container before what it holds; ``finally`` last."""
        waiting = [*reversed(self.finally_steps), *reversed(self.steps)]
        while waiting:
            step = waiting.pop()
            yield step
            for body in reversed(step.bodies):
                waiting.extend(reversed(body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of the executions that are started by an alias run a version."""

    version: int
    """Which version."""
    percent: int
    """1 to 100; those of an alias add up to 100."""


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
    aliases: Mapping[str, tuple[Share, ...]] = field(default_factory=dict)
    """Names of versions, each with its shares by version; the same in every version."""

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
