"""What the parts of an import are made of: steps, ways on, and what a list shares with those in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from weft.cli.importing.naming import Namer
from weft.cli.importing.nodes import Node
from weft.cli.importing.notes import Notes

__all__ = [
    "END",
    "MAX_ITERATIONS",
    "Exit",
    "NeedsVariablesError",
    "Piece",
    "Scope",
    "Source",
    "StepDict",
    "leave_by",
]

StepDict = dict[str, Any]
END: Final = ""
"""The target of what ends the list."""
MAX_ITERATIONS: Final = 100_000


class NeedsVariablesError(Exception):
    """Variables are needed where several run at the same time, and would share them."""


@dataclass(slots=True, kw_only=True)
class Scope:
    """What a list of steps shares with the lists in it."""

    notes: Notes
    """Where to say what is lost."""
    ids: Namer
    """Ids of steps."""
    names: Namer
    """Names of variables."""
    variable: str = ""
    """The variable for the data; empty: none yet."""
    alone: bool = True
    """Whether nothing else runs the same steps at the same time, so that variables are its own."""
    top: bool = True
    """Whether it is the workflow's own list."""
    wraps: bool = False
    """Whether what may be no object is put into the member ``result`` of the output: we read it ourselves."""

    def inner(self, *, alone: bool) -> Scope:
        """Return the scope of a list inside of this one."""
        return Scope(
            notes=self.notes,
            ids=self.ids,
            names=self.names,
            alone=self.alone and alone,
            top=False,
            wraps=True,
        )

    def data(self) -> str:
        """Return the name of the variable that holds the data.

        Raises:
            NeedsVariablesError: There can be none.
        """
        if not self.alone:
            raise NeedsVariablesError
        if not self.variable:
            self.variable = self.names("state", "state")
        return self.variable


@dataclass(slots=True, kw_only=True)
class Exit:
    """One way on."""

    target: str
    """Where to; ``END``: the list ends."""
    state: Node
    """The data that is handed on."""
    connect: Callable[[str], None]
    """Says which step it leads to."""
    step: StepDict | None = None
    """The step whose output can be made the data, if the list ends behind it."""
    needed: bool = False
    """Whether it has to lead to a step: a switch without a default fails."""


@dataclass(slots=True, kw_only=True)
class Piece:
    """What one state or task became."""

    steps: list[StepDict]
    """In order; the first is where it begins. None: it only changes the data, and has one exit."""
    exits: list[Exit] = field(default_factory=list)
    """Where it leads to."""


class Source(Protocol):
    """What is translated."""

    def targets(self, name: str) -> Sequence[str]:
        """Return where something leads to."""
        ...

    def translate(self, name: str, state: Node) -> Piece:
        """Return what becomes of it, with the data it works on."""
        ...

    def path(self, name: str) -> str:
        """Return where it stands."""
        ...

    def label(self, name: str) -> str:
        """Return its name, for people."""
        ...


def leave_by(step: StepDict, target: str, state: Node, *, output: bool = True) -> Exit:
    """Return the way on by a step's ``next``."""
    return Exit(
        target=target, state=state, connect=lambda to: step.update(next=to), step=step if output else None
    )
