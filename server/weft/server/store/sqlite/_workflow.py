"""Workflows and their versions in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from weft.core.errors import AlreadyExistsError
from weft.core.reasons import Reason
from weft.server.store.base import Page, RequestKey, Slice, StaleWriteError
from weft.server.store.codec import (
    WorkflowRow,
    decode_workflow,
    decode_workflow_row,
    encode,
    encode_definition,
    encode_labels,
    encode_workflow_head,
    to_micros,
)
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.sqlite._pages import read_slice
from weft.server.store.sqlite._requests import recall, record
from weft.server.store.workflow_lists import Newer, labelled, read_or_newer, readable
from weft.server.workflow.model import Workflow, WorkflowState

__all__ = ["SqliteWorkflows"]

_MAX_INTEGER = 2**63 - 1


class SqliteWorkflows(Backend):
    """The workflows' part of the store; see ``WorkflowStore`` for what each method promises."""

    async def recall_workflow(self, key: RequestKey) -> Workflow | None:
        """Return what the first request with this key returned."""
        document = await self._read(lambda connection: recall(connection, key))
        return decode_workflow(document) if document else None

    async def insert_workflow(self, workflow: Workflow, key: RequestKey | None = None) -> Workflow:
        """Store a new workflow with its first version."""
        now = to_micros(self._clock.now())
        head = encode_workflow_head(workflow)
        labels = encode_labels(workflow.definition.labels)
        values = (
            *(workflow.id, workflow.name, workflow.state, workflow.revision, workflow.version, head),
            labels,
        )

        def insert(connection: sqlite3.Connection) -> Workflow:
            first = recall(connection, key)
            if first is not None:
                return decode_workflow(first)
            _require_free_name(connection, workflow)
            connection.execute(SQL["insert_workflow"], values)
            return _add_version(connection, workflow, key, now)

        return await self._write(insert)

    async def update_workflow(
        self, workflow: Workflow, expected_revision: int, key: RequestKey | None = None
    ) -> Workflow:
        """Replace a workflow that still has the expected revision."""
        now = to_micros(self._clock.now())
        head = encode_workflow_head(workflow)
        labels = encode_labels(workflow.definition.labels)
        row = (workflow.name, workflow.state, workflow.revision, workflow.version, head, labels)
        values = (*row, workflow.id, expected_revision)

        def update(connection: sqlite3.Connection) -> Workflow:
            first = recall(connection, key)
            if first is not None:
                return decode_workflow(first)
            _require_free_name(connection, workflow)
            _require_change(connection.execute(SQL["update_workflow"], values), workflow.id)
            return _add_version(connection, workflow, key, now)

        return await self._write(update)

    async def delete_workflow(
        self, workflow: Workflow, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Mark a workflow as deleted; its name is free, its versions stay."""
        now = to_micros(self._clock.now())

        def delete(connection: sqlite3.Connection) -> None:
            if recall(connection, key) is not None:
                return
            stored = _get(connection, workflow.id, 0)
            cursor = connection.execute(SQL["delete_workflow"], (workflow.id, expected_revision))
            _require_change(cursor, workflow.id)
            assert stored is not None
            record(connection, key, encode(stored), now)

        await self._write(delete)

    async def get_workflow(self, ref: str, version: int = 0) -> Workflow | None:
        """Return a workflow by id or by name, in its latest version or the one given."""
        return await self._read(lambda connection: _get(connection, ref, version))

    async def list_workflows(
        self, state: WorkflowState | None, page: Page, labels: Mapping[str, str] | None = None
    ) -> Slice[Workflow]:
        """Return workflows that are not deleted, by name; the paging key is the name."""
        what, where = labelled(state, labels)
        found = await self._read(
            lambda connection: read_slice(connection, what, where, page.after, page, _decode_item)
        )
        return readable(found)

    async def paused_workflows(self) -> frozenset[str]:
        """Return the ids of the workflows that are paused."""
        rows = await self._read(lambda connection: connection.execute(SQL["paused_workflows"]).fetchall())
        return frozenset(workflow_id for (workflow_id,) in rows)

    async def list_workflow_versions(self, workflow_id: str, page: Page) -> Slice[Workflow]:
        """Return the versions of a workflow, newest first; the paging key is the version in decimal."""
        below = min(int(page.after), _MAX_INTEGER) if page.after else _MAX_INTEGER
        where = (workflow_id,)
        return await self._read(
            lambda connection: read_slice(connection, "workflow_versions", where, below, page, _decode)
        )


def _decode(*columns: str | int) -> Workflow:
    return decode_workflow_row(WorkflowRow._make(columns))


def _decode_item(*columns: str | int) -> Workflow | Newer:
    return read_or_newer(WorkflowRow._make(columns))


def _get(connection: sqlite3.Connection, ref: str, version: int) -> Workflow | None:
    row = connection.execute(SQL["get_workflow"], (ref, version)).fetchone()
    return _decode(*row) if row else None


def _add_version(
    connection: sqlite3.Connection, workflow: Workflow, key: RequestKey | None, now: int
) -> Workflow:
    """Store the version unless it is there, and return what is stored now."""
    time = to_micros(workflow.version_create_time)
    definition = encode_definition(workflow.definition)
    connection.execute(SQL["add_workflow_version"], (workflow.id, workflow.version, time, definition))
    stored = _get(connection, workflow.id, 0)
    assert stored is not None
    record(connection, key, encode(stored), now)
    return stored


def _require_free_name(connection: sqlite3.Connection, workflow: Workflow) -> None:
    holder = connection.execute(SQL["workflow_by_name"], (workflow.name,)).fetchone()
    if holder is not None and holder[0] != workflow.id:
        raise AlreadyExistsError(
            f"a workflow named {workflow.name!r} exists",
            reason=Reason.WORKFLOW_EXISTS,
            metadata={"name": workflow.name},
        )


def _require_change(cursor: sqlite3.Cursor, workflow_id: str) -> None:
    if cursor.rowcount != 1:
        raise StaleWriteError(f"workflow {workflow_id} has another revision, or is deleted")
