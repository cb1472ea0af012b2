"""Typed calls of the WorkflowService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.client._reading import workflow as read
from weft.client._transport.calls import new_request_id
from weft.client._transport.paging import all_pages
from weft.client._workflow_testing import Rehearsals
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client._writing.workflow import workflow as written
from weft.client._writing.workflow_fields import WorkflowChanges, WorkflowFields, checked
from weft.client.records import Page, Problem, Step, Workflow


class WorkflowClient(Rehearsals):
    """Definitions of workflows and their versions.

    A ``workflow`` is named by its id or its name.
    """

    async def create(
        self,
        name: str,
        steps: Sequence[Step | Mapping[str, Any]],
        *,
        request_id: str = "",
        **fields: Unpack[WorkflowFields],
    ) -> Workflow:
        """Create a workflow as version 1.

        Args:
            name: A DNS label, unique among workflows.
            steps: Records, or mappings with the same keys; durations also as
                seconds. The first one is where an execution begins.
            description: For people.
            metadata: Free JSON object.
            input_schema: JSON Schema of the input.
            output_schema: JSON Schema of the result.
            timeout: How long an execution may take in all, as a duration or in seconds.
            concurrency: How many executions run at the same time; by default as
                many as are started.
            finally_: Steps that run at the end, however it ends.
            defaults: What steps have that say nothing themselves.
            retention: How long ended executions are kept, as a duration or in seconds.
            search_attributes: What executions can be found by: texts with expressions.
            labels: For people and tools.
            request_id: Idempotency key; made when empty.

        Raises:
            ValidationError: Every fault of the definition.
            AlreadyExistsError: The name is taken.
        """
        definition = written({"name": name, "steps": steps, **checked("create", fields)})
        request = pb.CreateWorkflowRequest(workflow=definition, request_id=request_id or new_request_id())
        answer = await self._caller.unary(self._stub.CreateWorkflow, request, self._caller.retry.create)
        return read.workflow(answer.workflow, tuple(map(read.problem, answer.warnings)))

    async def update(
        self,
        workflow: str,
        *,
        clear: Sequence[str] = (),
        etag: str = "",
        request_id: str = "",
        **changes: Unpack[WorkflowChanges],
    ) -> Workflow:
        """Change what is given; None leaves a field as it is.

        Every change but that of name, description and metadata makes a new version.
        ``clear`` names fields that are emptied, such as ``concurrency``.

        Raises:
            ValidationError: Every fault of the definition.
            ResourceNotFoundError: There is no such workflow.
            AlreadyExistsError: The new name is taken.
            ConflictError: It changed since the etag was read.
        """
        values = checked("update", changes)
        change = written(values)
        change.id = workflow
        request = pb.UpdateWorkflowRequest(
            payload_kind=write.JSON,
            workflow=change,
            update_mask=write.mask({**values, **dict.fromkeys(clear, True)}),
            etag=etag,
            request_id=request_id or new_request_id(),
        )
        answer = await self._caller.unary(self._stub.UpdateWorkflow, request, self._caller.retry.update)
        return read.workflow(answer.workflow, tuple(map(read.problem, answer.warnings)))

    async def set_state(self, workflow: str, state: str, *, etag: str = "", request_id: str = "") -> Workflow:
        """Move a workflow to ``ACTIVE``, ``INACTIVE`` or ``PAUSED``.

        One that is inactive cannot be started. One that is paused can be, but no
        step of any of its executions is dispatched.
        """
        request = pb.SetWorkflowStateRequest(
            workflow=workflow,
            state=enums.WORKFLOW_STATE.number(state, "state"),
            etag=etag,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
        )
        answer = await self._caller.unary(self._stub.SetWorkflowState, request, self._caller.retry.update)
        return read.workflow(answer.workflow)

    async def delete(self, workflow: str, *, etag: str = "", request_id: str = "") -> None:
        """Delete a workflow; running executions go on."""
        request = pb.DeleteWorkflowRequest(
            workflow=workflow, etag=etag, request_id=request_id or new_request_id()
        )
        await self._caller.unary(self._stub.DeleteWorkflow, request, self._caller.retry.delete)

    async def get(self, workflow: str, *, version: int = 0) -> Workflow:
        """Read the latest version, or the one named."""
        request = pb.GetWorkflowRequest(workflow=workflow, version=version, payload_kind=write.JSON)
        answer = await self._caller.unary(self._stub.GetWorkflow, request, self._caller.retry.read)
        return read.workflow(answer.workflow)

    async def list(
        self,
        *,
        state: str = "",
        labels: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
        skip: int = 0,
        partial: bool = False,
    ) -> Page[Workflow]:
        """Read one page of workflows, by name.

        Args:
            state: Only those in this state; empty: all.
            labels: Only those that have all of these labels.
            page_size: How many at most.
            page_token: Where to go on.
            skip: How many to pass over.
            partial: Whether it may lack those that only a server of a newer release can
                read, and name them in ``unreachable``.

        Raises:
            ServiceUnavailableError: NEWER_RELEASE: there are some, and it may not.
        """
        request = pb.ListWorkflowsRequest(
            state=enums.WORKFLOW_STATE.optional(state, "state"),
            labels=labels,
            payload_kind=write.JSON,
            return_partial_success=partial,
            **write.paging(page_size, page_token, skip),
        )
        answer = await self._caller.unary(self._stub.ListWorkflows, request, self._caller.retry.read)
        return replace(_page(answer), unreachable=tuple(answer.unreachable))

    def iterate(self, *, state: str = "", labels: Mapping[str, str] | None = None) -> AsyncIterator[Workflow]:
        """Yield every workflow, page by page."""
        return all_pages(lambda token: self.list(state=state, labels=labels, page_token=token))

    async def versions(
        self, workflow: str, *, page_size: int = 0, page_token: str = "", skip: int = 0
    ) -> Page[Workflow]:
        """Read one page of the versions of a workflow, newest first."""
        request = pb.ListWorkflowVersionsRequest(
            workflow=workflow, payload_kind=write.JSON, **write.paging(page_size, page_token, skip)
        )
        answer = await self._caller.unary(self._stub.ListWorkflowVersions, request, self._caller.retry.read)
        return _page(answer)

    async def validate(
        self,
        name: str,
        steps: Sequence[Step | Mapping[str, Any]],
        **fields: Unpack[WorkflowFields],
    ) -> tuple[Problem, ...]:
        """Return every problem of a definition, errors first; store nothing.

        Raises:
            ValidationError: It is no definition at all: an unknown field, or
                a value of a wrong type.
        """
        definition = written({"name": name, "steps": steps, **checked("validate", fields)})
        request = pb.ValidateWorkflowRequest(workflow=definition)
        answer = await self._caller.unary(self._stub.ValidateWorkflow, request, self._caller.retry.read)
        return tuple(map(read.problem, answer.problems))


def _page(answer: pb.ListWorkflowsResponse | pb.ListWorkflowVersionsResponse) -> Page[Workflow]:
    return Page(tuple(map(read.workflow, answer.workflows)), answer.next_page_token, answer.total_size)
