"""What one stream owes, at the engine's end: a state machine that knows neither gRPC nor time.

An entry waits until the window of the provider has room, then it is sent, then
it is answered. One that is given up while it waits was never there; one that is
given up after it was sent stays open until the provider says that it has ended,
so that the window is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from weft.core.reasons import Reason
from weft.mesh.dispatch.limits import BATCH_BYTES, Window

__all__ = ["Batch", "Entry", "Ledger", "Refusal"]

T = TypeVar("T")

_CLOSED: Final = Window(invocations=0, input_bytes=0)


class Entry(Generic[T]):
    """One invocation.

    Args:
        value: What is sent.
        size: Bytes that it takes in a message, about.
        token: Of the attempt.

    Attributes:
        value: As given.
        size: As given.
        token: As given.
        id: Its number on the stream; 0 before it is added.
        given_up: Whether nobody waits for it any more.
    """

    __slots__ = ("given_up", "id", "size", "token", "value")

    def __init__(self, value: T, size: int, token: str = "") -> None:
        self.value = value
        self.size = size
        self.token = token
        self.id = 0
        self.given_up = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A result that nobody takes."""

    id: int
    """Of the invocation."""
    token: str
    """Of its attempt."""


@dataclass(slots=True)
class Batch(Generic[T]):
    """What goes into one message."""

    invocations: list[Entry[T]] = field(default_factory=list)
    """To be run."""
    cancellations: Sequence[tuple[int, Reason]] = ()
    """Ids that were given up, and why."""
    refusals: Sequence[Refusal] = ()
    """Results that came too late."""


class Ledger(Generic[T]):
    """The invocations of one stream.

    Attributes:
        window: How much may be open; nothing until the provider has said so.
    """

    def __init__(self) -> None:
        self.window = _CLOSED
        self._last = 0
        self._waiting: OrderedDict[int, Entry[T]] = OrderedDict()
        self._open: dict[int, Entry[T]] = {}
        self._open_bytes = 0
        self._cancellations: list[tuple[int, Reason]] = []
        self._refusals: list[Refusal] = []

    @property
    def added(self) -> int:
        """How many there have ever been."""
        return self._last

    @property
    def waiting(self) -> int:
        """How many were not sent yet."""
        return len(self._waiting)

    @property
    def open(self) -> int:
        """How many were sent and not answered."""
        return len(self._open)

    @property
    def open_bytes(self) -> int:
        """How much they take."""
        return self._open_bytes

    def add(self, entry: Entry[T]) -> None:
        """Let an entry wait for its turn."""
        self._last += 1
        entry.id = self._last
        self._waiting[entry.id] = entry

    def take(self) -> Batch[T] | None:
        """Take what is to be sent now, as far as the window and one message go; None when there is nothing.

        What it returns counts as sent: it may have been, whatever becomes of the write.
        """
        invocations = self._admitted()
        if not (invocations or self._cancellations or self._refusals):
            return None
        batch = Batch(invocations, self._cancellations, self._refusals)
        self._cancellations, self._refusals = [], []
        return batch

    def find(self, number: int) -> Entry[T] | None:
        """Return an open entry."""
        return self._open.get(number)

    def answer(self, number: int) -> Entry[T] | None:
        """Close an open entry and return it; None when there is none of that number."""
        entry = self._open.pop(number, None)
        if entry is not None:
            self._open_bytes -= entry.size
        return entry

    def give_up(self, entry: Entry[T], reason: Reason) -> None:
        """Take note that nobody waits for an entry any more; a second time means nothing."""
        if entry.given_up:
            return
        entry.given_up = True
        if self._waiting.pop(entry.id, None) is None and entry.id in self._open:
            self._cancellations.append((entry.id, reason))

    def refuse(self, entry: Entry[T]) -> None:
        """Have the provider told that the result of an entry was not taken."""
        self._refusals.append(Refusal(entry.id, entry.token))

    def withdraw(self) -> list[Entry[T]]:
        """Take back every entry that was not sent."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting

    def close(self) -> list[Entry[T]]:
        """Forget every entry that was sent, and return those that somebody waits for."""
        lost = [entry for entry in self._open.values() if not entry.given_up]
        self._open.clear()
        self._open_bytes = 0
        self._cancellations, self._refusals = [], []
        return lost

    def _admitted(self) -> list[Entry[T]]:
        """Move what may be sent from waiting to open."""
        taken: list[Entry[T]] = []
        waiting, opened, window = self._waiting, self._open, self.window
        size = 0
        while waiting and len(opened) < window.invocations:
            number, entry = waiting.popitem(last=False)
            full = opened and self._open_bytes + entry.size > window.input_bytes
            if full or (taken and size + entry.size > BATCH_BYTES):
                waiting[number] = entry
                waiting.move_to_end(number, last=False)
                break
            opened[number] = entry
            self._open_bytes += entry.size
            size += entry.size
            taken.append(entry)
        return taken
