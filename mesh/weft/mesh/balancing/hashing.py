"""Hashes that are the same in every process."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

__all__ = ["fraction", "point_of"]

_SPILL: Final = b"tier"


def point_of(key: str) -> int:
    """Return 64 bits for a key."""
    return int.from_bytes(blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest())


def fraction(key: str) -> float:
    """Return a number from 0 to below 1 for a key, independent of ``point_of``."""
    digest = blake2b(key.encode(errors="surrogatepass"), digest_size=6, person=_SPILL).digest()
    return int.from_bytes(digest) / 2**48
