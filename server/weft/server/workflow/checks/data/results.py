"""What expressions and templates give, as far as their text tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from weft.core.schema import join_path
from weft.server.workflow.checks.basis.compat import ALL_TYPES, FRACTION
from weft.server.workflow.checks.basis.shapes import ANY_VALUE, Value, made, text_or, union, value_of_json
from weft.server.workflow.expressions.compiler import Names
from weft.server.workflow.expressions.render import SPREAD
from weft.server.workflow.expressions.syntax import Call, Group, Literal, Macro, Mention, Node

__all__ = ["FindValue", "Results", "value_of"]

FindValue = Callable[[Mention], Value]
"""Tells what is known of a path."""

_NUMBER: Final = frozenset({"integer", FRACTION})
_INTEGER: Final = frozenset({"integer"})
_TEXT: Final = frozenset({"string"})
_BOOLEAN: Final = frozenset({"boolean"})
_LIST: Final = frozenset({"array"})
_COMPARING: Final = frozenset({"=", "<", ">", "&", "|", "!", "in"})
_ADDED: Final = frozenset({"integer", FRACTION, "string", "array"})
"""What `+` gives; times and spans are texts in JSON."""
_CALCULATED: Final = frozenset({"integer", FRACTION, "string"})
_CALLS: Final = {
    "size": _INTEGER,
    "int": _INTEGER,
    "uint": _INTEGER,
    "double": _NUMBER,
    "string": _TEXT,
    "bytes": _TEXT,
    "timestamp": _TEXT,
    "duration": _TEXT,
    "contains": _BOOLEAN,
    "startsWith": _BOOLEAN,
    "endsWith": _BOOLEAN,
    "matches": _BOOLEAN,
    "has": _BOOLEAN,
    "hasValue": _BOOLEAN,
}
_MACROS: Final = {
    "all": _BOOLEAN,
    "exists": _BOOLEAN,
    "exists_one": _BOOLEAN,
    "existsOne": _BOOLEAN,
    "filter": _LIST,
    "map": _LIST,
}
_WORDS: Final = {"true": _BOOLEAN, "false": _BOOLEAN, "null": frozenset({"null"})}
_MOST: Final = 64
"""Elements of a list that are looked at; of those of a longer one nothing is known."""
_BRACKETS: Final = {"[": _LIST, "{": frozenset({"object"})}
_SIGNS: Final = frozenset("-!&|=")
"""What stands before a value; of operators of two characters the second."""


def value_of(names: Names, find: FindValue) -> Value:
    """Return what an expression gives."""
    if names.whole is not None:
        return find(names.whole)
    types = _of_group(names.group, find)
    return ANY_VALUE if types == ALL_TYPES else Value(types)


def _of_group(group: Group, find: FindValue) -> frozenset[str]:
    """Return what a group gives that is no list of arguments."""
    operators = [operator for operator in group.operators if operator]
    if "," in operators or not group.chains:
        return ALL_TYPES
    if "?" in operators:
        return _of_choice(group, find)
    if not _COMPARING.isdisjoint(operators):
        return _BOOLEAN
    if operators:
        return _of_sum(group, find, _ADDED if set(operators) == {"+"} else _CALCULATED)
    return _of_chain(group.chains[0], find)


def _of_sum(group: Group, find: FindValue, possible: frozenset[str]) -> frozenset[str]:
    """Return what a calculation gives: CEL only puts values of one type together."""
    for chain in group.chains:
        types = _of_chain(chain, find)
        possible &= types | _NUMBER if types & _NUMBER else types
    return possible or ALL_TYPES  # what cannot be calculated fails when it is evaluated


def _of_choice(group: Group, find: FindValue) -> frozenset[str]:
    """Return what `a ? b : c` gives; of choices in each other nothing is known."""
    operators = group.operators
    if operators.count("?") != 1 or operators.count(":") != 1:
        return ALL_TYPES
    first, second = operators.index("?"), operators.index(":")
    sides = ((first, second), (second, len(operators)))
    found = [
        _of_group(
            Group("(", group.chains[start:end], ["", *operators[start + 1 : end]]),
            find,
        )
        for start, end in sides
    ]
    return frozenset().union(*found)


def _of_chain(chain: list[Node], find: FindValue) -> frozenset[str]:
    signs = 0
    while signs < len(chain) and _is_sign(chain[signs]):
        signs += 1
    if any(isinstance(sign, Literal) and sign.text == "!" for sign in chain[:signs]):
        return _BOOLEAN
    values = chain[signs:]
    if signs:
        return _NUMBER
    if not values:
        return ALL_TYPES
    return _of_node(values[-1], find, alone=len(values) == 1)


def _is_sign(node: Node) -> bool:
    return isinstance(node, Literal) and node.text in _SIGNS


def _of_node(node: Node, find: FindValue, *, alone: bool) -> frozenset[str]:
    """Return what a chain gives that ends with a node."""
    match node:
        case Call(name=name):
            return _INTEGER if name.startswith("get") else _CALLS.get(name, ALL_TYPES)
        case Macro(name=name):
            return _MACROS.get(name, ALL_TYPES)
        case Literal(text=text) if alone:
            return _of_literal(text)
        case Mention() if alone:
            return find(node).types
        case Group(bracket=bracket) if alone:
            return _of_group(node, find) if bracket == "(" else _BRACKETS.get(bracket, ALL_TYPES)
        case _:
            return ALL_TYPES


def _of_literal(text: str) -> frozenset[str]:
    if text in _WORDS:
        return _WORDS[text]
    if text[-1:] in {"'", '"'}:
        return _TEXT
    return _NUMBER if text[:1].isdigit() or (text[:1] == "." and text[1:2].isdigit()) else ALL_TYPES


class Results:
    """What the parts of one template give.

    Args:
        names: Of its expressions.
        find: Tells what is known of a path.
    """

    def __init__(self, names: Iterable[Names], find: FindValue) -> None:
        self._alone: Mapping[str, Names] = {each.path: each for each in names if each.alone}
        self._find = find

    def value(self, given: Any, path: str) -> Value:
        """Return what a part gives that stands at ``path``."""
        match given:
            case str():
                return self._text(given, path)
            case list():
                return self._list(given, path)
            case dict():
                return self._object(given, path)
            case _:
                return value_of_json(given)

    def _text(self, given: str, path: str) -> Value:
        only = self._alone.get(path)
        if only is not None:
            return value_of(only, self._find)
        # An expression that could not be compiled has no names, and may be anything.
        return ANY_VALUE if given.startswith("${") else text_or("string")

    def _list(self, given: list[Any], path: str) -> Value:
        if len(given) > _MOST:
            return Value(_LIST)
        elements = [self.value(item, f"{path}[{index}]") for index, item in enumerate(given)]
        return Value(_LIST, None, union(elements))

    def _object(self, given: Mapping[str, Any], path: str) -> Value:
        own = made(
            {
                name: self.value(item, join_path(path, [name]))
                for name, item in given.items()
                if name != SPREAD
            }
        )
        if SPREAD not in given:
            return own
        taken = given[SPREAD]
        place = join_path(path, [SPREAD])
        parts = (
            [self.value(part, f"{place}[{index}]") for index, part in enumerate(taken)]
            if isinstance(taken, list)
            else self._spread(self.value(taken, place))
        )
        shape = own.shape
        for part in reversed(parts):
            shape = shape.over(part.shape)
        return Value(own.types, shape)

    @staticmethod
    def _spread(value: Value) -> list[Value]:
        """Return what is taken over from one value, which may be a list of objects as well."""
        return [value] if value.types == {"object"} else [ANY_VALUE]
