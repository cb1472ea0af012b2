"""Metadata that callers give: gRPC itself says of a faulty pair only that a batch of operations failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.mesh.dynamic._rpc import Metadata

__all__ = ["metadata_faults", "metadata_pairs"]

_KEY: Final = re.compile(r"[0-9a-z_.-]+")
_TEXT: Final = re.compile(r"[ -~]*")


def metadata_pairs(metadata: Mapping[str, Any] | Metadata) -> Metadata:
    """Return what is sent, with keys in lower case.

    Raises:
        ValidationError: Every pair that cannot be sent.
    """
    pairs: Iterable[tuple[Any, Any]] = metadata.items() if isinstance(metadata, Mapping) else metadata
    sent = tuple((key.lower() if isinstance(key, str) else key, value) for key, value in pairs)
    if faults := metadata_faults(sent):
        raise ValidationError(faults)
    return sent


def metadata_faults(pairs: Iterable[tuple[Any, Any]]) -> list[Violation]:
    """Say everything that is wrong with pairs whose keys are in lower case."""
    return [
        Violation("metadata", f"{key!r} {fault}", Rule.INVALID)
        for key, value in pairs
        if (fault := _fault(key, value))
    ]


def _fault(key: Any, value: Any) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return "is no key of metadata: it has letters, digits, '-', '_' and '.'"
    if key.endswith("-bin"):
        return "" if isinstance(value, bytes) else "ends in -bin, so its value must be bytes"
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not _TEXT.fullmatch(text):
        return "must be text of printable ASCII characters, on one line; a key that ends in -bin takes bytes"
    return ""
