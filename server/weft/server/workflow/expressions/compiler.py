"""Turns the strings of JSON values into what renders them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from weft.core.payload import MAX_DEPTH, JsonObject
from weft.core.reasons import Rule
from weft.core.schema import join_path
from weft.server.workflow.expressions.expression import CompileError, Expression, compile_expression
from weft.server.workflow.expressions.render import (
    SPREAD,
    Render,
    broken_render,
    expression_render,
    list_render,
    object_render,
    shorten,
    spread_render,
    text_render,
)
from weft.server.workflow.expressions.syntax import Group, Mention, UnclosedError, find_end
from weft.server.workflow.model import Problem

__all__ = ["MAX_EXPRESSIONS", "MAX_EXPRESSION_LENGTH", "Compiler", "Names"]

MAX_EXPRESSIONS: Final = 256
MAX_EXPRESSION_LENGTH: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What one expression refers to."""

    path: str
    """Where it stands, such as ``steps[1].input.text``."""
    source: str
    """What stands between ``${`` and ``}``."""
    mentions: tuple[Mention, ...]
    """The variables, with the members taken from them literally."""
    functions: frozenset[str]
    """The functions it calls."""
    group: Group = field(repr=False)
    """Its chains."""
    whole: Mention | None = None
    """The path that the string as a whole stands for, when the expression is only that."""
    alone: bool = False
    """Whether the string is this expression and nothing else, so that it has its type."""

    @property
    def variables(self) -> frozenset[str]:
        """The top-level variables it uses."""
        return frozenset(mention.root for mention in self.mentions)

    @property
    def steps(self) -> frozenset[str]:
        """The ids of the steps whose output it names literally."""
        return frozenset(
            mention.members[0]
            for mention in self.mentions
            if mention.root == "steps" and mention.members and isinstance(mention.members[0], str)
        )


class Compiler:
    """Turns JSON values into functions that render them; literal ones need none."""

    def __init__(self) -> None:
        self.names: list[Names] = []
        """What each expression refers to."""
        self.problems: list[Problem] = []
        """What is wrong."""
        self.handed_over: list[Mention] = []
        """What the library has to be given."""
        self.length = 0
        """Characters of all expressions."""
        self._count = 0

    def compile(self, value: Any, path: str, depth: int) -> tuple[Any, Render | None]:
        """Return the literal form of a value, and how to render it if it is not literal.

        The literal form of text with expressions inserted is an empty text.
        """
        if isinstance(value, str):
            return self._text(value, path) if "${" in value else (value, None)
        if not isinstance(value, dict | list):
            return value, None
        if depth > MAX_DEPTH:
            self._fault(path, f"is deeper than {MAX_DEPTH} levels", Rule.PAYLOAD_TOO_DEEP)
            return None, None
        return self._object(value, path, depth) if isinstance(value, dict) else self._list(value, path, depth)

    def _object(self, value: JsonObject, path: str, depth: int) -> tuple[Any, Render | None]:
        base: JsonObject = {}
        changing: list[tuple[str, Render]] = []
        for name, item in value.items():
            base[name], render = self.compile(item, join_path(path, [name]), depth + 1)
            if render is not None:
                changing.append((name, render))
        if SPREAD in base:
            return base, spread_render(object_render(base, changing), path)
        if changing:
            return base, object_render(base, changing)
        same = all(base[name] is item for name, item in value.items())
        return value if same else base, None

    def _list(self, value: list[Any], path: str, depth: int) -> tuple[Any, Render | None]:
        base: list[Any] = []
        changing: list[tuple[int, Render]] = []
        for index, item in enumerate(value):
            literal, render = self.compile(item, f"{path}[{index}]", depth + 1)
            base.append(literal)
            if render is not None:
                changing.append((index, render))
        if changing:
            return base, list_render(base, changing)
        same = all(literal is item for literal, item in zip(base, value, strict=True))
        return value if same else base, None

    def _text(self, text: str, path: str) -> tuple[Any, Render | None]:
        parts = self.split(text, path)
        if len(parts) == 1 and not isinstance(parts[0], str):
            return None, parts[0]
        if all(isinstance(part, str) for part in parts):
            return "".join(part for part in parts if isinstance(part, str)), None
        return "", text_render(parts, path)

    def split(self, text: str, path: str) -> list[str | Render]:
        """Part a text into literal pieces and expressions."""
        parts: list[str | Render] = []
        at = 0
        while (start := text.find("${", at)) >= 0:
            if start > at and text[start - 1] == "$":
                parts.append(text[at : start - 1] + "${")
                at = start + 2
                continue
            if start > at:
                parts.append(text[at:start])
            end = self._end(text, start, path)
            if end < 0:
                return [*parts, broken_render(path, text[start:])]
            whole = start == 0 and end == len(text) - 1
            parts.append(self.expression(text[start + 2 : end], start + 2, path, whole=whole))
            at = end + 1
        if at < len(text):
            parts.append(text[at:])
        return parts

    def _end(self, text: str, start: int, path: str) -> int:
        try:
            return find_end(text, start + 2, MAX_EXPRESSION_LENGTH)
        except UnclosedError as error:
            self._invalid(path, text[start:], start, str(error))
            return -1

    def expression(self, source: str, offset: int, path: str, *, whole: bool) -> Render:
        """Compile what stands between ``${`` and ``}``, which begins at an offset of its text."""
        self._count += 1
        if self._count > MAX_EXPRESSIONS:
            if self._count == MAX_EXPRESSIONS + 1:
                message = f"is expression {self._count} of the template; {MAX_EXPRESSIONS} are the limit"
                self._fault(path, message, Rule.TOO_MANY)
            return broken_render(path, source)
        self.length += len(source)
        try:
            expression = compile_expression(source)
        except CompileError as error:
            self._invalid(path, source, offset + error.offset, str(error))
            return broken_render(path, source)
        self._note(expression, path, whole=whole)
        return expression_render(expression, path)

    def _note(self, expression: Expression, path: str, *, whole: bool) -> None:
        if expression.path_only is None:
            self.handed_over.extend(expression.mentions)
        self.names.append(
            Names(
                path=path,
                source=expression.source,
                mentions=expression.mentions,
                functions=expression.functions,
                group=expression.group,
                whole=expression.path_only if whole else None,
                alone=whole,
            )
        )

    def _invalid(self, path: str, source: str, offset: int, message: str) -> None:
        shown = shorten(source.strip())
        self._fault(
            path,
            f"the expression {shown!r} is not valid at character {offset + 1}: {message}",
            Rule.EXPRESSION_INVALID,
        )

    def _fault(self, path: str, message: str, rule: Rule) -> None:
        self.problems.append(Problem(path, rule, message))
