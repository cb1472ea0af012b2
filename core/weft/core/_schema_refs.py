"""Where references within a schema lead to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["follow", "is_pointer", "join_path", "resolve_local"]


def join_path(field: str, parts: Iterable[str | int]) -> str:
    """Extend a dotted path: ``a``, ``[b, 0]`` → ``a.b[0]``."""
    path = field
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def is_pointer(reference: str) -> bool:
    """Tell whether a reference is a plain JSON pointer, which all readers follow alike.

    An escaped slash or tilde is read in two ways, so it is none.
    """
    if reference != "#" and not reference.startswith("#/"):
        return False
    lower = reference.lower()
    return "%2f" not in lower and "%7e" not in lower


def follow(root: Mapping[str, Any], reference: str) -> object:
    """Follow a JSON pointer within a schema.

    Raises:
        LookupError: It leads nowhere, or is no JSON pointer.
    """
    if not is_pointer(reference):
        raise LookupError(reference)
    node: Any = root
    for part in unquote(reference).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = node[name]
        elif isinstance(node, list) and name.isascii() and name.isdecimal():
            node = node[int(name)]
        else:
            raise LookupError(reference)
    return node


def resolve_local(root: Mapping[str, Any], reference: object) -> object:
    """Follow a JSON pointer within a schema; what cannot be followed is the schema that takes anything."""
    if not isinstance(reference, str):
        return True
    try:
        return follow(root, reference)
    except LookupError:
        return True
