"""The objects that travel: 214 bytes of JSON, each time another one."""

from __future__ import annotations

from itertools import count

from weft.core.payload import JsonObject, dumps

__all__ = ["PAYLOAD", "PAYLOAD_BYTES", "Documents"]

PAYLOAD_BYTES = 214
"""Size of every payload as JSON text, in every benchmark."""

_FIRST = 100_000
_SPAN = 800_000
"""All numbers have six digits, so that all texts have the same length."""

_FRAME = len(dumps({"number": _FIRST, "text": ""}))
_TEXT = ("The quick brown fox jumps over the lazy dog. " * 8)[: PAYLOAD_BYTES - _FRAME]

PAYLOAD = dumps({"number": _FIRST, "text": _TEXT})
"""One of them, as JSON text."""


class Documents:
    """Makes inputs that differ, and tells what must come back."""

    def __init__(self) -> None:
        self._numbers = count()

    def next(self) -> JsonObject:
        """Return another input."""
        return {"number": _FIRST + next(self._numbers) % _SPAN, "text": _TEXT}

    def expected(self, document: JsonObject, steps: int) -> JsonObject:
        """Return what an input has become after steps that each add one."""
        return {**document, "number": document["number"] + steps}
