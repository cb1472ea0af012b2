"""Seals events at rest, so that a flipped bit is noticed and never served.

The last member of a sealed event's JSON is ``"~"``: the CRC-32 of the event without
its payload, and that of the payload, as hexadecimal digits. What was stored before
there were seals has none, and is read as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from weft.core.errors import InternalError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Event, Execution
from weft.server.forms import NewerReleaseError
from weft.server.store.execution_codec import (
    UNREADABLE,
    EventRow,
    ExecutionRow,
    decode_event,
    decode_execution,
    encode_event,
)

__all__ = ["open_events", "open_execution", "seal_event"]

_SEAL: Final = re.compile(r',?"~":"([0-9a-f]{8})([0-9a-f]{8})"\}\Z')


def seal_event(execution_id: str, event: Event) -> EventRow:
    """Write an event of an execution, with its seal."""
    number, time, kind, attributes, payload = encode_event(event)
    comma = "" if attributes == "{}" else ","
    whole = crc32(f"{execution_id}|{number}|{time}|{kind}|{attributes}".encode())
    seal = f"{whole:08x}{crc32(payload or b''):08x}"
    return EventRow(number, time, kind, f'{attributes[:-1]}{comma}"~":"{seal}"}}', payload)


def open_events(execution_id: str, rows: Sequence[EventRow], after: int = 0) -> tuple[Event, ...]:
    """Read the events of an execution that follow the one with that number.

    Raises:
        InternalError: DATA_CORRUPTED: they are not what was written.
        NewerReleaseError: This release does not know one of them.
    """
    for number, row in enumerate(rows, after + 1):
        if row.number != number:
            raise _corrupt(execution_id, number)
    return tuple(_open(execution_id, row) for row in rows)


def open_execution(row: ExecutionRow) -> Execution:
    """Read the summary of an execution.

    Raises:
        InternalError: DATA_CORRUPTED: it cannot be read.
        NewerReleaseError: This release does not know something of it.
    """
    try:
        return decode_execution(row)
    except UNREADABLE as error:
        raise InternalError(
            "the summary of an execution is not what was stored: the disk has changed it",
            reason=Reason.DATA_CORRUPTED,
        ) from error


def _open(execution_id: str, row: EventRow) -> Event:
    try:
        return decode_event(_unsealed(execution_id, row))
    except UNREADABLE as error:
        raise _corrupt(execution_id, row.number) from error
    except NewerReleaseError as error:
        if _SEAL.search(row.attributes) is None:  # every newer release seals
            raise _corrupt(execution_id, row.number) from error
        raise


def _unsealed(execution_id: str, row: EventRow) -> EventRow:
    seal = _SEAL.search(row.attributes)
    if seal is None:
        return row
    plain = f"{row.attributes[: seal.start()]}}}"
    if int(seal[1], 16) != _sum(execution_id, row, plain):
        raise ValueError("the event's checksum is wrong")
    if row.payload is not None and int(seal[2], 16) != crc32(row.payload):
        raise ValueError("the payload's checksum is wrong")
    return row._replace(attributes=plain)


def _sum(execution_id: str, row: EventRow, attributes: str) -> int:
    return crc32(f"{execution_id}|{row.number}|{row.time}|{row.kind}|{attributes}".encode())


def _corrupt(execution_id: str, number: int) -> InternalError:
    return InternalError(
        f"event {number} of {execution_id} is not what was stored: the disk has changed it",
        reason=Reason.DATA_CORRUPTED,
        metadata={"execution_id": execution_id, "event": str(number)},
    )
