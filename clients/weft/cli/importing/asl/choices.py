"""The rules of a Choice state, as conditions of CEL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from weft.cli.importing.asl.paths import Context, resolve
from weft.cli.importing.cel import quote
from weft.cli.importing.nodes import CannotTranslateError, Expr, Node, Value
from weft.cli.importing.operators import both, function, infix, invert, method

__all__ = ["condition"]

_COMPARISONS: Final = {
    "Equals": "==",
    "LessThan": "<",
    "GreaterThan": ">",
    "LessThanEquals": "<=",
    "GreaterThanEquals": ">=",
}
_OPERATOR: Final = re.compile(
    r"(?P<type>String|Numeric|Boolean|Timestamp)(?P<how>(?:Less|Greater)Than(?:Equals)?|Equals)(?P<path>Path)?"
)
_TIME: Final = r"^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?(Z|[+-]\\d\\d:\\d\\d)$"
_NOT_COMPARED: Final = frozenset(["Variable", "Next", "Comment", "Assign", "Output"])
_MAX_DEPTH: Final = 20


def condition(rule: Any, context: Context, depth: int = 0) -> Expr:
    """Return when a rule holds.

    Raises:
        CannotTranslateError: There is no way to say it.
    """
    if not isinstance(rule, dict) or depth > _MAX_DEPTH:
        raise CannotTranslateError("is no rule, or too deep")
    for name, operator in (("And", "&&"), ("Or", "||")):
        if name in rule:
            parts = rule[name]
            if not isinstance(parts, list) or not parts:
                raise CannotTranslateError(f"{name} needs a list of rules")
            return both([condition(part, context, depth + 1) for part in parts], operator)
    if "Not" in rule:
        return invert(condition(rule["Not"], context, depth + 1))
    return _comparison(rule, context)


def _comparison(rule: dict[str, Any], context: Context) -> Expr:
    operators = [name for name in rule if name not in _NOT_COMPARED]
    if len(operators) != 1 or not isinstance(rule.get("Variable"), str):
        raise CannotTranslateError("a rule has a Variable and one comparison")
    variable = resolve(rule["Variable"], context)
    operand = rule[operators[0]]
    if operators[0] == "StringMatches":
        return method("matches", variable, Value(_pattern(operand)))
    if operators[0] in _TESTS:
        test = _TESTS[operators[0]](variable)
        return test if operand is True else invert(test)
    found = _OPERATOR.fullmatch(operators[0])
    if not found:
        raise CannotTranslateError(f"{operators[0]!r} is no comparison")
    other = resolve(operand, context) if found["path"] else Value(operand)
    return _compare(found["type"], variable, _COMPARISONS[found["how"]], other)


def _compare(kind: str, variable: Node, operator: str, other: Node) -> Expr:
    if kind == "Timestamp":
        return infix(function("timestamp", variable), operator, function("timestamp", other))
    if kind == "Boolean" and operator == "==" and isinstance(other, Value) and isinstance(other.value, bool):
        return infix(variable, "==", other)
    return infix(variable, operator, other)


def _pattern(text: Any) -> str:
    if not isinstance(text, str):
        raise CannotTranslateError("StringMatches needs a text")
    parts = re.findall(r"\\\*|\\\\|\*|[^*\\]+|\\", text)
    made = "".join(".*" if part == "*" else re.escape(part.removeprefix("\\") or "\\") for part in parts)
    return f"^{made}$"


def _is(variable: Node, *types: str) -> Expr:
    kind = function("type", variable)
    return both([infix(kind, "==", Expr(name)) for name in types], "||")


def _is_time(variable: Node) -> Expr:
    text = variable.expr()
    return both([_is(text, "string"), Expr(f"{text.at(7)}.matches({_TIME_TEXT})")], "&&")


_TIME_TEXT: Final = quote(_TIME.replace("\\\\", "\\"))

_TESTS: Final[Mapping[str, Callable[[Node], Expr]]] = {
    "IsPresent": lambda it: it.present(),
    "IsNull": lambda it: infix(it, "==", Value(None)),
    "IsString": lambda it: _is(it, "string"),
    "IsNumeric": lambda it: _is(it, "int", "double"),
    "IsBoolean": lambda it: _is(it, "bool"),
    "IsTimestamp": _is_time,
}
