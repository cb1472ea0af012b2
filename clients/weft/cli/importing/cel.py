"""Pieces of CEL, put together with no more brackets than needed."""

from __future__ import annotations

import json
import re
from typing import Any, Final

__all__ = [
    "ADD",
    "AND",
    "ATOM",
    "CHOICE",
    "MULTIPLY",
    "NAME",
    "OR",
    "RELATION",
    "UNARY",
    "is_name",
    "literal",
    "quote",
    "within",
]

CHOICE: Final = 0
OR: Final = 1
AND: Final = 2
RELATION: Final = 3
ADD: Final = 4
MULTIPLY: Final = 5
UNARY: Final = 6
ATOM: Final = 7
"""How tightly an expression holds together."""

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NO_MEMBERS: Final = frozenset(["in", "true", "false", "null"])


def quote(text: str) -> str:
    """Write a text."""
    return json.dumps(text, ensure_ascii=False)


def is_name(text: str) -> bool:
    """Tell whether a member can stand behind a dot."""
    return NAME.fullmatch(text) is not None and text not in _NO_MEMBERS


def within(text: str, rank: int, least: int) -> str:
    """Return an expression as it stands where one of at least some rank is needed."""
    return text if rank >= least else f"({text})"


def literal(value: Any) -> str:
    """Write a JSON value."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{quote(name)}: {literal(item)}' for name, item in value.items())}}}"
    return repr(value)
