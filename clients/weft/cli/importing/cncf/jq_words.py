"""Words and operators of jq, as CEL has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from weft.cli.importing.cel import ATOM
from weft.cli.importing.nodes import CannotTranslateError, Expr, Node, Record, Text, Value
from weft.cli.importing.operators import both, choose, function, infix, invert

__all__ = [
    "EACH",
    "MEASURES",
    "METHODS",
    "OF_EACH",
    "Stream",
    "alternative",
    "compare_null",
    "merged",
    "plain",
    "unescaped",
]

EACH: Final = Expr("each")
"""An item, where each is worked on."""


@dataclass(frozen=True, slots=True)
class Stream(Node):
    """What ``.items[]`` gives: each item, until ``[ … ]`` collects them."""

    source: Expr
    body: Node = EACH
    filters: tuple[Expr, ...] = ()

    def template(self) -> Any:
        """Refuse: it is no value."""
        raise CannotTranslateError("several values, one after another, have no counterpart")

    def expr(self) -> Expr:
        """Refuse: it is no value."""
        raise CannotTranslateError("several values, one after another, have no counterpart")

    def member(self, key: str | int) -> Node:
        """Take the member of each."""
        return replace(self, body=self.body.member(key))

    def collected(self) -> Node:
        """Return the list of them."""
        found = self.source
        if self.filters:
            found = Expr(f"{found.at(ATOM)}.filter(each, {both(self.filters, '&&').text})")
        body = self.body.expr()
        return found if body == EACH else Expr(f"{found.at(ATOM)}.map(each, {body.text})")


MEASURES: Final[Mapping[str, Callable[[Node], Node]]] = {
    "length": lambda it: function("size", it),
    "not": invert,
    "tostring": lambda it: Text([it]),
    "tonumber": lambda it: function("double", it),
    "first": lambda it: it.member(0),
    "last": lambda it: Expr(f"{it.expr().at(ATOM)}[size({it.expr().text}) - 1]"),
    "any": lambda it: Expr(f"{it.expr().at(ATOM)}.exists(each, each)"),
    "all": lambda it: Expr(f"{it.expr().at(ATOM)}.all(each, each)"),
}
OF_EACH: Final = {"map": "map", "any": "exists", "all": "all"}
METHODS: Final = {
    "test": "matches",
    "startswith": "startsWith",
    "endswith": "endsWith",
    "contains": "contains",
}


def plain(token: str) -> str:
    """Return the name of a member that stands there literally."""
    if token[0] == '"':
        return unescaped(token[1:-1])
    if not re.fullmatch(r"\$?[A-Za-z_]\w*", token):
        raise CannotTranslateError(f"{token!r} is no literal name of a member")
    return token


def unescaped(text: str) -> str:
    """Return a text without its backslashes."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text)


def alternative(left: Node, right: Node) -> Node:
    """``a // b``: b, where a is missing, null or false."""
    value = left.expr()
    tests = [infix(value, "!=", Value(None)), infix(value, "!=", Value(False))]
    present = left.present()
    return choose(both(tests if present.text == "true" else [present, *tests], "&&"), value, right)


def compare_null(left: Node, operator: str) -> Node:
    """Compare with null; in jq a member that is missing is null."""
    present = left.present()
    own = infix(left, operator, Value(None))
    if present.text == "true":
        return own
    return both([present, own], "&&") if operator == "!=" else both([invert(present), own], "||")


def merged(left: Node, right: Node) -> Node:
    """``a + b`` of objects."""
    if isinstance(right, Record) and not right.bases:
        if isinstance(left, Record):
            return Record({**left.members, **right.members}, left.bases)
        return Record(right.members, (left,))
    return Record({}, (left, right))
