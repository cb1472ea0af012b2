"""Checks everything that can be checked in a store that nobody has to trust."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from weft.server.admin.findings import Finding
from weft.server.admin.histories import history_findings
from weft.server.admin.readable import unreadable
from weft.server.store.execution_codec import ExecutionRow
from weft.server.store.vault import Row, Snapshot, Table, table

__all__ = ["Finding", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """An execution with all its rows."""

    columns: dict[str, Any]
    events: Sequence[Row]
    attributes: Sequence[Row]


async def verify(snapshot: Snapshot) -> AsyncIterator[Finding]:
    """Yield what is wrong, the files first, then executions by id, then everything else."""
    for text in await snapshot.faults():
        yield Finding("DATABASE_DAMAGED", "the database", text)
    async for finding in _executions(snapshot):
        yield finding
    async for finding in unreadable(snapshot):
        yield finding
    async for finding in _references(snapshot):
        yield finding
    async for finding in _batches(snapshot):
        yield finding
    async for finding in _schedules(snapshot):
        yield finding


_EXECUTIONS: Final = table("executions")
_SUMMARY: Final = len(ExecutionRow._fields)


async def _executions(snapshot: Snapshot) -> AsyncIterator[Finding]:
    owners, epochs = await snapshot.owners(), await snapshot.epochs()
    trash = {row[0] async for row in snapshot.rows(table("trash"))}
    events = _Groups(snapshot, table("events"))
    attributes = _Groups(snapshot, table("execution_attributes"))
    async for row in snapshot.rows(_EXECUTIONS):
        columns = dict(zip(_EXECUTIONS.columns, row, strict=True))
        key = columns["id"]
        async for finding in _orphans(events, key, trash, "events"):
            yield finding
        async for finding in _orphans(attributes, key, trash, "attributes"):
            yield finding
        stored = _Stored(
            columns=columns, events=await events.take(key), attributes=await attributes.take(key)
        )
        summary = ExecutionRow._make(row[:_SUMMARY])
        for finding in history_findings(key, summary, stored.events, stored.attributes):
            yield finding
        for finding in _ownership(columns, owners.get(key), epochs):
            yield finding
    for groups, what in ((events, "events"), (attributes, "attributes")):
        async for finding in _orphans(groups, None, trash, what):
            yield finding


def _ownership(columns: dict[str, Any], owner: int | None, epochs: frozenset[int]) -> Iterator[Finding]:
    key, over = columns["id"], columns["end_time"] is not None
    if over and owner is not None:
        yield Finding("OWNED_AFTER_END", key, f"it has ended, and belongs to server {owner}")
    if not over and owner is not None and owner not in epochs:
        yield Finding("OWNER_GONE", key, f"it belongs to server {owner}, which is gone: nobody works on it")
    if not over and owner is None and columns["due_time"] is None and not columns["waits"]:
        yield Finding("FORGOTTEN", key, "it is open, nobody's, and waits for nothing: nobody will work on it")


async def _orphans(groups: _Groups, before: str | None, trash: set[str], what: str) -> AsyncIterator[Finding]:
    """Yield what belongs to executions that are not there and not being deleted."""
    async for key in groups.skip_to(before):
        if key not in trash:
            yield Finding("ORPHAN", key, f"there are {what} of an execution that is not there")


class _Groups:
    """Rows of a table by their first column, in step with the executions.

    Args:
        snapshot: Where they are.
        what: Sorted by that column.
    """

    def __init__(self, snapshot: Snapshot, what: Table) -> None:
        self._rows = snapshot.rows(what)
        self._next: Row | None = None
        self._begun = False

    async def _peek(self) -> Row | None:
        if not self._begun:
            self._begun = True
            self._next = await anext(self._rows, None)
        return self._next

    async def skip_to(self, before: str | None) -> AsyncIterator[str]:
        """Pass over everything below a key, or to the end, and yield each key that was passed over."""
        last = None
        while (row := await self._peek()) is not None and (before is None or row[0] < before):
            if row[0] != last:
                last = row[0]
                yield last
            self._next = await anext(self._rows, None)

    async def take(self, key: str) -> list[Row]:
        """Return the rows of a key."""
        taken: list[Row] = []
        while (row := await self._peek()) is not None and row[0] == key:
            taken.append(row)
            self._next = await anext(self._rows, None)
        return taken


async def _references(snapshot: Snapshot) -> AsyncIterator[Finding]:
    services = {row[0] async for row in snapshot.rows(table("services"))}
    async for row in snapshot.rows(table("instances")):
        if row[1] not in services:
            yield Finding("ORPHAN", row[0], f"it is an instance of service {row[1]}, which is not there")
    versions: dict[str, list[int]] = {}
    async for row in snapshot.rows(table("workflow_versions")):
        versions.setdefault(row[0], []).append(row[1])
    async for row in snapshot.rows(table("workflows")):
        have, latest = versions.pop(row[0], []), row[4]
        if have != list(range(1, latest + 1)):
            yield Finding("VERSIONS_GAP", row[0], f"its latest version is {latest}, and it has {have}")
    for workflow_id in versions:
        yield Finding("ORPHAN", workflow_id, "there are versions of a workflow that is not there")


async def _batches(snapshot: Snapshot) -> AsyncIterator[Finding]:
    what = table("batches")
    items = _Groups(snapshot, table("batch_items"))
    async for row in snapshot.rows(what):
        batch = dict(zip(what.columns, row, strict=True))
        async for key in items.skip_to(batch["id"]):
            yield Finding("ORPHAN", key, "there are items of a batch that is not there")
        mine = await items.take(batch["id"])
        states = [item[3] for item in mine]
        told = {name: batch[name.lower()] for name in ("SUCCEEDED", "SKIPPED", "FAILED")}
        if len(mine) != batch["total"] or any(states.count(name) != count for name, count in told.items()):
            yield Finding("BATCH_COUNTS", batch["id"], "its counts are not those of its items")
    async for key in items.skip_to(None):
        yield Finding("ORPHAN", key, "there are items of a batch that is not there")


async def _schedules(snapshot: Snapshot) -> AsyncIterator[Finding]:
    known = {row[0] async for row in snapshot.rows(table("schedules"))}
    runs = _Groups(snapshot, table("schedule_runs"))
    async for key in runs.skip_to(None):
        if key not in known:
            yield Finding("ORPHAN", key, "there are runs of a schedule that is not there")
