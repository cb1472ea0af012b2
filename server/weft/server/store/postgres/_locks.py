"""Advisory locks: their numbers, told apart by schema."""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["MIGRATION", "lock_class", "lock_number", "session_class"]

MIGRATION: Final = 1
"""The object that is locked while the schema is changed."""


def lock_class(schema: str) -> int:
    """Return the class of the locks of a schema."""
    return int.from_bytes(_digest(f"weft {schema}")[:4], signed=True)


def session_class(schema: str) -> int:
    """Return the class of the locks by which servers show that their sessions are there."""
    return int.from_bytes(_digest(f"weft sessions {schema}")[:4], signed=True)


def lock_number(schema: str, kind: str, name: str = "") -> int:
    """Return the number of a lock for one transaction.

    Args:
        schema: Where.
        kind: Of what.
        name: Which one; two names have the same number rarely enough.
    """
    return int.from_bytes(_digest(f"weft\0{schema}\0{kind}\0{name}")[:8], signed=True)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
