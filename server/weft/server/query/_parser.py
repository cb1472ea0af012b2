"""The grammar of filters.

::

    expression = term { "AND" term } | term { "OR" term }
    term       = [ "NOT" | "-" ] ( comparison | "(" expression ")" )
    comparison = field operator value

AND and OR side by side need brackets: AIP-160 binds OR more tightly, most
languages AND, and a filter that cancels a thousand executions is no place to
remember which.
"""

from __future__ import annotations

from typing import Final

from weft.server.query._scanner import Scanner, SyntaxFault
from weft.server.query.tree import And, Comparison, Not, Or, Tree

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_TERMS", "TooDeepFault", "TooManyFault", "parse_tree"]

MAX_BYTES: Final = 8 * 1024
MAX_DEPTH: Final = 16
MAX_TERMS: Final = 100

_WORDS: Final = {"and": "AND", "&&": "AND", "or": "OR", "||": "OR", "not": "NOT", "!": "NOT"}


class TooDeepFault(SyntaxFault):
    """Brackets and negations stand too deep within each other."""


class TooManyFault(SyntaxFault):
    """There are too many comparisons."""


def parse_tree(text: str) -> Tree | None:
    """Read a filter; None when it is empty.

    Raises:
        SyntaxFault: It is none.
    """
    if (at := text.find("\0")) >= 0:
        raise SyntaxFault(at, "U+0000 is not a character that can be stored")
    scanner = Scanner(text)
    return None if scanner.ended else _Parser(scanner).whole()


class _Parser:
    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._terms = 0

    def whole(self) -> Tree:
        tree = self._expression(0)
        if not self._scanner.ended:
            self._scanner.fail(f"expected AND, OR or the end before {self._scanner.rest()}{self._hint()}")
        return tree

    def _expression(self, depth: int) -> Tree:
        first = self._term(depth)
        word = self._scanner.keyword("AND", "OR")
        if not word:
            return first
        terms = [first, self._term(depth)]
        while next_word := self._either(word):
            assert next_word == word
            terms.append(self._term(depth))
        return And(tuple(terms)) if word == "AND" else Or(tuple(terms))

    def _either(self, word: str) -> str:
        at = self._scanner.at
        found = self._scanner.keyword("AND", "OR")
        if found and found != word:
            self._scanner.fail("AND and OR side by side need brackets: a AND (b OR c)", at)
        return found

    def _term(self, depth: int) -> Tree:
        at = self._scanner.at
        if depth > MAX_DEPTH:
            raise TooDeepFault(at, f"more than {MAX_DEPTH} brackets and negations within each other")
        if self._scanner.keyword("NOT") or self._scanner.sign("-"):
            return Not(self._term(depth + 1))
        if self._scanner.sign("("):
            return self._bracket(at, depth)
        return self._comparison(at)

    def _bracket(self, at: int, depth: int) -> Tree:
        tree = self._expression(depth + 1)
        if not self._scanner.sign(")"):
            if self._scanner.ended:
                self._scanner.fail("the bracket that opens here is not closed", at)
            self._scanner.fail(f"expected AND, OR or ) before {self._scanner.rest()}{self._hint()}")
        return tree

    def _comparison(self, at: int) -> Comparison:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise TooManyFault(at, f"more than {MAX_TERMS} comparisons")
        field = self._scanner.field()
        if not field:
            self._scanner.fail(f"expected the name of a field before {self._scanner.rest()}{self._hint()}")
        operator = self._scanner.operator()
        if operator is None:
            rest = self._scanner.rest()
            self._scanner.fail(f"expected = != < <= > >= or : after {field!r}, before {rest}{self._hint()}")
        return Comparison(field, operator, self._scanner.literal(), at)

    def _hint(self) -> str:
        """Say what is meant by words of other languages."""
        word = self._scanner.rest().strip("'")
        found = _WORDS.get(word.lower()) or _WORDS.get(word[:2]) or _WORDS.get(word[:1])
        return f"; write {found}" if found and found != word else ""
