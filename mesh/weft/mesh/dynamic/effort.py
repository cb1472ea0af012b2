"""How much may be spent on the schemas of one service."""

from __future__ import annotations

from typing import Final

__all__ = ["COMPILE_PART", "COMPILE_REF", "Effort"]

_EFFORT: Final = 400_000
COMPILE_PART: Final = 10
"""To compile a part takes about as much longer than to make it."""
COMPILE_REF: Final = 50
"""What a reference costs on top: its work is followed level by level."""


class Effort:
    """How much may be spent on the schemas of one service: seconds, whatever its messages are.

    Attributes:
        left: Parts that may still be made; to compile one counts as several. Whoever
            no longer waits for them sets it to 0, from any thread.
    """

    def __init__(self, left: int = _EFFORT) -> None:
        self.left = left
