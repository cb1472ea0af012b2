"""Intrinsic functions: ``States.Format('…', $.a)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from weft.cli.importing.asl.paths import Context, resolve
from weft.cli.importing.cel import ATOM
from weft.cli.importing.nodes import CannotTranslateError, Expr, Items, Node, Record, Text, Value, node_of
from weft.cli.importing.operators import function, infix

__all__ = ["evaluate", "payload"]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<call>States\.\w+)\s*\(|(?P<path>\$(?:[^\s,()'\["]|\[[^\]]*\])*)|"""
    r"""(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)|(?P<word>true|false|null)|(?P<end>\)))\s*"""
)
_COMMA: Final = re.compile(r"\s*,\s*")
_WORDS: Final = {"true": True, "false": False, "null": None}
_MAX_DEPTH: Final = 20
_TASK: Final = "$$.Task.Token"
_PENDING: Final = (
    "the action has an attempt token of its own: it raises Pending; see `weft attempts complete`"
)


def payload(template: Any, context: Context, path: str, report: Callable[[str, str], None]) -> Node:
    """Return a payload template: members whose names end in ``.$`` hold paths and functions.

    What cannot be carried over is reported with its path, and fails when it is used.
    """
    if isinstance(template, list):
        items = [payload(item, context, f"{path}[{at}]", report) for at, item in enumerate(template)]
        return Items(items)
    if not isinstance(template, dict):
        return node_of(template)
    members: dict[str, Node] = {}
    for name, item in template.items():
        where = f"{path}.{name}"
        if not name.endswith(".$"):
            members[name] = payload(item, context, where, report)
            continue
        if item == _TASK:
            report(where, f"is left out: {_PENDING}")
            continue
        try:
            members[name[:-2]] = evaluate(item, context)
        except CannotTranslateError as error:
            report(where, str(error))
            members[name[:-2]] = _failing(item)
    return Record(members)


def _failing(item: Any) -> Node:
    return Record().member(f"not carried over: {item}"[:200])


def evaluate(text: Any, context: Context) -> Node:
    """Return what a path or an intrinsic function gives.

    Raises:
        CannotTranslateError: There is no way to say it.
    """
    if not isinstance(text, str):
        raise CannotTranslateError("is no text with a path")
    if not text.strip().startswith("States."):
        return resolve(text, context)
    node, end = _value(text, 0, context, 0)
    if end != len(text):
        raise CannotTranslateError(f"{text!r} cannot be read from character {end + 1} on")
    return node


def _value(text: str, at: int, context: Context, depth: int) -> tuple[Node, int]:
    found = _TOKEN.match(text, at)
    if not found or found["end"] or depth > _MAX_DEPTH:
        raise CannotTranslateError(f"{text!r} cannot be read from character {at + 1} on")
    if found["call"]:
        arguments, end = _arguments(text, found.end(), context, depth)
        return _call(found["call"], arguments), end
    if found["path"]:
        return resolve(found["path"], context), found.end()
    if found["text"]:
        return Value(re.sub(r"\\(.)", r"\1", found["text"][1:-1])), found.end()
    if found["word"]:
        return Value(_WORDS[found["word"]]), found.end()
    number = found["number"]
    return Value(float(number) if re.search(r"[.eE]", number) else int(number)), found.end()


def _arguments(text: str, at: int, context: Context, depth: int) -> tuple[list[Node], int]:
    arguments: list[Node] = []
    closing = _TOKEN.match(text, at)
    if closing and closing["end"]:
        return arguments, closing.end()
    while True:
        node, at = _value(text, at, context, depth + 1)
        arguments.append(node)
        closing = _TOKEN.match(text, at)
        if closing and closing["end"]:
            return arguments, closing.end()
        comma = _COMMA.match(text, at)
        if not comma:
            raise CannotTranslateError(f"{text!r} cannot be read from character {at + 1} on")
        at = comma.end()


def _format(arguments: list[Node]) -> Node:
    template, *values = arguments
    if not isinstance(template, Value) or not isinstance(template.value, str):
        raise CannotTranslateError("States.Format needs a literal text")
    pieces = template.value.split("{}")
    if len(pieces) != len(values) + 1:
        raise CannotTranslateError("States.Format has another number of {} than of values")
    parts: list[str | Node] = [pieces[0]]
    for value, piece in zip(values, pieces[1:], strict=True):
        parts += [value, piece]
    return Text([part for part in parts if part != ""])


def _item(arguments: list[Node]) -> Node:
    items, index = arguments
    if isinstance(index, Value) and isinstance(index.value, int):
        return items.member(index.value)
    return Expr(f"{items.expr().at(ATOM)}[{index.expr().text}]")


def _merge(arguments: list[Node]) -> Node:
    first, second, *deep = arguments
    if deep and not (isinstance(deep[0], Value) and deep[0].value is False):
        raise CannotTranslateError("a deep merge of objects has no counterpart")
    return Record({}, (first, second))


_FUNCTIONS: Final[Mapping[str, tuple[int, int, Callable[[list[Node]], Node]]]] = {
    "States.Format": (1, 99, _format),
    "States.Array": (0, 999, Items),
    "States.ArrayContains": (2, 2, lambda it: infix(it[1], "in", it[0])),
    "States.ArrayGetItem": (2, 2, _item),
    "States.ArrayLength": (1, 1, lambda it: function("size", it[0])),
    "States.JsonMerge": (2, 3, _merge),
    "States.MathAdd": (2, 2, lambda it: infix(it[0], "+", it[1])),
    "States.Base64Encode": (1, 1, lambda it: function("bytes", it[0])),
}


def _call(name: str, arguments: list[Node]) -> Node:
    if name not in _FUNCTIONS:
        raise CannotTranslateError(f"{name} has no counterpart in CEL: let an action do it")
    least, most, make = _FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        raise CannotTranslateError(f"{name} does not take {len(arguments)} arguments")
    return make(arguments)
