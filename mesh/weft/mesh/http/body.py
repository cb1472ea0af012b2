"""The body of a request: at once, or in pieces whose writing is timed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from weft.mesh.http.faults import Phase
from weft.mesh.http.timeouts import Timer

__all__ = ["PIECE_BYTES", "Upload", "pieces"]

PIECE_BYTES = 65_536
"""What a connection takes without waiting for its peer."""


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """Yield data in pieces, so that a peer that stops taking them is noticed."""
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


class Upload:
    """Hands pieces to a connection; whoever asks for the next one has written the last.

    The time that the source takes for a piece is the source's own, not the peer's.

    Args:
        source: Where the pieces come from.
        timer: Learns whether the peer or the source is waited for.
    """

    def __init__(self, source: AsyncIterator[bytes], timer: Timer) -> None:
        self._source = source
        self._timer = timer
        self.fault: Exception | None = None
        """What the source raised."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece that is not empty: an empty one would end the body."""
        self._timer.enter(Phase.TOTAL)
        try:
            piece = await anext(self._source)
            while not piece:
                piece = await anext(self._source)
        except StopAsyncIteration:
            self._timer.enter(Phase.READ)
            raise
        except Exception as error:
            self.fault = error
            raise
        self._timer.enter(Phase.WRITE)
        return piece
