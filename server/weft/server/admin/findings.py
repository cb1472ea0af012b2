"""What is wrong with a store."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    code: str
    """Which kind of thing; stable."""
    subject: str
    """With what, by its id."""
    message: str
    """What it is, for people."""
