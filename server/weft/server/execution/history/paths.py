"""Paths: how a step that runs is named, wherever it stands (ADR 0019).

At the top a path is the step's id. In a body the scope comes first: ``each[3]/book`` is
step ``book`` of item 3 of the map ``each``. What undoes a step, and what runs at the end,
have scopes of their own: ``undo/each[3]/book``, ``finally/close``.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "FINALLY",
    "LONGEST_PATH",
    "TOP",
    "UNDO",
    "container_of",
    "id_of",
    "in_scope",
    "is_path",
    "scope_of",
    "sub_scope",
    "undo_path",
]

TOP: Final = ""
"""The scope of the workflow's own list of steps."""
UNDO: Final = "undo"
"""The scope of what undoes."""
FINALLY: Final = "finally"
"""The scope of what runs at the end."""

_UNDO_PREFIX: Final = "undo/"


_PATH: Final = re.compile(
    r"(undo/|finally/)?([A-Za-z][A-Za-z0-9_-]{0,62}\[\d{1,7}\]/)*[A-Za-z][A-Za-z0-9_-]{0,62}(\.run)?"
)
LONGEST_PATH: Final = 1_024
"""Characters of a path at most."""


def is_path(text: str) -> bool:
    """Tell whether a text can be the path of a step."""
    return len(text) <= LONGEST_PATH and _PATH.fullmatch(text) is not None


def scope_of(path: str) -> str:
    """Return the scope that a step runs in."""
    if "/" not in path:
        return TOP
    return UNDO if path.startswith(_UNDO_PREFIX) else path.rpartition("/")[0]


def id_of(path: str) -> str:
    """Return the step's id in the definition."""
    return path.rpartition("/")[2] if "/" in path else path


def in_scope(scope: str, step_id: str) -> str:
    """Return the path of a step in a scope."""
    return f"{scope}/{step_id}" if scope else step_id


def sub_scope(path: str, number: int) -> str:
    """Return a scope inside of a step: a branch, an item or an iteration."""
    return f"{path}[{number}]"


def container_of(scope: str) -> tuple[str, int]:
    """Return the path of the step that a scope is inside of, and its number there; an empty path: of none."""
    if not scope.endswith("]"):
        return "", 0
    path, _, number = scope[:-1].rpartition("[")
    return path, int(number)


def undo_path(path: str) -> str:
    """Return the path of what undoes a step."""
    return _UNDO_PREFIX + path
