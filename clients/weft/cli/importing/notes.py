"""What is said about an import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["MAX_NOTES", "Imported", "Note", "Notes", "refused"]

MAX_NOTES = 500
"""More say nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing to know about an import."""

    path: str
    """Where it stands in the source."""
    message: str
    """What it is about."""
    lost: bool
    """Whether something could not be carried over; otherwise it is to be checked or provided."""

    @property
    def text(self) -> str:
        """All of it in one line."""
        kind = "not carried over" if self.lost else "note"
        return ": ".join(part for part in (kind, self.path, self.message) if part)


class Notes:
    """Collects notes; equal ones once."""

    def __init__(self) -> None:
        self._found: dict[Note, None] = {}

    def lost(self, path: str, message: str) -> None:
        """Say that something could not be carried over."""
        self._add(Note(path=path, message=message, lost=True))

    def check(self, path: str, message: str) -> None:
        """Say what is to be checked, or provided."""
        self._add(Note(path=path, message=message, lost=False))

    def _add(self, note: Note) -> None:
        if len(self._found) < MAX_NOTES:
            self._found[note] = None

    def mark(self) -> int:
        """Return how far the notes are."""
        return len(self._found)

    def forget(self, mark: int) -> None:
        """Drop what was said after a mark."""
        self._found = dict.fromkeys(list(self._found)[:mark])

    @property
    def all(self) -> tuple[Note, ...]:
        """All of them, in the order they were found."""
        return tuple(self._found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of one document."""

    definitions: list[dict[str, Any]] = field(default_factory=list)
    """The workflow, and those that became children of it; names as in a definition's file."""
    notes: tuple[Note, ...] = ()
    """What is to be known about it."""


def refused(path: str, message: str, rule: Rule = Rule.INVALID) -> ValidationError:
    """Make the error of a document that is not what it should be."""
    return ValidationError([Violation(path, message, rule)])
