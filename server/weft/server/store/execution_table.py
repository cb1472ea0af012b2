"""Where the fields of a filter of executions are kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from weft.core.names import EXECUTION_PREFIX, first_id
from weft.server.query.listing import Span
from weft.server.query.predicate import All, Compare, Predicate, Ref, Test, Value, conjuncts
from weft.server.query.sql import Column, Table, ValueTable
from weft.server.store.base import ExecutionFilter

__all__ = ["execution_table", "selected", "span_of"]

_SLACK: Final = timedelta(minutes=1)
"""How long an id may be made before its execution is accepted."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_BEFORE: Final = frozenset({Compare.EQUAL, Compare.LESS, Compare.AT_MOST})
_AFTER: Final = frozenset({Compare.EQUAL, Compare.GREATER, Compare.AT_LEAST})


def execution_table(document: Callable[[str], str], encode_time: Callable[[Value], object]) -> Table:
    """Describe the table of executions, called ``e``.

    Args:
        document: Writes how a member of its document is read, given its name.
        encode_time: Makes what a column of times holds.
    """
    return Table(
        id="e.id",
        source="executions e",
        columns={
            "id": Column(name="e.id"),
            "workflow": Column(name="e.workflow_id"),
            "version": Column(name=document("workflow_version")),
            "state": Column(name="e.state"),
            "create_time": Column(name="e.create_time", encode=encode_time),
            "end_time": Column(name="e.end_time", nullable=True, encode=encode_time),
            "key": Column(name="e.key", nullable=True),
            "waits": Column(name="NULLIF(e.waits, '')", nullable=True),
            "trace_id": Column(name=f"NULLIF({document('trace_id')}, '')", nullable=True),
            "origin": Column(name="e.origin", nullable=True),
            "alias": Column(name="e.alias", nullable=True),
            "parent": Column(name="e.parent", nullable=True),
        },
        maps={"attributes": ValueTable(name="execution_attributes", owner="execution_id")},
        indexed=frozenset({"workflow", "state", "key", "origin", "alias", "parent"}),
    )


def selected(wanted: ExecutionFilter) -> Predicate:
    """Return everything that is wanted as one predicate."""
    parts: list[Predicate] = []
    if wanted.workflow_id is not None:
        parts.append(Test(Ref("workflow"), Compare.EQUAL, wanted.workflow_id))
    if wanted.state is not None:
        parts.append(Test(Ref("state"), Compare.EQUAL, wanted.state.value))
    if wanted.where is not None:
        parts.append(wanted.where)
    return All(tuple(parts))


def span_of(predicate: Predicate) -> Span:
    """Return in which range of ids all that is selected must be: an id has the time it was made at."""
    span = Span()
    for part in conjuncts(predicate):
        if not isinstance(part, Test) or not isinstance(part.value, datetime):
            continue
        if part.compare in _BEFORE:  # who ended before a time was accepted before it
            span = span.below(first_id(EXECUTION_PREFIX, _moved(part.value, _MILLISECOND)))
        if part.compare in _AFTER and part.ref.field == "create_time":
            low = first_id(EXECUTION_PREFIX, _moved(part.value, -_SLACK))
            span = Span(max(span.low, low), span.high)
    return span


def _moved(time: datetime, by: timedelta) -> datetime:
    """Return a time that much later or earlier, at most the last or the first that there is."""
    try:
        return time + by
    except OverflowError:
        return _LAST if by > timedelta() else _FIRST
