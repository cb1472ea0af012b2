"""What a step is when it is no call of an action (ADR 0019).

Each kind has a tag as its first field, which stands in the document at rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from weft.core.payload import JsonObject

if TYPE_CHECKING:
    from weft.server.workflow.model import Step

__all__ = [
    "Approval",
    "Branch",
    "Case",
    "Child",
    "Emit",
    "Fail",
    "Kind",
    "Loop",
    "Map",
    "Parallel",
    "SetVariables",
    "Signal",
    "Succeed",
    "Switch",
    "Wait",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way on from a switch."""

    when: str
    """A CEL expression, bare or as ``${ … }``."""
    next: str = ""
    """The step to go on with; empty: the list ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Goes on at the step of the first case that holds."""

    kind: Literal["switch"] = "switch"
    """The tag."""
    cases: tuple[Case, ...] = ()
    """In order."""
    default: str = ""
    """The step, when none holds; empty: NO_CASE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One of several lists of steps that run at the same time."""

    name: str
    """Unique in its step."""
    steps: tuple[Step, ...] = ()
    """What it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Runs branches at the same time."""

    kind: Literal["parallel"] = "parallel"
    """The tag."""
    branches: tuple[Branch, ...] = ()
    """All of them."""
    join: int = 0
    """How many have to complete; 0: all."""
    collect_errors: bool = False
    """Whether a branch that fails is no failure of the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """Runs another workflow."""

    kind: Literal["workflow"] = "workflow"
    """The tag."""
    name: str = ""
    """Which workflow."""
    version: int = 0
    """Which version; 0: the alias's, or the newest."""
    alias: str = ""
    """Which alias."""
    abandon: bool = False
    """Whether it outlives its parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Runs the same steps for each item."""

    kind: Literal["map"] = "map"
    """The tag."""
    items: Any = None
    """A list or ``{from, to, step}``, with expressions."""
    steps: tuple[Step, ...] = ()
    """What is done for each."""
    workflow: Child | None = None
    """Or the workflow that is run for each."""
    max_concurrency: int = 0
    """How many at the same time; 0: 100."""
    tolerated_failures: int = 0
    """How many may fail; -1: any number."""
    discard_outputs: bool = False
    """Whether what items gave is thrown away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Runs the same steps again and again."""

    kind: Literal["loop"] = "loop"
    """The tag."""
    while_: str = ""
    """Goes on while it holds; looked at before."""
    until: str = ""
    """Ends when it holds; looked at after."""
    steps: tuple[Step, ...] = ()
    """What is done."""
    max_iterations: int = 0
    """More fail the step; 0: 1,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Waits for a time."""

    kind: Literal["wait"] = "wait"
    """The tag."""
    duration: str = ""
    """Text such as ``1h30m``, with expressions."""
    until: str = ""
    """An RFC 3339 time, or an expression of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Waits for a message."""

    kind: Literal["signal"] = "signal"
    """The tag."""
    name: str = ""
    """Which message."""
    correlation: str = ""
    """Text with expressions; empty: any."""
    schema: JsonObject | None = None
    """What it has to be; none takes any object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Waits for a decision by a person."""

    kind: Literal["approval"] = "approval"
    """The tag."""
    title: str = ""
    """What is asked, with expressions."""
    assignees: tuple[str, ...] = ()
    """Who is asked, with expressions."""
    due: str = ""
    """When it should be decided, from the start of the step; as in ``Wait.duration``."""
    outcomes: tuple[str, ...] = ("approved", "rejected")
    """What can be decided."""
    schema: JsonObject | None = None
    """What ``data`` has to be; none takes any object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVariables:
    """Sets variables."""

    kind: Literal["set"] = "set"
    """The tag."""
    values: JsonObject
    """By name, with expressions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """Records an event."""

    kind: Literal["emit"] = "emit"
    """The tag."""
    type: str = ""
    """Which kind of event."""
    data: JsonObject | None = None
    """What it says, with expressions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """Raises an error."""

    kind: Literal["fail"] = "fail"
    """The tag."""
    reason: str = ""
    """UPPER_SNAKE_CASE."""
    message: str = ""
    """For people, with expressions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeed:
    """Ends the execution with success."""

    kind: Literal["succeed"] = "succeed"
    """The tag."""
    result: JsonObject | None = None
    """The result, with expressions; none: ``{}``."""


Kind: TypeAlias = (
    Switch | Parallel | Map | Loop | Wait | Signal | Approval | Child | SetVariables | Emit | Fail | Succeed
)
