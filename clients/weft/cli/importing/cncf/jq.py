"""Runtime expressions: the part of jq that CEL can say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from weft.cli.importing.cel import ATOM
from weft.cli.importing.cncf.jq_words import (
    EACH,
    MEASURES,
    METHODS,
    OF_EACH,
    Stream,
    alternative,
    compare_null,
    merged,
    plain,
    unescaped,
)
from weft.cli.importing.nodes import CannotTranslateError, Expr, Items, Missing, Node, Record, Text, Value
from weft.cli.importing.operators import choose, function, infix, method
from weft.cli.importing.pratt import Parser

__all__ = ["expression", "is_expression", "text_of", "translate", "value_of"]

_WORDS: Final = {"true": True, "false": False, "null": None}
_INFIX: Final = {"or": "||", "and": "&&"}
_EVERYTHING: Final = ".."
_IF: Final = "if"
_MEMBER: Final = re.compile(r"\.[A-Za-z_]\w*")
_INSERTED: Final = re.compile(r"\\\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)")
_PART: Final = re.compile(r"\$\{([^}]*)\}")


def is_expression(value: Any) -> bool:
    """Tell whether a value is ``${ … }``."""
    return isinstance(value, str) and value.strip().startswith("${") and value.strip().endswith("}")


def expression(text: str) -> str:
    """Return what stands in ``${ … }``; conditions may be without."""
    stripped = text.strip()
    return stripped[2:-1] if is_expression(text) else stripped


def translate(text: Any, names: Mapping[str, Node]) -> Node:
    """Return what an expression gives; ``names`` holds ``.`` and variables such as ``$input``.

    Raises:
        CannotTranslateError: There is no way to say it.
    """
    if not isinstance(text, str):
        raise CannotTranslateError("is no expression")
    node = _Jq(expression(text), names).whole()
    if isinstance(node, Stream):
        node.template()
    return node


def text_of(text: str, names: Mapping[str, Node]) -> Node:
    """Return a text; ``${ … }`` in the middle of it is put in, as people mean it."""
    if is_expression(text) and _PART.fullmatch(text.strip()):
        return translate(text, names)
    if is_expression(text) and "${" not in text.strip()[2:]:
        return translate(text, names)
    parts: list[str | Node] = []
    at = 0
    for found in _PART.finditer(text):
        parts += [text[at : found.start()], translate(found[0], names)]
        at = found.end()
    parts.append(text[at:])
    return Text([part for part in parts if part != ""]) if len(parts) > 1 else Value(text)


def value_of(value: Any, names: Mapping[str, Node], path: str, lost: Callable[[str, str], None]) -> Node:
    """Return a value whose texts may be expressions; what cannot be said fails when it is used."""
    if isinstance(value, dict):
        return Record({name: value_of(each, names, f"{path}.{name}", lost) for name, each in value.items()})
    if isinstance(value, list):
        return Items([value_of(each, names, f"{path}[{at}]", lost) for at, each in enumerate(value)])
    if not isinstance(value, str) or "${" not in value:
        return Value(value)
    try:
        return text_of(value, names)
    except CannotTranslateError as error:
        lost(path, f"{value.strip()[:80]}: {error}")
        return Missing(f"not carried over: {value.strip()}"[:200])


class _Jq(Parser):
    """One expression."""

    token: ClassVar = re.compile(
        r"""\s*("(?:[^"\\]|\\.)*"|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\.|\.[A-Za-z_]\w*|\.|\$[A-Za-z_]\w*|@?[A-Za-z_]\w*|"""
        r"""//=?|\|=|!=|<=|>=|==|\?//|[-+*/%]=|[-+*/%=<>?:,;()\[\]{}|])\s*"""
    )
    powers: ClassVar = {
        "|": 5, "//": 15, "or": 20, "and": 30, "==": 40, "!=": 40, "<": 40, "<=": 40, ">": 40, ">=": 40,
        "+": 50, "-": 50, "*": 60, "/": 60, "%": 60,
    }  # fmt: skip

    def __init__(self, text: str, names: Mapping[str, Node]) -> None:
        super().__init__(text)
        self._names = names
        self._dot = names["."]

    def prefix(self, token: str) -> Node:
        """Read what begins with a token."""
        if token[0] == '"':
            return self._string(token)
        if token[0].isdigit():
            return Value(float(token) if re.search(r"[.eE]", token) else int(token))
        if token.startswith("."):
            return self._path(token)
        if token.startswith("$"):
            return self._variable(token)
        return self._word(token) if token[0].isalpha() else self._bracketed(token)

    def _path(self, token: str) -> Node:
        if token == _EVERYTHING:
            raise CannotTranslateError("`..` (everything within) has no counterpart")
        if len(token) > 1:
            return self._dot.member(token[1:])
        return self._dot.member(plain(self.next())) if self.peek().startswith('"') else self._dot

    def _word(self, token: str) -> Node:
        if token in _WORDS:
            return Value(_WORDS[token])
        return self._condition() if token == _IF else self._call(token)

    def _variable(self, token: str) -> Node:
        if token not in self._names:
            raise CannotTranslateError(f"{token} is not known in Weft")
        return self._names[token]

    def _bracketed(self, token: str) -> Node:
        match token:
            case "-":
                inner = self.parse(65)
                return Value(-inner.value) if isinstance(inner, Value) else infix(Value(0), "-", inner)
            case "(":
                inner = self._within(0)
                self.expect(")")
                return inner
            case "[":
                return self._list()
            case "{":
                return self._object()
            case _:
                raise CannotTranslateError(f"{token!r} has no counterpart here")

    def _within(self, power: int, dot: Node | None = None) -> Node:
        """Read a part in which ``.`` may be another value, and is the same as before behind it."""
        before, self._dot = self._dot, dot or self._dot
        node = self.parse(power)
        self._dot = before
        return node

    def postfix(self, node: Node) -> Node:
        """Read the members that follow a value."""
        while True:
            if _MEMBER.fullmatch(self.peek()):
                node = node.member(self.next()[1:])
            elif self.take("?"):
                raise CannotTranslateError("`?` (ignore errors) has no counterpart")
            elif self.take("["):
                node = self._index(node)
            elif self.take("."):
                node = self._index(node) if self.take("[") else node.member(plain(self.next()))
            else:
                return node

    def _index(self, node: Node) -> Node:
        if self.take("]"):
            return Stream(node.expr())
        key = self._within(0)
        self.expect("]")
        if isinstance(key, Value) and isinstance(key.value, str | int) and not isinstance(key.value, bool):
            return node.member(key.value)
        return Expr(f"{node.expr().at(ATOM)}[{key.expr().text}]")

    def infix(self, left: Node, operator: str, power: int) -> Node:
        """Read what is right of an operator."""
        if operator == "|":
            return self._pipe(left, power)
        right = self.parse(power)
        if operator == "//":
            return alternative(left, right)
        if operator in {"==", "!="} and isinstance(right, Value) and right.value is None:
            return compare_null(left, operator)
        if operator == "+" and (isinstance(left, Record) or isinstance(right, Record)):
            return merged(left, right)
        if operator == "/":
            return infix(function("double", left), "/", function("double", right))
        return infix(left, _INFIX.get(operator, operator), right)

    def _pipe(self, left: Node, power: int) -> Node:
        if not isinstance(left, Stream):
            return self._within(power - 1, left)
        if self.peek() == "select":
            self.next()
            self.expect("(")
            test = self._within(0, left.body)
            self.expect(")")
            return replace(left, filters=(*left.filters, test.expr()))
        return replace(left, body=self._within(power, left.body))

    def _condition(self) -> Node:
        condition = self._within(0)
        self.expect("then")
        then = self._within(0)
        if self.take("elif"):
            return choose(condition, then, self._condition())
        otherwise = self._within(0) if self.take("else") else self._dot
        self.expect("end")
        return choose(condition, then, otherwise)

    def _list(self) -> Node:
        found: list[Node] = []
        while not self.take("]"):
            if found:
                self.expect(",")
            found.append(self._within(0))
        if len(found) == 1 and isinstance(found[0], Stream):
            return found[0].collected()
        return Items(found)

    def _object(self) -> Node:
        members: dict[str, Node] = {}
        while not self.take("}"):
            if members:
                self.expect(",")
            token = self.next()
            key = plain(token)
            if self.take(":"):
                members[key] = self._within(5)
            else:
                members[key] = self._variable(token) if token.startswith("$") else self._dot.member(key)
        return Record({key.removeprefix("$"): node for key, node in members.items()})

    def _string(self, token: str) -> Node:
        raw = token[1:-1]
        parts: list[str | Node] = []
        at = 0
        for found in _INSERTED.finditer(raw):
            inner = _Jq(found[1].replace('\\"', '"'), {**self._names, ".": self._dot}).whole()
            parts += [unescaped(raw[at : found.start()]), inner]
            at = found.end()
        parts.append(unescaped(raw[at:]))
        kept = [part for part in parts if part != ""]
        return Text(kept) if len(parts) > 1 else Value(parts[0])

    def _call(self, name: str) -> Node:
        if name in MEASURES and self.peek() != "(":
            return MEASURES[name](self._dot)
        if self.take("("):
            return self._call_with(name)
        raise CannotTranslateError(f"{name!r} has no counterpart in CEL: let an action do it")

    def _call_with(self, name: str) -> Node:
        inner = EACH if name in {"map", "any", "all"} else self._dot
        argument = self._within(0, inner)
        if not self.take(")"):
            raise CannotTranslateError(f"{name!r} with several arguments has no counterpart")
        if name == "has" and isinstance(argument, Value) and isinstance(argument.value, str | int):
            return self._dot.member(argument.value).present()
        if name in OF_EACH:
            return Expr(f"{self._dot.expr().at(ATOM)}.{OF_EACH[name]}(each, {argument.expr().text})")
        if name in METHODS:
            return method(METHODS[name], self._dot, argument)
        raise CannotTranslateError(f"{name!r} has no counterpart in CEL: let an action do it")
