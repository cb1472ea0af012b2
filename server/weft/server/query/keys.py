"""Free values as texts that sort as the values do, so that one index serves all types.

A key begins with the type of its value: ``b`` boolean, ``n`` number, ``s`` text.
Texts sort by their code points, which is the order of their UTF-8.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["TEXT", "key_of", "successor", "value_of"]

TEXT: Final = "s"
_NEGATIVE: Final = 1 << 63
_ALL: Final = (1 << 64) - 1


def key_of(value: str | float | bool) -> str:  # noqa: FBT001 - it is a value like others
    """Return the key of a value."""
    if isinstance(value, bool):
        return f"b{value:d}"
    if isinstance(value, str):
        return TEXT + value
    (bits,) = struct.unpack(">Q", struct.pack(">d", value + 0.0))  # -0.0 + 0.0 is 0.0
    return f"n{bits ^ (_ALL if bits & _NEGATIVE else _NEGATIVE):016x}"


def value_of(key: str) -> str | float | bool:
    """Return the value behind a key."""
    kind, rest = key[0], key[1:]
    if kind == TEXT:
        return rest
    if kind == "b":
        return rest == "1"
    bits = int(rest, 16)
    number: float = struct.unpack(">d", struct.pack(">Q", bits ^ (_NEGATIVE if bits & _NEGATIVE else _ALL)))[
        0
    ]
    return number


def successor(prefix: str) -> str:
    """Return the first text that sorts behind all that begin with a prefix; empty when there is none."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return ""
    following = ord(head[-1]) + 1
    return head[:-1] + chr(0xE000 if following == 0xD800 else following)
