"""What the expressions at one point of a definition may refer to, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from weft.server.workflow.checks.basis.compat import show_types
from weft.server.workflow.checks.basis.places import Outline, Place
from weft.server.workflow.checks.basis.report import Known
from weft.server.workflow.checks.basis.shapes import ANY_VALUE, Shape, Value, text_or
from weft.server.workflow.checks.data.state import Ledger, Room, State
from weft.server.workflow.expressions.syntax import Mention
from weft.server.workflow.expressions.template import SCOPE

__all__ = ["Taken", "Visible", "error_value"]

_NUMBER: Final = text_or("integer")
_NO_MEMBERS: Final = Shape({}, strict=True)


def error_value() -> Value:
    """Return what is known of `error`."""
    members = {name: text_or("string") for name in ("reason", "message", "code", "step")}
    members["metadata"] = Value(frozenset({"object"}))
    members["business"] = text_or("boolean")
    return Value(frozenset({"object"}), Shape(members, required=members))


@dataclass(frozen=True, slots=True)
class Taken:
    """One member that a path takes from an object."""

    owner: str
    """The object in words, such as ``the output of step 'a'``."""
    shape: Shape
    """What is known of it."""
    member: str
    """Which member."""
    depth: int
    """How many members of the path lead to the object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """What is there for an expression.

    A step that the list comes to has ``state``; ``extra`` are further values by name.
    """

    whole: Outline
    """All steps."""
    ledger: Ledger
    """What they give."""
    known: Known
    """The ids of all steps."""
    place: Place | None
    """The step that the expression belongs to; none for one of the workflow."""
    state: State
    """What has run."""
    room: Room
    """What the lists around it bring."""
    extra: dict[str, Value] = field(default_factory=dict)
    """Values that are only there for this expression."""
    roots: tuple[str, ...] = SCOPE
    """The names that are there anyway."""

    @property
    def names(self) -> list[str]:
        """All names that an expression may begin with."""
        found = [*self.roots, *self.extra]
        if self.room.item is not None:
            found += ["item", "index"]
        if self.room.iteration:
            found.append("iteration")
        if self.state.error_maybe or self.room.lost:
            found.append("error")
        return found

    def value(self, mention: Mention) -> Value:
        """Return what is known of a path."""
        found = self._start(mention)
        return found[0].at(mention.members[found[2] :]) if found else ANY_VALUE

    def taken(self, mention: Mention) -> Iterator[Taken]:
        """Yield every member that a path takes, from the first object of which something is known."""
        found = self._start(mention)
        if found is None:
            return
        value, label, start = found
        for depth, member in enumerate(mention.members[start:], start):
            if ("object" if isinstance(member, str) else "array") not in value.types:
                if isinstance(member, str) and value.types:
                    yield Taken(f"{label}, which is {show_types(value.types)},", _NO_MEMBERS, member, depth)
                return
            if isinstance(member, str):
                yield Taken(label, value.shape, member, depth)
                value, label = value.shape.member(member), f"{member!r} in {label}"
            else:
                value, label = value.element, f"an element of {label}"

    def _start(self, mention: Mention) -> tuple[Value, str, int] | None:
        """Return the value that a path begins with, its label, and how many members lead to it."""
        root, members = mention.root, mention.members
        if root in self.extra:
            label = f"the output of step {self._own_id!r}" if root == "output" else f"`{root}`"
            return self.extra[root], label, 0
        if root == "steps":
            known = members and isinstance(members[0], str) and not self.room.lost
            return (
                (self._of_step(str(members[0])), f"the output of step {members[0]!r}", 1) if known else None
            )
        return self._of_root(root, members)

    def _of_root(self, root: str, members: tuple[str | int, ...]) -> tuple[Value, str, int] | None:
        match root:
            case "input" if "input" in self.roots:
                return Value(frozenset({"object"}), self.ledger.input), "the workflow input", 0
            case "vars" if members and isinstance(members[0], str):
                return self.ledger.variable(members[0], self.state)[0], f"the variable {members[0]!r}", 1
            case "item" if self.room.item is not None:
                return self.room.item, "the item", 0
            case "index" | "iteration":
                return _NUMBER, f"`{root}`", 0
            case "error" if self.state.error_maybe:
                return error_value(), "`error`", 0
            case _:
                return None

    def _of_step(self, step_id: str) -> Value:
        bit = self.ledger.bit(step_id)
        there = bit >= 0 and self.state.maybe >> bit & 1
        return self.ledger.value(step_id) if there else ANY_VALUE

    @property
    def _own_id(self) -> str:
        return self.place.step.id if self.place else ""
