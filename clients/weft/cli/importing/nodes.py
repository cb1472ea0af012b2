"""Data as the source sees it, and the expressions of Weft that give it.

A state or task of the source works on one document. What that document is made
of is followed through the import: the workflow's input, a step's output, an
object that takes over one and adds members. So a path of the source becomes the
shortest expression there is.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weft.cli.importing.cel import AND, ATOM, RELATION, UNARY, is_name, literal, quote, within

__all__ = [
    "CannotTranslateError",
    "Expr",
    "Items",
    "Missing",
    "Node",
    "Record",
    "Text",
    "Value",
    "node_of",
]


class CannotTranslateError(Exception):
    """Something of the source has no counterpart; the text says what and why."""


class Node(ABC):
    """A value of the source."""

    @abstractmethod
    def template(self) -> Any:
        """Return it as a part of a template."""

    @abstractmethod
    def expr(self) -> Expr:
        """Return it as one expression.

        Raises:
            CannotTranslateError: CEL cannot say it.
        """

    @abstractmethod
    def member(self, key: str | int) -> Node:
        """Return one of its members or items."""

    def present(self) -> Expr:
        """Return whether it is there."""
        return Expr("true")

    @property
    def is_object(self) -> bool | None:
        """Whether it is an object; None: nobody knows."""
        return False


@dataclass(frozen=True, slots=True)
class Expr(Node):
    """What an expression gives."""

    text: str
    rank: int = ATOM
    parent: Node | None = field(default=None, compare=False)
    key: str | int | None = field(default=None, compare=False)
    object: bool | None = None

    def template(self) -> Any:
        """Return ``${ … }``."""
        return f"${{{self.text}}}"

    def expr(self) -> Expr:
        """Return itself."""
        return self

    def at(self, rank: int) -> str:
        """Return the text as it stands where a rank is needed."""
        return within(self.text, self.rank, rank)

    def member(self, key: str | int) -> Expr:
        """Return the path one longer."""
        owner = self.at(ATOM)
        if isinstance(key, str) and is_name(key):
            return Expr(f"{owner}.{key}", parent=self, key=key)
        return Expr(f"{owner}[{literal(key)}]", parent=self, key=key)

    def present(self) -> Expr:
        """Ask for each member of the path."""
        if self.parent is None or self.key is None:
            return Expr("true")
        owner = self.parent.expr()
        before = self.parent.present()
        if isinstance(self.key, int):
            own = Expr(f"size({owner.text}) > {self.key}", RELATION)
        elif is_name(self.key):
            own = Expr(f"has({self.text})")
        else:
            own = Expr(f"{quote(self.key)} in {owner.at(ATOM)}", RELATION)
        return own if before.text == "true" else Expr(f"{before.at(AND)} && {own.at(AND)}", AND)

    @property
    def is_object(self) -> bool | None:
        """As far as it is known."""
        return self.object


@dataclass(frozen=True, slots=True)
class Value(Node):
    """A value that stands in the source."""

    value: Any

    def template(self) -> Any:
        """Return it, with ``${`` as ``$${``."""
        return _escaped(self.value)

    def expr(self) -> Expr:
        """Write it."""
        negative = isinstance(self.value, int | float) and not isinstance(self.value, bool) and self.value < 0
        return Expr(literal(self.value), UNARY if negative else ATOM)

    def member(self, key: str | int) -> Node:
        """Look it up."""
        try:
            return Value(self.value[key])
        except (KeyError, IndexError, TypeError):
            return Missing(str(key))

    @property
    def is_object(self) -> bool | None:
        """What it is."""
        return isinstance(self.value, dict)


@dataclass(frozen=True, slots=True)
class Missing(Node):
    """A member that nothing gives."""

    name: str

    def template(self) -> Any:
        """Return an expression that fails, as the source would."""
        return self.expr().template()

    def expr(self) -> Expr:
        """Return an expression that fails, as the source would."""
        return Expr(f"{{}}[{quote(self.name)}]")

    def member(self, key: str | int) -> Node:
        """Return what is missing as well."""
        return Missing(f"{self.name}.{key}")

    def present(self) -> Expr:
        """Return that it is not there."""
        return Expr("false")

    @property
    def is_object(self) -> bool | None:
        """Nobody knows."""
        return None


@dataclass(frozen=True, slots=True)
class Record(Node):
    """An object: members of its own, beside those of others that it takes over."""

    members: Mapping[str, Node] = field(default_factory=dict)
    bases: tuple[Node, ...] = ()

    def template(self) -> Any:
        """Return an object; what it takes over stands in its member ``...``."""
        own = {name: node.template() for name, node in self.members.items()}
        if not self.bases:
            return own
        taken = [base.template() for base in self.bases]
        return {"...": taken[0] if len(taken) == 1 else taken, **own}

    def expr(self) -> Expr:
        """Write an object of CEL, which cannot take over others."""
        if self.bases:
            raise CannotTranslateError("CEL cannot merge objects inside of an expression")
        return Expr(
            "{" + ", ".join(f"{quote(name)}: {node.expr().text}" for name, node in self.members.items()) + "}"
        )

    def member(self, key: str | int) -> Node:
        """Return its own member, or that of the object it takes over."""
        if key in self.members:
            return self.members[str(key)]
        if not self.bases:
            return Missing(str(key))
        only, *others = self.bases
        if others:
            raise CannotTranslateError(f"which of several merged objects has {key!r} is not known")
        return only.member(key)

    def having(self, name: str, node: Node) -> Record:
        """Return the object with one member more."""
        return Record({**self.members, name: node}, self.bases)

    @property
    def is_object(self) -> bool | None:
        """It is."""
        return True


@dataclass(frozen=True, slots=True)
class Items(Node):
    """A list."""

    items: Sequence[Node]

    def template(self) -> Any:
        """Return a list."""
        return [item.template() for item in self.items]

    def expr(self) -> Expr:
        """Write a list of CEL."""
        return Expr(f"[{', '.join(item.expr().text for item in self.items)}]")

    def member(self, key: str | int) -> Node:
        """Return one item."""
        if isinstance(key, int) and -len(self.items) <= key < len(self.items):
            return self.items[key]
        return Missing(str(key))


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A text with values put in."""

    parts: Sequence[str | Node]

    def template(self) -> Any:
        """Return a text with expressions; one that is a single expression is made a text."""
        if len(self.parts) == 1 and not isinstance(self.parts[0], str):
            return self.expr().template()
        return "".join(_piece(part) for part in self.parts)

    def expr(self) -> Expr:
        """Add the parts up."""
        texts = [
            quote(part) if isinstance(part, str) else f"string({part.expr().text})" for part in self.parts
        ]
        return Expr(" + ".join(texts) or '""', 4 if len(texts) > 1 else ATOM)

    def member(self, key: str | int) -> Node:
        """Say that a text has none."""
        return Missing(str(key))


def _piece(part: str | Node) -> str:
    if isinstance(part, str):
        return str(_escaped(part))
    if isinstance(part, Value) and isinstance(part.value, str | int):
        return str(_escaped(part.value if isinstance(part.value, str) else json.dumps(part.value)))
    return str(part.expr().template())


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    return value


def node_of(value: Any) -> Node:
    """Return a literal value, object by object, so that members can be taken and added."""
    if isinstance(value, dict):
        return Record({name: node_of(item) for name, item in value.items()})
    return Value(value)
