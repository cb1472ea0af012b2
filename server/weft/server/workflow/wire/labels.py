"""Labels of workflows, as messages carry them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from weft.core.reasons import Rule
from weft.server.requests import Faults

__all__ = ["MAX_LABELS", "read_labels"]

MAX_LABELS: Final = 64
_MAX_LENGTH: Final = 63
_SHOWN: Final = 80


def read_labels(message: Mapping[str, str], faults: Faults, field: str = "labels") -> dict[str, str]:
    """Read labels, within their limits."""
    faults.count(field, message, MAX_LABELS)
    labels = {name: message[name] for name in islice(message, MAX_LABELS)}
    for name, value in labels.items():
        where = f"{field}.{name[:_SHOWN]}"
        if not name:
            faults.add(field, "has a label without a name", Rule.REQUIRED)
        faults.text(where, name, _MAX_LENGTH)
        faults.text(where, value, _MAX_LENGTH)
        if "\0" in name + value:
            faults.add(where, "has the character U+0000")
    return labels
