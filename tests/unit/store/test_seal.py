"""What is read of an event is what was written of it, or nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from weft.core.errors import InternalError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Event, StepCompleted, StepScheduled
from weft.server.store.execution_codec import EventRow, encode_event
from weft.server.store.seal import open_events, seal_event

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = "exe_a"
COMPLETED = StepCompleted(step_id="a", attempt=1, output=b'{"n":1}', instance_id="i")
DONE = Event(2, NOW, COMPLETED)
EVENTS = (Event(1, NOW, StepScheduled(step_id="a")), DONE)


def test_a_sealed_history_is_read_as_it_was() -> None:
    """With and without payloads, and also what was stored before there were seals."""
    sealed = [seal_event(ID, event) for event in EVENTS]
    assert open_events(ID, sealed) == EVENTS
    assert open_events(ID, [encode_event(event) for event in EVENTS]) == EVENTS
    bare = open_events(ID, [row._replace(payload=None) for row in sealed])
    assert bare[1] == replace(DONE, body=replace(COMPLETED, output=b"{}"))


@pytest.mark.parametrize("column", ["number", "time", "kind", "attributes", "payload"])
def test_every_flipped_bit_is_noticed(column: str) -> None:
    """In whichever column, at whichever place."""
    sealed = seal_event(ID, DONE)
    for bit in range(_bits(sealed, column)):
        flipped = _flip(sealed, column, bit)
        if flipped is None:
            continue  # no text any more: SQLite itself refuses it
        with pytest.raises(InternalError) as refused:
            open_events(ID, [flipped], 1)
        assert refused.value.reason == Reason.DATA_CORRUPTED


def _bits(row: EventRow, column: str) -> int:
    value = getattr(row, column)
    return 60 if isinstance(value, int) else len(value) * 8


def _flip(row: EventRow, column: str, bit: int) -> EventRow | None:
    value = getattr(row, column)
    if isinstance(value, int):
        return EventRow(**{**row._asdict(), column: value ^ 1 << bit})
    content = bytearray(value.encode() if isinstance(value, str) else value)
    content[bit // 8] ^= 1 << bit % 8
    if isinstance(value, bytes):
        return row._replace(payload=bytes(content))
    try:
        return EventRow(**{**row._asdict(), column: content.decode()})
    except UnicodeDecodeError:
        return None


def test_an_event_of_another_execution_is_refused() -> None:
    """A row that came under another's id is not served as its own."""
    with pytest.raises(InternalError):
        open_events("exe_b", [seal_event(ID, DONE)], 1)


def test_a_missing_event_is_noticed() -> None:
    """Numbers have no gaps."""
    third = replace(DONE, number=3)
    with pytest.raises(InternalError, match="event 2 of exe_a"):
        open_events(ID, [seal_event(ID, EVENTS[0]), seal_event(ID, third)])
    with pytest.raises(InternalError, match="event 1 of exe_a"):
        open_events(ID, [seal_event(ID, DONE)])


def test_random_damage_is_noticed() -> None:
    """Several bits at once, by chance: CRC-32 misses one in four thousand million."""
    chance = random.Random(15)
    sealed = seal_event(ID, DONE)
    for _ in range(500):
        payload = chance.randbytes(len(sealed.payload or b""))
        with pytest.raises(InternalError):
            open_events(ID, [sealed._replace(payload=payload)], 1)
