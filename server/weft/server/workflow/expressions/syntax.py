"""What can be told from the text of a CEL expression, without evaluating it.

The library gives no syntax tree, so this reads tokens and brackets into chains,
which is enough to know which values an expression mentions, how deep its
comprehensions nest, and where it ends within a text. It is only asked about
expressions that the library has accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Call", "Group", "Literal", "Macro", "Mention", "Node", "UnclosedError", "find_end", "parse"]

MACROS: Final = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
_KEYWORDS: Final = frozenset({"true", "false", "null", "in"})

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<string>
        [bB]?[rR][bB]?(?:'{3}.*?'{3}|"{3}.*?"{3}|'[^'\n]*'|"[^"\n]*")
      | [bB]?(?:'{3}(?:[^\\]|\\.)*?'{3}|"{3}(?:[^\\]|\\.)*?"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    )
  | (?P<quote>['"])
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>(?:0[xX][0-9A-Fa-f]+|(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)[uU]?)
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<dot>\.)
  | (?P<comma>,)
  | (?P<operator>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_STRING: Final = re.compile(r"""(['"])(?!\1)([^\\]+)\1""")


class UnclosedError(ValueError):
    """An expression has no end; the text says why."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a string, a sign, or a member such as ``.a`` of what stands before it."""

    text: str
    """As it is written."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A variable and the members taken from it by name or number."""

    root: str
    """The variable."""
    members: tuple[str | int, ...] = ()
    """``a``, ``["a"]`` and ``[0]``, as far as they are literal."""
    tested: bool = False
    """Whether ``has()`` asks for it, so that it may be missing."""


@dataclass(frozen=True, slots=True)
class Group:
    """What stands between brackets: chains, parted by commas and operators."""

    bracket: str = "("
    """The one that opens it."""
    chains: list[list[Node]] = field(default_factory=list)
    """Each is a value and what is taken from it."""
    operators: list[str] = field(default_factory=list)
    """What stands before each: an operator (of two characters the first), a comma, or nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function, as ``f(x)`` or ``x.f()``."""

    name: str
    """The function."""
    arguments: Group
    """What stands between its parentheses."""


@dataclass(frozen=True, slots=True)
class Macro:
    """A comprehension over all that precedes it in its chain."""

    name: str
    """Such as ``map``."""
    variable: str
    """The name of the element in the body."""
    body: Group
    """What is evaluated for every element."""


Node = Literal | Mention | Group | Call | Macro
_Token = tuple[str, str]


def find_end(text: str, start: int, limit: int) -> int:
    """Return where the ``}`` stands that closes the expression begun at ``start``.

    Raises:
        UnclosedError: There is none, or not within ``limit`` characters.
    """
    depth = 0
    for match in _TOKEN.finditer(text, start, min(len(text), start + limit + 1)):
        if match.lastgroup == "quote":
            raise UnclosedError("a quote is never closed")
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            if depth == 0:
                return match.start()
            depth -= 1
    if len(text) > start + limit:
        raise UnclosedError(f"it does not end within {limit:,} characters")
    raise UnclosedError("it is never closed by a '}'")


def parse(source: str) -> Group:
    """Read an expression into chains."""
    tokens = [
        (match.lastgroup or "operator", match.group())
        for match in _TOKEN.finditer(source)
        if match.lastgroup != "space"
    ]
    return _Parser(tokens).group("(", tested=False)


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def group(self, bracket: str, *, tested: bool) -> Group:
        """Read up to the bracket that closes the group, or to the end."""
        group = Group(bracket)
        chain: list[Node] = []
        before = ""
        while self._at < len(self._tokens):
            kind, text = self._take()
            if kind == "close":
                break
            if kind == "operator" and not chain:
                chain.append(Literal(text))  # a sign belongs to the value behind it
            elif kind in {"comma", "operator"} or text == "in":
                chain, before = self._cut(group, chain, before, text), text
            else:
                chain.extend(self._nodes(kind, text, tested=tested))
        self._cut(group, chain, before, "")
        return group

    @staticmethod
    def _cut(group: Group, chain: list[Node], before: str, text: str) -> list[Node]:
        """End a chain; an empty one between commas does not count."""
        if chain:
            group.chains.append(chain)
            group.operators.append(before)
        if text == ",":
            group.chains.append([])
            group.operators.append(text)
        return []

    def _nodes(self, kind: str, text: str, *, tested: bool) -> Iterator[Node]:
        if kind == "open":
            yield self.group(text, tested=tested)
        elif kind == "dot":
            yield from self._member(tested=tested)
        elif kind == "name" and text not in _KEYWORDS:
            yield self._name(text, tested=tested)
        else:
            yield Literal(text)

    def _name(self, name: str, *, tested: bool) -> Node:
        if self._peek() == ("open", "("):
            self._take()
            return Call(name, self.group("(", tested=tested or name == "has"))
        return Mention(name, tuple(self._members()), tested)

    def _member(self, *, tested: bool) -> Iterator[Node]:
        """Read what follows a dot behind something that is no variable: a member, or a call."""
        if self._peek()[0] != "name":
            return
        _, name = self._take()
        if self._peek() != ("open", "("):
            yield Literal(f".{name}")
            return
        self._take()
        arguments = self.group("(", tested=tested)
        yield _as_macro(name, arguments) or Call(name, arguments)

    def _members(self) -> Iterator[str | int]:
        """Read ``.a``, ``["a"]`` and ``[0]`` as long as they follow each other."""
        while True:
            first, second, third = (self._peek(ahead) for ahead in range(3))
            if first[0] == "dot" and second[0] == "name" and third != ("open", "("):
                self._at += 2
                yield second[1]
            elif first == ("open", "[") and third == ("close", "]"):
                member = _literal_member(second)
                if member is None:
                    return
                self._at += 3
                yield member
            else:
                return

    def _peek(self, ahead: int = 0) -> _Token:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ("end", "")

    def _take(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token


def _literal_member(token: _Token) -> str | int | None:
    kind, text = token
    if kind == "number" and text.isdecimal():
        return int(text)
    plain = _PLAIN_STRING.fullmatch(text) if kind == "string" else None
    return plain[2] if plain else None


def _as_macro(name: str, arguments: Group) -> Macro | None:
    """Read ``.map(x, …)``: its first argument is the bare name of the element."""
    chains = arguments.chains
    if name not in MACROS or len(chains) < 2 or chains[1] or len(chains[0]) != 1:
        return None
    variable = chains[0][0]
    if not isinstance(variable, Mention) or variable.members:
        return None
    return Macro(name, variable.root, Group("(", chains[2:], arguments.operators[2:]))
