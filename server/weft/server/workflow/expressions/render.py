"""Functions that render the parts of a template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import orjson

from weft.core.errors import PreconditionError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.core.schema import join_path
from weft.server.workflow.expressions.expression import Expression, RunningScope
from weft.server.workflow.expressions.values import EvaluationError, kind_of

__all__ = [
    "SPREAD",
    "Render",
    "as_text",
    "broken_render",
    "expression_render",
    "failure",
    "list_render",
    "object_render",
    "shorten",
    "text_render",
]

Render: TypeAlias = Callable[[RunningScope], Any]

SPREAD: Final = "..."
"""The member of an object that stands for all members of other objects."""

_SHOWN: Final = 200


def object_render(base: JsonObject, changing: list[tuple[str, Render]]) -> Render:
    """Return how to render an object of which some members hold expressions."""

    def render(scope: RunningScope) -> JsonObject:
        result = base.copy()
        for name, render_member in changing:
            result[name] = render_member(scope)
        return result

    return render


def spread_render(render_own: Render, path: str) -> Render:
    """Return how to render an object that takes over the members of others: its own win, then later ones."""
    place = join_path(path, [SPREAD])

    def render(scope: RunningScope) -> JsonObject:
        own = dict(render_own(scope))
        taken = own.pop(SPREAD)
        merged: JsonObject = {}
        for part in taken if isinstance(taken, list) else [taken]:
            if not isinstance(part, dict):
                raise failure(place, "", f"a {kind_of(part)} has no members to take over")
            merged |= part
        scope.take(merged, shared=False)
        return merged | own

    return render


def list_render(base: list[Any], changing: list[tuple[int, Render]]) -> Render:
    """Return how to render a list of which some items hold expressions."""

    def render(scope: RunningScope) -> list[Any]:
        result = base.copy()
        for index, render_item in changing:
            result[index] = render_item(scope)
        return result

    return render


def text_render(parts: list[str | Render], path: str) -> Render:
    """Return how to render text with expressions inserted."""

    def render(scope: RunningScope) -> str:
        return "".join([part if isinstance(part, str) else as_text(part(scope), path) for part in parts])

    return render


def as_text(value: Any, path: str) -> str:
    """Return how a value stands in a text: a string as it is, all else as compact JSON."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise failure(path, "", str(error)) from None


def expression_render(expression: Expression, path: str) -> Render:
    """Return how to render a value that is one expression."""

    def render(scope: RunningScope) -> Any:
        try:
            return expression.evaluate(scope)
        except EvaluationError as error:
            raise failure(path, expression.source, str(error)) from None

    return render


def broken_render(path: str, source: str) -> Render:
    """Return how to render what was not compiled: not at all."""

    def render(_: RunningScope) -> Any:
        raise failure(path, source, "the expression is not valid")

    return render


def failure(path: str, source: str, error: str) -> PreconditionError:
    """Return the error of an expression that has no value."""
    return PreconditionError(
        f"{path}: {error}",
        reason=Reason.EXPRESSION_FAILED,
        metadata={"path": path, "expression": shorten(source.strip()), "error": error},
    )


def shorten(text: str) -> str:
    """Cut what an error repeats: errors travel in headers."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
