"""Connections to one address: calls that wait for long take further ones, so that they hold up no others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc.aio

__all__ = ["Connections"]

_SHARED: Final = 500
"""Calls on the first connection, up to which those that wait go there, too."""

_MOST: Final = 900
"""Calls that wait on a further one. Above the server's limit, which is 1,000, gRPC lets a call wait for the
end of another one without a word; and who waits for an execution may do so for days."""


class _Connection:
    """A channel, and how many calls run on it."""

    __slots__ = ("calls", "channel", "methods")

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel: Any = channel
        self.calls = 0
        self.methods: dict[object, Callable[..., Any]] = {}
        """What the channel made of each method of a stub."""

    def ended(self, _: object) -> None:
        """Take note that a call has ended."""
        self.calls -= 1


class Connections:
    """Makes methods whose calls go over a connection that has room for them.

    Args:
        dial: Makes a channel that shares its connection with no other one.
    """

    def __init__(self, dial: Callable[[], grpc.aio.Channel]) -> None:
        self._dial = dial
        self._first = _Connection(dial())
        self._further: list[_Connection] = []
        self._closing: set[asyncio.Task[None]] = set()

    def method(self, kind: str, *words: Any, waits: bool = False, **more: Any) -> Callable[..., Any]:
        """Return a method, as the function of a channel does.

        Args:
            kind: Name of that function, such as ``unary_unary``.
            *words: What it is given.
            waits: Whether calls of the method may take very long.
            **more: What else it is given.
        """
        key = object()

        def call(*said: Any, **options: Any) -> Any:
            connection = self._with_room() if waits else self._first
            made = connection.methods.get(key)
            if made is None:
                made = connection.methods[key] = getattr(connection.channel, kind)(*words, **more)
            running = made(*said, **options)
            connection.calls += 1
            running.add_done_callback(connection.ended)
            return running

        return call

    async def close(self) -> None:
        """End all calls and every connection."""
        for connection in (self._first, *self._further):
            await connection.channel.close()
        if self._closing:
            await asyncio.gather(*self._closing)

    def _with_room(self) -> _Connection:
        if self._first.calls < _SHARED:
            self._close_idle()
            return self._first
        for connection in self._further:
            if connection.calls < _MOST:
                return connection
        self._further.append(_Connection(self._dial()))
        return self._further[-1]

    def _close_idle(self) -> None:
        """Close those that were made for more calls than there are now."""
        for connection in [each for each in self._further if not each.calls]:
            self._further.remove(connection)
            task = asyncio.ensure_future(connection.channel.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
