"""What a filter says, as a tree, and the tree as text again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final, TypeAlias

__all__ = ["And", "Comparison", "Literal", "Not", "Operator", "Or", "Tree", "comparisons", "is_word", "show"]

_NO_WORD: Final = frozenset("\"'()*,=<>!\\")
"""What does not stand in a value without quotes."""
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "*": "\\*", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@unique
class Operator(StrEnum):
    """How a field is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    HAS = ":"


@dataclass(frozen=True, slots=True)
class Literal:
    """What a field is compared with, not yet read as any type."""

    text: str
    """Without quotes, escapes and the star at the end."""
    quoted: bool = False
    """Whether it stood in quotes, and so is text whatever it looks like."""
    prefix: bool = False
    """Whether a star stood at its end."""
    at: int = field(default=0, compare=False)
    """Where it stands: characters before it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field, an operator and a value."""

    name: str
    """Of the field: names joined by dots."""
    operator: Operator
    """How they are compared."""
    value: Literal
    """With what."""
    at: int = field(default=0, compare=False)
    """Where the field stands."""


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    term: Tree
    """That."""


@dataclass(frozen=True, slots=True)
class And:
    """Terms that must all hold, two at least."""

    terms: tuple[Tree, ...]
    """In their order."""


@dataclass(frozen=True, slots=True)
class Or:
    """Terms of which one must hold, two at least."""

    terms: tuple[Tree, ...]
    """In their order."""


Tree: TypeAlias = Comparison | Not | And | Or


def comparisons(tree: Tree) -> Iterator[Comparison]:
    """Yield every comparison, in the order of the text."""
    if isinstance(tree, Comparison):
        yield tree
    elif isinstance(tree, Not):
        yield from comparisons(tree.term)
    else:
        for term in tree.terms:
            yield from comparisons(term)


def is_word(text: str) -> bool:
    """Tell whether a value can stand without quotes."""
    return bool(text) and not any(char in _NO_WORD or char.isspace() or char < " " for char in text)


def show(tree: Tree) -> str:
    """Write a filter that says the same, in one spelling."""
    match tree:
        case Comparison():
            return f"{tree.name} {tree.operator} {_show_literal(tree.value)}"
        case Not():
            return f"NOT {_show_term(tree.term)}"
        case And():
            return " AND ".join(map(_show_term, tree.terms))
        case Or():
            return " OR ".join(map(_show_term, tree.terms))


def _show_term(tree: Tree) -> str:
    return f"({show(tree)})" if isinstance(tree, And | Or) else show(tree)


def _show_literal(value: Literal) -> str:
    star = "*" if value.prefix else ""
    if not value.quoted:
        return value.text + star
    return f'"{"".join(map(_escape, value.text))}{star}"'


def _escape(char: str) -> str:
    return _ESCAPES.get(char) or (char if char.isprintable() or char > "\uffff" else f"\\u{ord(char):04x}")
