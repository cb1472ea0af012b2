"""The language of a step's ``input``: a JSON object with CEL expressions in its strings.

A string that is one ``${ … }`` and nothing else takes the expression's own
type. Otherwise texts are inserted as they are and everything else as compact
JSON. ``$${`` is a literal ``${``. Names of members are never expressions.

The member ``...`` of an object holds an object, or a list of objects, whose
members the outer object takes over; its own win, and later ones over earlier.

Limits, so that a definition cannot stop the server: 256 expressions in a
template, 4,096 characters in an expression, and comprehensions (``map``,
``filter``, ``all``, ``exists``, ``exists_one``) nested at most 2 deep. Where
comprehensions, patterns, sums or many names are involved, the work of one
rendering is bounded before it is begun: enough for ``filter`` and ``map`` over a
thousand records, whose work grows with the square of their number. Rendering
ends as soon as the values put in are together larger than a payload may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weft.core.payload import JsonObject
from weft.core.schema import join_path
from weft.server.workflow.expressions.compiler import MAX_EXPRESSION_LENGTH, MAX_EXPRESSIONS, Compiler, Names
from weft.server.workflow.expressions.expression import RunningScope
from weft.server.workflow.expressions.render import SPREAD, Render, object_render, spread_render

__all__ = [
    "EXTRA",
    "MAX_EXPRESSIONS",
    "MAX_EXPRESSION_LENGTH",
    "SCOPE",
    "Names",
    "Template",
    "compile_template",
]

SCOPE: Final = ("input", "steps", "vars", "context", "execution")
"""The variables that every expression of a step may use."""
EXTRA: Final = ("item", "index", "iteration", "error", "output")
"""Those that are there in some places only: in maps, in loops, behind ``on_error``, for what a step gave."""


class Template:
    """A compiled template.

    Attributes:
        value: The template as it was given.
        names: What each of its expressions refers to.
        length: Characters of its expressions in all.
        problems: What is wrong with it; such an expression fails when it is rendered.
        literals: The members of the object that hold no expression, as they render.
        texts: The members that are text with expressions inserted.
    """

    __slots__ = ("_mentions", "_render", "length", "literals", "names", "problems", "texts", "value")

    def __init__(self, value: JsonObject, path: str) -> None:
        compiler = Compiler()
        self.value = value
        self.literals: JsonObject = {}
        self.texts: set[str] = set()
        self._render = self._compile_members(compiler, path)
        self.names = tuple(compiler.names)
        self.length = compiler.length
        self.problems = tuple(compiler.problems)
        self._mentions = tuple(dict.fromkeys(compiler.handed_over))

    def render(self, scope: Mapping[str, Any]) -> JsonObject:
        """Return the object with every expression replaced by its value.

        Parts of the result are shared with the template and the scope: treat it
        as read-only.

        Raises:
            PreconditionError: An expression has no value; reason
                ``EXPRESSION_FAILED``, with ``path``, ``expression`` and ``error``.
        """
        rendered: JsonObject = self._render(RunningScope(scope, self._mentions))
        return rendered

    def _compile_members(self, compiler: Compiler, path: str) -> Render:
        base: JsonObject = {}
        changing: list[tuple[str, Render]] = []
        for name, item in self.value.items():
            literal, render = compiler.compile(item, join_path(path, [name]), 2)
            base[name] = literal
            if render is None:
                self.literals[name] = literal
            else:
                changing.append((name, render))
                if isinstance(item, str) and literal is not None:
                    self.texts.add(name)
        own = object_render(base, changing)
        return spread_render(own, path) if SPREAD in base else own


def compile_template(value: JsonObject, path: str) -> Template:
    """Compile a step's ``input``, which stands at ``path``; all faults are in ``problems``."""
    return Template(value, path)
