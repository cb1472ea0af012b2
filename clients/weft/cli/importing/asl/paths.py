"""Paths and intrinsic functions of the States Language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from weft.cli.importing.nodes import CannotTranslateError, Expr, Missing, Node, Record, Value

__all__ = ["Context", "keys_of", "put", "resolve"]

_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]\s'"(),?@*:$]+)|\[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]|\[\s*(?P<index>\d+)\s*\]|(?P<all>\[\s*\*\s*\])"""
)
_VARIABLE: Final = re.compile(r"\$(?P<name>[A-Za-z_]\w*)")
_ALL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the expressions of one state can name."""

    data: Node
    """``$``: the data of the state."""
    name: str
    """The name of the state."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables that can be seen, and their names in Weft."""
    item: bool = False
    """Whether ``$$.Map.Item`` is there."""

    def of(self, data: Node) -> Context:
        """Return the same about other data."""
        return Context(data=data, name=self.name, variables=self.variables, item=self.item)


def resolve(path: Any, context: Context) -> Node:
    """Return what a path leads to.

    Raises:
        CannotTranslateError: There is no way to say it.
    """
    if not isinstance(path, str):
        raise CannotTranslateError("is no path")
    text = path.strip()
    if text.startswith("$$"):
        return _from_context(_steps(text[2:], text), context, text)
    found = _VARIABLE.match(text)
    if found:
        if found["name"] not in context.variables:
            raise CannotTranslateError(f"the variable ${found['name']} is not known here")
        start: Node = Expr(f"vars.{context.variables[found['name']]}")
        return _walk(start, _steps(text[found.end() :], text))
    if not text.startswith("$"):
        raise CannotTranslateError(f"{text!r} is no path: a path begins with $")
    return _walk(context.data, _steps(text[1:], text))


def keys_of(path: str) -> list[str]:
    """Return the members of a path that says where a result goes.

    Raises:
        CannotTranslateError: It has more than members.
    """
    steps = _steps(path.strip()[1:], path)
    if not path.strip().startswith("$") or not all(isinstance(step, str) for step in steps):
        raise CannotTranslateError(f"{path!r} is no place in an object")
    return [str(step) for step in steps]


def put(node: Node, keys: list[str], value: Node) -> Node:
    """Return the data with a value put at a place."""
    if not keys:
        return value
    key, *rest = keys
    inner = value if not rest else put(_inner(node, key), rest, value)
    if isinstance(node, Record):
        return node.having(key, inner)
    return Record({key: inner}, () if isinstance(node, Value | Missing) else (node,))


def _inner(node: Node, key: str) -> Node:
    """Return an object at a place, where there may be none yet."""
    found = node.member(key)
    if isinstance(found, Expr):
        test = found.present()
        return Expr(f"{test.text} ? {found.text} : {{}}", 0, object=True)
    return Record() if isinstance(found, Missing) else found


def _walk(node: Node, steps: list[Any]) -> Node:
    for index, step in enumerate(steps):
        if step is _ALL:
            return _each(node, steps[index + 1 :])
        node = node.member(step)
    return node


def _each(node: Node, steps: list[Any]) -> Node:
    if _ALL in steps:
        raise CannotTranslateError("two [*] in one path")
    if not steps:
        return node
    inner = _walk(Expr("each"), steps).expr()
    return Expr(f"{node.expr().at(7)}.map(each, {inner.text})")


def _steps(rest: str, whole: str) -> list[Any]:
    steps: list[Any] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if not found:
            raise CannotTranslateError(
                f"{whole!r} uses more of JSONPath than members, [n] and [*] (at {rest[at:][:20]!r})"
            )
        at = found.end()
        if found["index"]:
            steps.append(int(found["index"]))
        else:
            steps.append(_ALL if found["all"] else found["name"] or found["quoted"] or "")
    return steps


_EXECUTION: Final[Mapping[tuple[str, ...], str]] = {
    ("Execution", "Id"): "execution.id",
    ("Execution", "Name"): "execution.id",
    ("Execution", "StartTime"): "execution.create_time",
    ("StateMachine", "Id"): "execution.workflow_id",
    ("StateMachine", "Name"): "execution.workflow_name",
}


def _from_context(steps: list[Any], context: Context, whole: str) -> Node:
    key = tuple(str(step) for step in steps)
    if key in _EXECUTION:
        return Expr(_EXECUTION[key])
    if key[:2] == ("Execution", "Input"):
        return _walk(Expr("input", object=True), steps[2:])
    if key == ("State", "Name"):
        return Value(context.name)
    special: dict[tuple[str, ...], Callable[[], Node]] = {
        ("Map", "Item", "Value"): lambda: _walk(Expr("item"), steps[3:]),
        ("Map", "Item", "Index"): lambda: Expr("index"),
    }
    if context.item and key[:3] in special:
        return special[key[:3]]()
    raise CannotTranslateError(f"{whole} is not known in Weft")
