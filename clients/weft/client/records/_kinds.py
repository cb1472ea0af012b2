"""What a step is when it is no call of an action; each is a member of ``Step``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weft.client.records._base import Record

if TYPE_CHECKING:
    from weft.client.records._step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchCase(Record):
    """One case of a switch."""

    when: str
    """A CEL expression that is true or false, bare or as ``${ … }``."""
    next: str = ""
    """Id of a step of the same list; empty: the list ends here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchStep(Record):
    """Goes on at the step of the first case that holds."""

    cases: tuple[SwitchCase, ...] = ()
    """In order."""
    default: str = ""
    """Id of the step, when no case holds; empty: the step fails with NO_CASE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch(Record):
    """One of several lists of steps that run at the same time."""

    name: str
    """Unique in its step."""
    steps: tuple[Step, ...] = ()
    """What it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelStep(Record):
    """Runs branches at the same time."""

    branches: tuple[Branch, ...] = ()
    """All of them."""
    join: int = 0
    """How many have to complete; 0: all."""
    collect_errors: bool = False
    """Wait for all that run, also when a branch fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStep(Record):
    """Runs a workflow and waits for its end."""

    name: str
    """Which workflow."""
    version: int = 0
    """Which version; 0: what the alias, or else the newest, is when it starts."""
    alias: str = ""
    """Or: which alias."""
    abandon: bool = False
    """When the parent ends first, let it run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStep(Record):
    """Runs the same steps, or a workflow, for each item."""

    items: Any = None
    """A list, or an object with ``from``, ``to`` and perhaps ``step``; with expressions."""
    steps: tuple[Step, ...] = ()
    """What is done for each."""
    workflow: ChildStep | None = None
    """Or: the workflow that is run for each."""
    max_concurrency: int = 0
    """How many items are worked on at the same time; 0: 100."""
    tolerated_failures: int = 0
    """How many items may fail; -1: any number."""
    discard_outputs: bool = False
    """Do not keep what each item gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStep(Record):
    """Runs the same steps again and again."""

    while_: str = ""
    """A CEL expression, looked at before each iteration: it goes on while it holds."""
    until: str = ""
    """Or: looked at after each iteration; it ends when it holds."""
    steps: tuple[Step, ...] = ()
    """What is done."""
    max_iterations: int = 0
    """More fail the step; 0: 1,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep(Record):
    """Waits for some time, or until a time."""

    duration: str = ""
    """Text such as ``90s`` or ``${input.days * 24}h``."""
    until: str = ""
    """Or: an RFC 3339 time, or an expression of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalStep(Record):
    """Waits for a message from outside."""

    name: str
    """Which."""
    correlation: str = ""
    """Text with expressions: only a message with the same one is taken; empty: any."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the message; None takes any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalStep(Record):
    """Waits for the decision of a person."""

    title: str
    """What is asked: text with expressions."""
    assignees: tuple[str, ...] = ()
    """Who is asked: texts with expressions."""
    due: str = ""
    """When it should be decided, from the step's start; only for people."""
    outcomes: tuple[str, ...] = ()
    """What can be decided; empty: ``approved`` and ``rejected``."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of ``data``; None takes any object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitStep(Record):
    """Records an event in the history."""

    type: str
    """Dotted words such as ``order.shipped``."""
    data: Mapping[str, Any] | None = None
    """A JSON object with expressions; None: ``{}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailStep(Record):
    """Fails with an error of the workflow's own."""

    reason: str
    """UPPER_SNAKE_CASE."""
    message: str = ""
    """Text with expressions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedStep(Record):
    """Ends the execution at once, with success."""

    result: Mapping[str, Any] | None = None
    """A JSON object with expressions; None: ``{}``."""
