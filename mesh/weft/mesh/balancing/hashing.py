"""Hashes that are the same in every process."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["fraction", "point_of"]


def point_of(key: str) -> int:
    """Return 64 bits for a key."""
    return int.from_bytes(blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest())


def fraction(key: str) -> float:
    """Return 0 to below 1 for a key, independent of ``point_of``: the size changes the whole digest."""
    digest = blake2b(key.encode(errors="surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
