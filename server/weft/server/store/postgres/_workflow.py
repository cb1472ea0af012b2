"""Workflows and their versions in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

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
from weft.server.store.postgres._backend import affected, holds
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.postgres._pages import read_slice
from weft.server.store.postgres._registry import Catalog
from weft.server.store.postgres._requests import recall, record
from weft.server.store.workflow_lists import Newer, labelled, read_or_newer, readable
from weft.server.workflow.model import Workflow, WorkflowState

__all__ = ["PostgresWorkflows"]

_MAX_INTEGER = 2**63 - 1


class PostgresWorkflows(Catalog):
    """The workflows' part of the store; see ``WorkflowStore`` for what each method promises."""

    async def recall_workflow(self, key: RequestKey) -> Workflow | None:
        """Return what the first request with this key returned."""
        document = await self._read(lambda connection: recall(connection, key))
        return decode_workflow(document) if document else None

    async def insert_workflow(self, workflow: Workflow, key: RequestKey | None = None) -> Workflow:
        """Store a new workflow with its first version."""
        now = to_micros(self._clock.now())
        row = _row(workflow)

        async def insert(connection: Connection) -> Workflow:
            first = await recall(connection, key)
            if first is not None:
                return decode_workflow(first)
            await _require_free_name(connection, workflow)
            await connection.execute(SQL["insert_workflow"], workflow.id, *row)
            return await _add_version(connection, workflow, key, now)

        return await self._change(insert)

    async def update_workflow(
        self, workflow: Workflow, expected_revision: int, key: RequestKey | None = None
    ) -> Workflow:
        """Replace a workflow that still has the expected revision."""
        now = to_micros(self._clock.now())
        values = (*_row(workflow), workflow.id, expected_revision)

        async def update(connection: Connection) -> Workflow:
            first = await recall(connection, key)
            if first is not None:
                return decode_workflow(first)
            await _require_free_name(connection, workflow)
            _require_change(await connection.execute(SQL["update_workflow"], *values), workflow.id)
            return await _add_version(connection, workflow, key, now)

        return await self._change(update)

    async def delete_workflow(
        self, workflow: Workflow, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Mark a workflow as deleted; its name is free, its versions stay."""
        now = to_micros(self._clock.now())

        async def delete(connection: Connection) -> None:
            if await recall(connection, key) is not None:
                return
            stored = await _get(connection, workflow.id, 0)
            status = await connection.execute(SQL["delete_workflow"], workflow.id, expected_revision)
            _require_change(status, workflow.id)
            assert stored is not None
            await record(connection, key, encode(stored), now)

        await self._change(delete)

    async def get_workflow(self, ref: str, version: int = 0) -> Workflow | None:
        """Return a workflow by id or by name, in its latest version or the one given."""
        return await self._read(lambda connection: _get(connection, ref, version)) if holds(ref) else None

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
        return frozenset(row[0] for row in await self._fetch("paused_workflows"))

    async def list_workflow_versions(self, workflow_id: str, page: Page) -> Slice[Workflow]:
        """Return the versions of a workflow, newest first; the paging key is the version in decimal."""
        below = min(int(page.after), _MAX_INTEGER) if page.after else _MAX_INTEGER
        where = (workflow_id,)
        return await self._read(
            lambda connection: read_slice(connection, "workflow_versions", where, below, page, _decode)
        )


def _row(workflow: Workflow) -> tuple[object, ...]:
    head, labels = encode_workflow_head(workflow), encode_labels(workflow.definition.labels)
    return workflow.name, workflow.state.value, workflow.revision, workflow.version, head, labels


def _decode(row: asyncpg.Record) -> Workflow:
    return decode_workflow_row(WorkflowRow._make(row))


def _decode_item(row: asyncpg.Record) -> Workflow | Newer:
    return read_or_newer(WorkflowRow._make(row))


async def _get(connection: Connection, ref: str, version: int) -> Workflow | None:
    row = await connection.fetchrow(SQL["get_workflow"], ref, version)
    return _decode(row) if row else None


async def _add_version(
    connection: Connection, workflow: Workflow, key: RequestKey | None, now: int
) -> Workflow:
    """Store the version unless it is there, and return what is stored now."""
    time = to_micros(workflow.version_create_time)
    definition = encode_definition(workflow.definition)
    await connection.execute(SQL["add_workflow_version"], workflow.id, workflow.version, time, definition)
    stored = await _get(connection, workflow.id, 0)
    assert stored is not None
    await record(connection, key, encode(stored), now)
    return stored


async def _require_free_name(connection: Connection, workflow: Workflow) -> None:
    holder = await connection.fetchval(SQL["workflow_by_name"], workflow.name)
    if holder is not None and holder != workflow.id:
        raise AlreadyExistsError(
            f"a workflow named {workflow.name!r} exists",
            reason=Reason.WORKFLOW_EXISTS,
            metadata={"name": workflow.name},
        )


def _require_change(status: str, workflow_id: str) -> None:
    if affected(status) != 1:
        raise StaleWriteError(f"workflow {workflow_id} has another revision, or is deleted")
