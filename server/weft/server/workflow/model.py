"""Definitions of workflows, their versions, and what is found wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique

from weft.core.payload import JsonObject

__all__ = ["Definition", "Problem", "Severity", "Step", "Workflow", "WorkflowState"]


@unique
class WorkflowState(StrEnum):
    """Whether a workflow can be started."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


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
