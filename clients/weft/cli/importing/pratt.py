"""Reads expressions of the source and says them in CEL on the way."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final

from weft.cli.importing.nodes import CannotTranslateError, Node

__all__ = ["Parser"]

MAX_DEPTH: Final = 60
MAX_TEXT: Final = 4_096


class Parser(ABC):
    """A parser by precedence; each language says what its words and operators mean."""

    token: ClassVar[re.Pattern[str]]
    """One token, in its group 1; what is no token is refused."""
    powers: ClassVar[Mapping[str, int]]
    """How strongly operators bind."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise CannotTranslateError(f"it is longer than {MAX_TEXT:,} characters")
        self._text = text
        self._tokens = self._split(text)
        self._at = 0
        self._depth = 0

    def _split(self, text: str) -> list[str]:
        tokens, at = list[str](), 0
        end = len(text.rstrip())
        while at < end:
            found = self.token.match(text, at)
            if not found:
                raise CannotTranslateError(f"{text[at:].strip()[:20]!r} cannot be read")
            tokens.append(found[1])
            at = found.end()
        return tokens

    def whole(self) -> Node:
        """Return all of it."""
        node = self.parse(0)
        if self.peek():
            raise CannotTranslateError(f"{self.peek()!r} has no counterpart here")
        return node

    def parse(self, power: int) -> Node:
        """Read an expression whose operators bind more strongly than some power."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise CannotTranslateError("it nests too deep")
        node = self.postfix(self.prefix(self.next()))
        while (own := self.powers.get(self.peek(), 0)) > power:
            node = self.infix(node, self.next(), own)
        self._depth -= 1
        return node

    @abstractmethod
    def prefix(self, token: str) -> Node:
        """Read what begins with a token."""

    @abstractmethod
    def postfix(self, node: Node) -> Node:
        """Read the members that follow a value."""

    @abstractmethod
    def infix(self, left: Node, operator: str, power: int) -> Node:
        """Read what is right of an operator."""

    def peek(self) -> str:
        """Return the token that comes next; empty at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def next(self) -> str:
        """Take a token."""
        token = self.peek()
        if not token:
            raise CannotTranslateError("it ends too early")
        self._at += 1
        return token

    def take(self, token: str) -> bool:
        """Take a token if it is the one that comes next."""
        found = self.peek() == token
        self._at += found
        return found

    def expect(self, token: str) -> None:
        """Take a token that has to be there."""
        if not self.take(token):
            raise CannotTranslateError(f"{token!r} is expected where {self.peek() or 'the end'!r} stands")
