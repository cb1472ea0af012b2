"""The characters of a filter: names, operators, words and quoted texts."""

from __future__ import annotations

import re
from typing import Final, NoReturn

from weft.server.query.tree import Literal, Operator, is_word

__all__ = ["Scanner", "SyntaxFault"]

_SPACE: Final = re.compile(r"\s*")
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*")
_KEYWORD: Final = re.compile(r"(?:AND|OR|NOT)(?![A-Za-z0-9_.-])")
_OPERATOR: Final = re.compile(r"!=|<=|>=|=|<|>|:")
_UNICODE: Final = re.compile(r"[0-9A-Fa-f]{4}")
_ESCAPED: Final = {"\\": "\\", '"': '"', "'": "'", "*": "*", "n": "\n", "r": "\r", "t": "\t"}
_SHOWN: Final = 24


class SyntaxFault(Exception):  # noqa: N818 - it never leaves this package
    """The text is no filter.

    Args:
        at: How many characters stand before the fault.
        message: What is wrong there, for a person.
    """

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class Scanner:
    """Reads a text from its beginning to its end.

    Args:
        text: The filter.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self._skip()

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.at == len(self._text)

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        """Raise a fault, by default at the next character."""
        raise SyntaxFault(self.at if at is None else at, message)

    def rest(self) -> str:
        """Return what comes next, for a message."""
        if self.ended:
            return "the end"
        left = self._text[self.at : self.at + _SHOWN + 1].split()[0]
        return repr(left if len(left) <= _SHOWN else left[:_SHOWN] + "…")

    def keyword(self, *words: str) -> str:
        """Take one of some key words; return nothing when none comes next."""
        found = _KEYWORD.match(self._text, self.at)
        return self._take(found.end()) if found and found[0] in words else ""

    def sign(self, char: str) -> bool:
        """Take a character, if it comes next."""
        if not self._text.startswith(char, self.at):
            return False
        self._take(self.at + 1)
        return True

    def field(self) -> str:
        """Take names joined by dots; return nothing when no name comes next."""
        found = _FIELD.match(self._text, self.at)
        return self._take(found.end()) if found and not _KEYWORD.match(self._text, self.at) else ""

    def operator(self) -> Operator | None:
        """Take an operator, if one comes next."""
        found = _OPERATOR.match(self._text, self.at)
        return Operator(self._take(found.end())) if found else None

    def literal(self) -> Literal:
        """Take a value."""
        at = self.at
        if self.ended:
            self.fail("a value is missing")
        if self._text[at] in "\"'":
            return self._quoted(at)
        end = at
        while end < len(self._text) and (self._text[end] == "*" or is_word(self._text[end])):
            end += 1
        word = self._take(end)
        if not word:
            self.fail(f"a value is missing before {self.rest()}", at)
        text = word.removesuffix("*")
        if "*" in text:
            self.fail("a star stands at the end of a value only; in quotes, \\* is a star", at)
        return Literal(text, prefix=text != word, at=at)

    def _quoted(self, at: int) -> Literal:
        """Take a text in quotes; a star before the last quote makes it a prefix."""
        quote, position, found = self._text[at], at + 1, ""
        while not self._text.startswith(quote, position):
            if position >= len(self._text):
                self.fail(f"the text that begins here has no closing {quote}", at)
            if self._text.startswith(f"*{quote}", position):
                self._take(position + 2)
                return Literal(found, quoted=True, prefix=True, at=at)
            char, position = self._char(position)
            found += char
        self._take(position + 1)
        return Literal(found, quoted=True, at=at)

    def _char(self, at: int) -> tuple[str, int]:
        """Read one character of a quoted text: which, and where the next one is."""
        char = self._text[at]
        if char == "*":
            self.fail("a star stands at the end of a value only; \\* is a star", at)
        if char != "\\":
            return char, at + 1
        escape = self._text[at + 1 : at + 2]
        if escape in _ESCAPED:
            return _ESCAPED[escape], at + 2
        digits = _UNICODE.match(self._text, at + 2) if escape == "u" else None
        if digits is None:
            self.fail("there are the escapes \\\" \\' \\\\ \\* \\n \\r \\t and \\u with four digits", at)
        char = chr(int(digits[0], 16))
        if char == "\0" or "\ud800" <= char <= "\udfff":
            self.fail(f"\\u{digits[0]} is not a character that can be stored", at)
        return char, at + 6

    def _take(self, end: int) -> str:
        taken = self._text[self.at : end]
        self.at = end
        self._skip()
        return taken

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self.at)
        assert found is not None  # it matches nothing as well
        self.at = found.end()
