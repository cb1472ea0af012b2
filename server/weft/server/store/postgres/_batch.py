"""A batch: new executions and appends to others, as the arrays of one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from weft.server.execution.history.model import Event, Execution
from weft.server.store.base import RequestKey
from weft.server.store.execution_codec import (
    EventRow,
    attribute_rows,
    encode_execution,
    encode_facts,
    encode_standing,
)
from weft.server.store.seal import seal_event

__all__ = ["Append", "Insert", "Write", "arguments", "columns"]

_APPEND_COLUMNS: Final = 9
_INSERT_COLUMNS: Final = 23
_EVENT_COLUMNS: Final = 6
_ATTRIBUTE_COLUMNS: Final = 3


@dataclass(slots=True, kw_only=True, eq=False)
class Write:
    """What happens to one execution."""

    execution_id: str
    """Which one."""
    events: list[EventRow]
    """What its history gains."""
    row: tuple[object, ...]
    """Its row of the arrays."""
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    """What it is found by."""
    future: asyncio.Future[bool] = field(repr=False)
    """Resolves with whether it was written, durably; False: what it is based on has changed."""

    @property
    def size(self) -> int:
        """About how many bytes it has."""
        return 200 + sum(event.size for event in self.events)


class Append(Write):
    """Further events of an execution that this server owns."""

    @classmethod
    def of(
        cls, execution: Execution, events: Sequence[Event], expected_last: int, *, release: bool
    ) -> Append:
        """Make one."""
        standing = encode_standing(execution)
        return cls(
            execution_id=execution.id,
            events=[seal_event(execution.id, event) for event in events],
            row=(execution.id, expected_last, *standing, release or execution.state.final),
            future=asyncio.get_running_loop().create_future(),
        )


class Insert(Write):
    """A new execution."""

    @classmethod
    def of(cls, execution: Execution, events: Sequence[Event], key: RequestKey | None) -> Insert:
        """Make one."""
        request = (key.method, key.request_id, key.fingerprint) if key else (None, None, None)
        row = (
            *encode_execution(execution),
            execution.id,
            execution.workflow_id,
            execution.workflow_version,
            execution.trace_id or None,
            *encode_facts(execution),
            not execution.waits,
            *request,
        )
        return cls(
            execution_id=execution.id,
            events=[seal_event(execution.id, event) for event in events],
            row=row,
            attributes=attribute_rows(execution),
            future=asyncio.get_running_loop().create_future(),
        )


def arguments(epoch: int, writes: Sequence[Write]) -> list[Any]:
    """Return the arguments of ``commit_batch``."""
    appends = [write for write in writes if isinstance(write, Append)]
    # In one order everywhere, so that two servers with the same request do not wait for each other.
    inserts = sorted((write for write in writes if isinstance(write, Insert)), key=_request)
    events = [(write.execution_id, *event) for write in (*appends, *inserts) for event in write.events]
    return [
        epoch,
        *columns([write.row for write in appends], _APPEND_COLUMNS),
        *columns([write.row for write in inserts], _INSERT_COLUMNS),
        *columns(events, _EVENT_COLUMNS),
        *columns([row for write in inserts for row in write.attributes], _ATTRIBUTE_COLUMNS),
    ]


def _request(write: Write) -> str:
    return str(write.row[-2] or "")


def columns(rows: Sequence[tuple[object, ...]], count: int) -> list[Sequence[object]]:
    """Turn rows into that many arrays."""
    return list(zip(*rows, strict=True)) if rows else [()] * count
