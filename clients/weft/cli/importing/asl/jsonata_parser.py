"""Expressions of JSONata, as far as CEL can say them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from weft.cli.importing.asl.paths import Context, resolve
from weft.cli.importing.cel import ATOM
from weft.cli.importing.nodes import CannotTranslateError, Expr, Items, Node, Record, Text, Value
from weft.cli.importing.operators import choose, function, infix, invert, method
from weft.cli.importing.pratt import Parser

__all__ = ["translate"]

_STATES: Final = "$states"
_NUMBER: Final = re.compile(r"\d")
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_WORDS: Final = {"true": True, "false": False, "null": None}
_INFIX: Final = {"=": "==", "or": "||", "and": "&&"}


def translate(text: str, states: Mapping[str, Node], context: Context) -> Node:
    """Return what an expression gives.

    Args:
        text: What stands between ``{%`` and ``%}``.
        states: The members of ``$states`` that are there.
        context: What else can be named.

    Raises:
        CannotTranslateError: There is no way to say it.
    """
    return _Jsonata(text, states, context).whole()


class _Jsonata(Parser):
    """One expression."""

    token: ClassVar = re.compile(
        r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\$\$?[A-Za-z_]\w*|"""
        r"""[A-Za-z_]\w*|!=|<=|>=|:=|~>|\*\*|\.\.|[-+*/%&=<>?:.,;()\[\]{}|@#^$!])\s*"""
    )
    powers: ClassVar = {
        "?": 10, "or": 20, "and": 30, "=": 40, "!=": 40, "<": 40, "<=": 40, ">": 40, ">=": 40, "in": 40,
        "&": 50, "+": 50, "-": 50, "*": 60, "/": 60, "%": 60,
    }  # fmt: skip

    def __init__(self, text: str, states: Mapping[str, Node], context: Context) -> None:
        super().__init__(text)
        self._states = states
        self._context = context

    def prefix(self, token: str) -> Node:
        """Read what begins with a token."""
        if token[0] in "\"'":
            return Value(_unquoted(token))
        if _NUMBER.match(token):
            return Value(float(token) if re.search(r"[.eE]", token) else int(token))
        if token in _WORDS:
            return Value(_WORDS[token])
        if token.startswith("$") and len(token) > 1:
            return self._named(token)
        return self._bracketed(token)

    def _bracketed(self, token: str) -> Node:
        match token:
            case "-":
                inner = self.parse(65)
                return Value(-inner.value) if isinstance(inner, Value) else infix(Value(0), "-", inner)
            case "(":
                inner = self.parse(0)
                self.expect(")")
                return inner
            case "[":
                return Items(self._several("]"))
            case "{":
                return self._object()
            case _:
                raise CannotTranslateError(f"{token!r} has no counterpart here")

    def postfix(self, node: Node) -> Node:
        """Read the members that follow a value."""
        while True:
            if self.take("."):
                key = self.next()
                if not _NAME.fullmatch(key) and key[0] not in '`"':
                    raise CannotTranslateError(f"{key!r} behind a dot has no counterpart")
                node = node.member(key.strip('`"'))
            elif self.peek() == "[":
                self.next()
                index = self.next()
                if not index.isdigit():
                    raise CannotTranslateError("filters in [ ] have no counterpart")
                self.expect("]")
                node = node.member(int(index))
            else:
                return node

    def infix(self, left: Node, operator: str, power: int) -> Node:
        """Read what is right of an operator."""
        if operator == "?":
            then = self.parse(0)
            if not self.take(":"):
                raise CannotTranslateError("?: needs both outcomes")
            return choose(left, then, self.parse(power - 1))
        right = self.parse(power)
        if operator == "&":
            return Text([*_pieces(left), *_pieces(right)])
        if operator == "/":
            return infix(function("double", left), "/", function("double", right))
        return infix(left, _INFIX.get(operator, operator), right)

    def _named(self, token: str) -> Node:
        if self.peek() == "(":
            self.next()
            return _call(token, self._several(")"))
        if token != _STATES:
            return resolve(token, self._context)
        self.expect(".")
        which = self.next()
        if which == "context":
            return self._from_context()
        if which not in self._states:
            raise CannotTranslateError(f"$states.{which} is not known here")
        return self._states[which]

    def _from_context(self) -> Node:
        path = "$$"
        while self.take("."):
            path += f".{self.next()}"
        return resolve(path, self._context)

    def _several(self, closing: str) -> list[Node]:
        found: list[Node] = []
        while not self.take(closing):
            if found:
                self.expect(",")
            found.append(self.parse(0))
        return found

    def _object(self) -> Node:
        members: dict[str, Node] = {}
        while not self.take("}"):
            if members:
                self.expect(",")
            key = self.next()
            if key[0] not in "\"'":
                raise CannotTranslateError("names of members are literal texts")
            self.expect(":")
            members[_unquoted(key)] = self.parse(0)
        return Record(members)


def _unquoted(token: str) -> str:
    if token[0] == '"':
        try:
            return str(json.loads(token))
        except ValueError:
            return token[1:-1]
    return re.sub(r"\\(.)", r"\1", token[1:-1])


def _pieces(node: Node) -> list[str | Node]:
    if isinstance(node, Text):
        return list(node.parts)
    return [node.value] if isinstance(node, Value) and isinstance(node.value, str) else [node]


def _merged(arguments: list[Any]) -> Node:
    (only,) = arguments
    if not isinstance(only, Items):
        raise CannotTranslateError("$merge needs a list of objects")
    return Record({}, tuple(only.items))


_FUNCTIONS: Final[Mapping[str, tuple[int, Callable[[list[Node]], Node]]]] = {
    "$count": (1, lambda it: function("size", it[0])),
    "$length": (1, lambda it: function("size", it[0])),
    "$exists": (1, lambda it: it[0].present()),
    "$not": (1, lambda it: invert(it[0])),
    "$string": (1, lambda it: Text(_pieces(it[0]))),
    "$number": (1, lambda it: function("double", it[0])),
    "$contains": (2, lambda it: method("contains", it[0], it[1])),
    "$append": (2, lambda it: infix(it[0], "+", it[1])),
    "$lookup": (2, lambda it: Expr(f"{it[0].expr().at(ATOM)}[{it[1].expr().text}]")),
    "$merge": (1, _merged),
}


def _call(name: str, arguments: list[Node]) -> Node:
    if name not in _FUNCTIONS:
        raise CannotTranslateError(f"{name} has no counterpart in CEL: let an action do it")
    count, make = _FUNCTIONS[name]
    if len(arguments) != count:
        raise CannotTranslateError(f"{name} with {len(arguments)} arguments has no counterpart")
    return make(arguments)
