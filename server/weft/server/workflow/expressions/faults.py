"""What is wrong with an expression, in words for its author: the library's own need some translation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from weft.server.workflow.expressions.numbers import EACH, Kinds, Mix, find_mix
from weft.server.workflow.expressions.syntax import Group, Mention

__all__ = ["CompileError", "evaluation_fault", "syntax_fault"]

_MAX_TEXT: Final = 300
_ELEMENTS: Final = 1_000
"""Elements of a list that are looked at for their types."""

_ERRORS: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_INCOMPLETE: Final = re.compile(r"(?:Incomplete|No) `\w+`")
_UNEXPECTED: Final = re.compile(r"(?:mismatched|extraneous) input ('.*?')(?: expecting |$)")
_UNREADABLE: Final = re.compile(r"token recognition error at: ('.*')")
_NO_WAY: Final = re.compile(r"no viable alternative at input ('.*')")
_END: Final = "'<EOF>'"

_UNSUPPORTED: Final = re.compile(r"Unsupported operation: (\w+) (\S+) (\w+)\.")
_MORE: Final = re.compile(
    r"( expecting \{| The value is outside| CEL does not coerce| Check (that|function)).*", re.DOTALL
)


class CompileError(ValueError):
    """An expression cannot be used; ``offset`` says where in it, when that is known."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


def syntax_fault(source: str, text: str) -> CompileError:
    """Make one line of what the library says, and find the place."""
    if "Recursion limit" in text:
        return CompileError("it nests too deep")
    errors = _ERRORS.findall(text)
    if not errors:
        return CompileError(_shorten(text))
    # That something is incomplete says the parser of itself; the next error says where and why.
    told = next((error for error in errors if not _INCOMPLETE.match(error[2])), errors[0])
    line, column, message = told
    before = sum(len(each) + 1 for each in source.split("\n")[: int(line) - 1])
    choice = any("`_?_:_`" in error[2] for error in errors)
    return CompileError(_plain(message, choice=choice), min(before + int(column) - 1, len(source)))


def _plain(message: str, *, choice: bool) -> str:
    what = "the ?: expression" if choice else "it"
    if _INCOMPLETE.match(message):
        return f"{what} is not complete"
    text = message.removeprefix("Syntax error: ")
    if found := _UNEXPECTED.match(text):
        return f"{what} ends too early" if found[1] == _END else f"{found[1]} is not expected here"
    if found := _UNREADABLE.match(text) or _NO_WAY.match(text):
        return f"{found[1]} cannot be read here"
    return _shorten(text.replace(_END, "the end"))


def evaluation_fault(error: Exception, group: Group, values: Mapping[str, Any]) -> str:
    """Say why an expression has no value; ``values`` is the scope it was evaluated in."""
    if isinstance(error, KeyError):
        return f"no such key {error.args[0]!r}" if error.args else "no such key"
    text = str(error)
    if isinstance(error, TypeError):
        mix = find_mix(group, lambda mention: _kinds(values, mention))
        if mix is not None:
            return _mixed(mix)
        if found := _UNSUPPORTED.match(text):
            return _unsupported(*(each.replace("float", "double") for each in found.groups()))
    return _shorten(text) or type(error).__name__


def _mixed(mix: Mix) -> str:
    return f"{mix.types}: CEL does not mix number types; write {mix.correction}"


def _unsupported(left: str, operator: str, right: str) -> str:
    text = f"{left} {operator} {right}: CEL does not "
    if {left, right} <= {"int", "uint", "double"} and left != right:
        return f"{text}mix number types; write double(…)"
    advice = "; write string(…)" if operator == "+" and "string" in {left, right} else ""
    return f"{text}know this operation{advice}"


def _kinds(values: Mapping[str, Any], mention: Mention) -> Kinds:
    """Return which numbers a path leads to."""
    found: list[Any] = [values.get(mention.root)]
    for member in mention.members:
        found = [inner for value in found for inner in _inner(value, member)][:_ELEMENTS]
    names = {int: "int", float: "double"}
    kinds = {names.get(type(value), "") for value in found}
    return frozenset(kinds) if "" not in kinds else frozenset()


def _inner(value: Any, member: str | int) -> list[Any]:
    if isinstance(value, dict):
        return [value[member]] if member in value else []
    if isinstance(value, list) and isinstance(member, int):
        return value[:_ELEMENTS] if member == EACH else value[member : member + 1]
    return []


def _shorten(text: str) -> str:
    line = _MORE.sub("", text).strip().replace("\n", " ").rstrip(".")
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"
