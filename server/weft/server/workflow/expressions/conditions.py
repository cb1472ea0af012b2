"""Expressions outside of a step's ``input``: conditions, texts, values of any kind, and spans of time.

All of them are compiled once; what is wrong then is in ``problems`` and fails
when it is used, with the reason EXPRESSION_FAILED.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.core.reasons import Rule
from weft.server.workflow.expressions.compiler import MAX_EXPRESSION_LENGTH, Compiler, Names
from weft.server.workflow.expressions.expression import RunningScope
from weft.server.workflow.expressions.render import Render, as_text, failure
from weft.server.workflow.expressions.spans import parse_instant, parse_span
from weft.server.workflow.expressions.syntax import UnclosedError, find_end
from weft.server.workflow.expressions.values import kind_of
from weft.server.workflow.model import Problem

__all__ = [
    "Condition",
    "TextTemplate",
    "ValueTemplate",
    "compile_condition",
    "compile_text",
    "compile_value",
    "parse_instant",
    "parse_span",
]


class _Compiled:
    """Something with expressions.

    Attributes:
        names: What each of its expressions refers to.
        problems: What is wrong with it.
        length: Characters of its expressions in all.
    """

    __slots__ = ("_mentions", "_path", "_render", "length", "names", "problems")

    def __init__(self, compiler: Compiler, render: Render | None, path: str) -> None:
        self._render = render
        self._path = path
        self._mentions = tuple(dict.fromkeys(compiler.handed_over))
        self.names: tuple[Names, ...] = tuple(compiler.names)
        self.problems: tuple[Problem, ...] = tuple(compiler.problems)
        self.length = compiler.length

    def _value(self, scope: Mapping[str, Any], literal: Any) -> Any:
        return literal if self._render is None else self._render(RunningScope(scope, self._mentions))


class Condition(_Compiled):
    """A question that an expression answers.

    Attributes:
        source: The expression, without ``${`` and ``}``.
    """

    __slots__ = ("source",)

    def __init__(self, text: str, path: str) -> None:
        self.source, offset = _bare(text)
        compiler = Compiler()
        super().__init__(compiler, _compile_bare(compiler, self.source, offset, path), path)

    def holds(self, scope: Mapping[str, Any]) -> bool:
        """Return the answer.

        Raises:
            PreconditionError: EXPRESSION_FAILED: there is none, or it is neither true nor false.
        """
        value = self._value(scope, None)
        if not isinstance(value, bool):
            raise failure(self._path, self.source, f"it is a {kind_of(value)}, not true or false")
        return value


class TextTemplate(_Compiled):
    """A text with expressions inserted.

    Attributes:
        literal: The text, when it has no expression.
    """

    __slots__ = ("literal",)

    def __init__(self, text: str, path: str) -> None:
        compiler = Compiler()
        literal, render = compiler.compile(text, path, 1)
        self.literal: str | None = literal if render is None else None
        super().__init__(compiler, render, path)

    def render(self, scope: Mapping[str, Any]) -> str:
        """Return the text; what is no text stands in it as compact JSON.

        Raises:
            PreconditionError: EXPRESSION_FAILED: an expression has no value.
        """
        return as_text(self._value(scope, self.literal), self._path)


class ValueTemplate(_Compiled):
    """A JSON value with expressions in its strings.

    Attributes:
        value: As it was given.
        literal: Whether there is no expression in it.
    """

    __slots__ = ("_literal", "literal", "value")

    def __init__(self, value: Any, path: str) -> None:
        compiler = Compiler()
        self.value = value
        self._literal, render = compiler.compile(value, path, 1)
        self.literal = render is None
        super().__init__(compiler, render, path)

    def render(self, scope: Mapping[str, Any]) -> Any:
        """Return the value; parts are shared with the template and the scope: treat it as read-only.

        Raises:
            PreconditionError: EXPRESSION_FAILED: an expression has no value.
        """
        return self._value(scope, self._literal)


def compile_condition(text: str, path: str) -> Condition:
    """Compile a CEL expression that stands at ``path``, bare or as one ``${ … }``."""
    return Condition(text, path)


def compile_text(text: str, path: str) -> TextTemplate:
    """Compile a text that stands at ``path``."""
    return TextTemplate(text, path)


def compile_value(value: Any, path: str) -> ValueTemplate:
    """Compile a JSON value that stands at ``path``."""
    return ValueTemplate(value, path)


def _bare(text: str) -> tuple[str, int]:
    """Return an expression without its braces, and where it begins in the text."""
    start = len(text) - len(text.lstrip())
    if not text.startswith("${", start):
        return text, 0
    try:
        end = find_end(text, start + 2, MAX_EXPRESSION_LENGTH)
    except UnclosedError:
        return text, 0  # then it is no expression, and the library says where
    return (text, 0) if text[end + 1 :].strip() else (text[start + 2 : end], start + 2)


def _compile_bare(compiler: Compiler, source: str, offset: int, path: str) -> Render:
    if len(source) > MAX_EXPRESSION_LENGTH:
        message = f"{len(source):,} characters are over the limit of {MAX_EXPRESSION_LENGTH:,}"
        compiler.problems.append(Problem(path, Rule.TOO_LONG, message))
        return lambda _: _too_long(path)
    return compiler.expression(source, offset, path, whole=True)


def _too_long(path: str) -> Any:
    raise failure(path, "", "the expression is too long")
