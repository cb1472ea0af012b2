"""Compiles the expressions of a definition, and looks at each where it stands."""

from __future__ import annotations

from typing import Any, Final

from weft.core.payload import JsonObject
from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.compat import disjoint, show_types
from weft.server.workflow.checks.basis.places import Spot
from weft.server.workflow.checks.basis.shapes import ANY_VALUE, Value
from weft.server.workflow.checks.data.names import check_names
from weft.server.workflow.checks.data.results import Results, value_of
from weft.server.workflow.checks.data.visible import Visible
from weft.server.workflow.expressions.conditions import (
    Condition,
    TextTemplate,
    ValueTemplate,
    compile_condition,
    compile_text,
    compile_value,
)
from weft.server.workflow.expressions.template import Template, compile_template

__all__ = ["MAX_EXPRESSION_TEXT", "Texts"]

MAX_EXPRESSION_TEXT: Final = 256 * 1024
"""Characters of all expressions of a definition; compiling that much takes about half a second."""

_LEAST: Final = 32
"""Characters that an expression counts as at least."""
_BOOLEAN: Final = frozenset({"boolean"})


class Texts:
    """Compiles expressions, until those of a definition are too much together."""

    def __init__(self) -> None:
        self._left = MAX_EXPRESSION_TEXT

    def template(self, given: JsonObject, member: str, visible: Visible, spot: Spot) -> Template | None:
        """Compile and check an object; nothing when the limit is used up."""
        if self._left < 0:
            return None
        template = compile_template(given, spot.path_of(member))
        self._look(template, member, visible, spot)
        return template

    def gives(self, template: Template, path: str, visible: Visible) -> Value:
        """Return what is known of what a template renders."""
        return Results(template.names, visible.value).value(template.value, path)

    def condition(self, given: str, member: str, visible: Visible, spot: Spot) -> None:
        """Compile and check a condition; an empty one is reported elsewhere."""
        if not given.strip() or self._left < 0:
            return
        condition = compile_condition(given, spot.path_of(member))
        self._look(condition, member, visible, spot)
        if not condition.names:
            return
        types = value_of(condition.names[0], visible.value).types
        if disjoint(types, _BOOLEAN):
            message = f"the condition is {show_types(types)}, not true or false"
            spot.add(member, Rule.TYPE_MISMATCH, message)

    def text(
        self, given: str, member: str, visible: Visible, spot: Spot, *, of: frozenset[str] | None = None
    ) -> None:
        """Compile and check a text; ``of`` is what a single expression has to give."""
        if "${" not in given or self._left < 0:
            return
        text = compile_text(given, spot.path_of(member))
        self._look(text, member, visible, spot)
        if of is None:
            return
        types = Results(text.names, visible.value).value(given, spot.path_of(member)).types
        if disjoint(types, of):
            message = f"it is {show_types(types)}, and has to be {show_types(of)}"
            spot.add(member, Rule.TYPE_MISMATCH, message)

    def value(self, given: Any, member: str, visible: Visible, spot: Spot) -> Value:
        """Compile and check a value; return what is known of what it renders."""
        if self._left < 0:
            return ANY_VALUE
        value = compile_value(given, spot.path_of(member))
        self._look(value, member, visible, spot)
        return Results(value.names, visible.value).value(given, spot.path_of(member))

    def _look(
        self,
        compiled: Template | Condition | TextTemplate | ValueTemplate,
        member: str,
        visible: Visible,
        spot: Spot,
    ) -> None:
        """Report what is wrong, and when all together is too much."""
        spot.report.extend(spot.at, compiled.problems)
        self._left -= max(compiled.length, _LEAST * len(compiled.names))
        for names in compiled.names:
            check_names(names, visible, spot)
        if self._left < 0:
            message = (
                f"with this one, expressions are over the limit of {MAX_EXPRESSION_TEXT:,} characters in all"
            )
            spot.add(member, Rule.TOO_LONG, message)
