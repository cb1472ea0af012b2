"""Ids, names and reasons made of foreign names."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Namer", "action_name", "identifier", "reason", "service_name"]

_RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
        "errors",
    ]
)
"""Words of CEL that are no names."""
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER: Final = re.compile(r"[^A-Za-z0-9]+")
_LONGEST: Final = 56


def _words(text: str) -> list[str]:
    return [word for word in _OTHER.split(_HUMP.sub(" ", text)) if word]


def identifier(text: str, default: str = "step") -> str:
    """Make snake_case of a name, such that CEL can name it: ``Send e-mail`` becomes ``send_e_mail``."""
    made = "_".join(_words(text)).lower()[:_LONGEST].strip("_")
    if not made:
        return default
    if not made[0].isalpha():
        return f"{default}_{made}"[:_LONGEST]
    return f"{made}_{default}" if made in _RESERVED else made


def service_name(text: str, default: str = "service") -> str:
    """Make kebab-case of a name: ``OrderService`` becomes ``order-service``."""
    made = "-".join(_words(text)).lower()
    if not made or not made[0].isalpha():
        made = f"{default}-{made}".strip("-")
    return made[:63].strip("-")


def action_name(text: str, default: str = "call") -> str:
    """Make the name of an action; what may stand in one stays as it is."""
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
    return made[:128] if made and made[0].isalpha() else f"{default}-{made}".strip("-")[:128]


def reason(text: str) -> str:
    """Make UPPER_SNAKE_CASE of the name of an error: ``OrderNotFound`` becomes ``ORDER_NOT_FOUND``."""
    made = "_".join(_words(text)).upper()[:63].strip("_")
    return made if made and made[0].isalpha() else f"ERROR_{made}".strip("_")


class Namer:
    """Gives each name once."""

    def __init__(self, taken: set[str] | None = None) -> None:
        self._taken = taken if taken is not None else set()

    def __call__(self, text: str, default: str = "step") -> str:
        """Return an identifier like the text that was not given before."""
        wanted = identifier(text, default)
        made, number = wanted, 2
        while made in self._taken:
            made, number = f"{wanted}_{number}", number + 1
        self._taken.add(made)
        return made

    def mark(self) -> set[str]:
        """Return what is taken now."""
        return set(self._taken)

    def forget(self, mark: set[str]) -> None:
        """Give back what was taken after a mark."""
        self._taken.intersection_update(mark)
