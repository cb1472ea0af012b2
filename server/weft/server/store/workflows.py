"""The store port of workflows and their versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from weft.server.store.values import Page, RequestKey, Slice
from weft.server.workflow.model import Workflow, WorkflowState

__all__ = ["WorkflowStore"]


class WorkflowStore(Protocol):
    """Workflows and all their versions. Lists are by name, versions newest first."""

    def on_catalog_change(self, listener: Callable[[], None]) -> None:
        """Call back in the event loop when another server may have changed services or workflows.

        At the latest one second after it did.
        """
        ...

    async def recall_workflow(self, key: RequestKey) -> Workflow | None:
        """Return what the first request with this key returned.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
        """
        ...

    async def insert_workflow(self, workflow: Workflow, key: RequestKey | None = None) -> Workflow:
        """Store a new workflow with its first version.

        Raises:
            AlreadyExistsError: WORKFLOW_EXISTS, or REQUEST_ID_REUSED.
        """
        ...

    async def update_workflow(
        self, workflow: Workflow, expected_revision: int, key: RequestKey | None = None
    ) -> Workflow:
        """Replace a workflow that still has the expected revision.

        A version that is not stored yet is added; a stored version never
        changes what it does.

        Raises:
            AlreadyExistsError: WORKFLOW_EXISTS: the new name is taken; or REQUEST_ID_REUSED.
            StaleWriteError: It has another revision, or is deleted.
        """
        ...

    async def delete_workflow(
        self, workflow: Workflow, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Mark a workflow as deleted; its name is free, its versions stay.

        The key recalls the workflow as it was.

        Raises:
            StaleWriteError: It has another revision, or is deleted.
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        ...

    async def get_workflow(self, ref: str, version: int = 0) -> Workflow | None:
        """Return a workflow by id or by name, in its latest version or the one given.

        A deleted one is found by its id only, with ``deleted`` set.
        """
        ...

    async def list_workflows(
        self, state: WorkflowState | None, page: Page, labels: Mapping[str, str] | None = None
    ) -> Slice[Workflow]:
        """Return workflows that are not deleted, by name; the paging key is the name.

        With labels: only those that have all of them in their newest version. Those that
        only a newer release can read are ``unread``.
        """
        ...

    async def list_workflow_versions(self, workflow_id: str, page: Page) -> Slice[Workflow]:
        """Return the versions of a workflow, newest first; the paging key is the version in decimal."""
        ...
