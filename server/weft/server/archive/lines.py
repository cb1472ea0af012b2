"""An execution that has ended, as JSON lines.

The first line is the execution, each line after it an event, the last one says how
many events there were and the SHA-256 of everything before it. Members are sorted
and times are integer microseconds since 1970, so the same execution is always the
same bytes. A payload is a text that holds its JSON as it is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

import orjson

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.server.archive.checks import history_faults
from weft.server.execution.history.model import Event, Execution, Waits
from weft.server.forms import NewerReleaseError
from weft.server.store.execution_codec import (
    UNREADABLE,
    EventRow,
    ExecutionRow,
    decode_event,
    decode_execution,
    encode_event,
    encode_execution,
)

__all__ = ["FORMAT", "MAX_EVENTS", "Archive", "ArchiveWriter", "read_archive", "write_archive"]

FORMAT: Final = "weft-execution/1"
MAX_EVENTS: Final = 100_000

_SORTED: Final = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True, slots=True)
class Archive:
    """What was read of an archive."""

    execution: Execution
    """In its final state."""
    events: tuple[Event, ...]
    """Its whole history."""


class ArchiveWriter:
    """Writes one archive, line by line."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._events = 0

    def head(self, execution: Execution) -> bytes:
        """Return the first line."""
        row = encode_execution(replace(execution, waits=Waits.NOTHING, due_time=None))
        record = {
            "format": FORMAT,
            "execution": orjson.loads(row.head),
            "state": row.state,
            "last_event": row.last_event,
            "end_time": row.end_time,
            "failure": orjson.loads(row.failure) if row.failure else None,
        }
        return self._line(record)

    def event(self, event: Event) -> bytes:
        """Return the line of an event."""
        row = encode_event(event)
        self._events += 1
        record = {
            "number": row.number,
            "time": row.time,
            "kind": row.kind,
            "attributes": orjson.loads(row.attributes),
            "payload": None if row.payload is None else row.payload.decode(),
        }
        return self._line(record)

    def end(self) -> bytes:
        """Return the last line."""
        return self._line({"events": self._events, "sha256": self._digest.hexdigest()})

    def _line(self, record: dict[str, Any]) -> bytes:
        line = orjson.dumps(record, option=_SORTED)
        self._digest.update(line)
        return line


def write_archive(archive: Archive) -> Iterator[bytes]:
    """Yield the lines of an archive."""
    writer = ArchiveWriter()
    yield writer.head(archive.execution)
    for event in archive.events:
        yield writer.event(event)
    yield writer.end()


def read_archive(data: bytes) -> Archive:
    """Read an archive, and check everything that can be checked.

    Raises:
        ValidationError: It is none; the faults say in which line.
    """
    lines = data.split(b"\n")
    if len(lines) < 4 or lines[-1]:
        _refuse("data", "is no archive: there is a first line, one for each event, and a last one that ends")
    if len(lines) > MAX_EVENTS + 3:
        _refuse("data", f"has more than {MAX_EVENTS:,} events")
    _check_end(data, lines)
    execution = _read_head(_record(lines[0], 1))
    events = tuple(_read_event(_record(line, number), number) for number, line in enumerate(lines[1:-2], 2))
    faults = list(history_faults(execution, events))
    if faults:
        raise ValidationError(faults)
    return Archive(execution, events)


def _check_end(data: bytes, lines: list[bytes]) -> None:
    last = _record(lines[-2], len(lines) - 1)
    before = data[: len(data) - len(lines[-2]) - 1]
    if last != {"events": len(lines) - 3, "sha256": hashlib.sha256(before).hexdigest()}:
        message = "does not fit what stands before it: something was lost or changed"
        _refuse(f"line {len(lines) - 1}", message)


def _record(line: bytes, number: int) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        record = None
    if not isinstance(record, dict):
        _refuse(f"line {number}", "is not a JSON object")
    return record


def _read_head(record: dict[str, Any]) -> Execution:
    if record.get("format") != FORMAT:
        _refuse("line 1", f"its format is not {FORMAT!r}")
    try:
        failure = record["failure"]
        row = ExecutionRow(
            head=orjson.dumps(record["execution"]).decode(),
            state=record["state"],
            last_event=record["last_event"],
            waits=Waits.NOTHING.value,
            due_time=None,
            end_time=record["end_time"],
            failure=None if failure is None else orjson.dumps(failure).decode(),
        )
        return decode_execution(row)
    except (*UNREADABLE, NewerReleaseError):
        _refuse("line 1", "is not an execution of this version of Weft")


def _read_event(record: dict[str, Any], number: int) -> Event:
    try:
        payload = record["payload"]
        row = EventRow(
            number=record["number"],
            time=record["time"],
            kind=record["kind"],
            attributes=orjson.dumps(record["attributes"]).decode(),
            payload=None if payload is None else payload.encode(),
        )
        event = decode_event(row)
        if encode_event(event).payload != row.payload:
            _refuse(f"line {number}", "has no payload")
    except (*UNREADABLE, NewerReleaseError):
        _refuse(f"line {number}", "is not an event of this version of Weft")
    return event


def _refuse(where: str, message: str) -> NoReturn:
    raise ValidationError([Violation(where, message, Rule.ARCHIVE_INVALID)])
