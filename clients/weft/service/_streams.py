"""The engines that stream to one host."""

from __future__ import annotations

import asyncio

from weft.service._stream import ActionStream

__all__ = ["ActionStreams"]


class ActionStreams:
    """Keeps count of the streams, so that they end with the host."""

    def __init__(self) -> None:
        self._open: set[ActionStream] = set()
        self._none = asyncio.Event()
        self._none.set()
        self._draining = False

    async def serve(self, stream: ActionStream) -> None:
        """Serve one stream to its end."""
        self._open.add(stream)
        self._none.clear()
        if self._draining:
            stream.drain()
        try:
            await stream.serve()
        finally:
            self._open.discard(stream)
            if not self._open:
                self._none.set()

    def drain(self) -> None:
        """Tell every engine to send nothing more."""
        if not self._draining:
            self._draining = True
            for stream in self._open:
                stream.drain()

    async def finish(self, patience: float) -> None:
        """Wait until every stream has said everything, and end those whose engines do not end them.

        Args:
            patience: Seconds that each of both may take.
        """
        self.drain()
        for end in (False, True):
            for stream in self._open if end else ():
                stream.finish()
            try:
                async with asyncio.timeout(patience):
                    await self._none.wait()
            except TimeoutError:
                continue
            return
