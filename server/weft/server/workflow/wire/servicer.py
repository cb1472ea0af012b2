"""WorkflowService on the wire: messages to use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from weft.api.workflow.v1 import workflow_pb2, workflow_service_pb2_grpc
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.core.clock import Clock
from weft.core.payload import prefer
from weft.core.reasons import Rule
from weft.server.forms import NewerReleaseError
from weft.server.requests import Faults, close_page, read_mask, read_page, request_key
from weft.server.workflow.aliases import alias_from_proto, check_alias
from weft.server.workflow.model import Definition, Problem, Workflow, WorkflowState
from weft.server.workflow.service import WorkflowService
from weft.server.workflow.wire import convert
from weft.server.workflow.wire.labels import read_labels
from weft.server.workflow.wire.validating import validated

__all__ = ["WorkflowServicer"]

_METHOD: Final = "weft.api.workflow.v1.WorkflowService/"
_TOLD: Final = 10
"""How many names a message has at most."""


class WorkflowServicer(workflow_service_pb2_grpc.WorkflowServiceServicer):
    """Serves workflows.

    Args:
        workflows: Their use cases.
        clock: For times of drafts.
    """

    def __init__(self, workflows: WorkflowService, clock: Clock) -> None:
        self._workflows = workflows
        self._clock = clock

    async def CreateWorkflow(
        self, request: pb.CreateWorkflowRequest, context: object
    ) -> pb.CreateWorkflowResponse:
        """Create a workflow as version 1."""
        faults = Faults(request)
        key = request_key(_METHOD + "CreateWorkflow", request, faults)
        faults.name("workflow.name", request.workflow.name)
        faults.text("workflow.description", request.workflow.description)
        draft = convert.draft_from_proto(request.workflow, self._clock.now(), faults)
        await self._add_problems(draft, faults)
        workflow, warnings = await self._workflows.create(draft, key)
        kind = convert.workflow_kind(request.workflow)
        return pb.CreateWorkflowResponse(
            workflow=convert.workflow_to_proto(workflow, kind),
            warnings=[convert.problem_to_proto(problem) for problem in warnings],
        )

    async def _add_problems(self, draft: Workflow, faults: Faults) -> None:
        """When the message has faults, look for those of the definition too: one answer for all."""
        if faults.found:
            await faults.gather(self._workflows.check(draft.definition, name=draft.name))
            faults.raise_any()

    async def UpdateWorkflow(
        self, request: pb.UpdateWorkflowRequest, context: object
    ) -> pb.UpdateWorkflowResponse:
        """Change fields of a workflow."""
        faults = Faults(request)
        key = request_key(_METHOD + "UpdateWorkflow", request, faults)
        faults.ref("workflow.id", request.workflow.id)
        fields = read_mask(request.update_mask, request.workflow, convert.CHANGEABLE, faults)
        change = _change(request.workflow, fields, faults)
        if faults.found:  # then those of the definition belong into the same answer
            await faults.gather(self._workflows.check_change(request.workflow.id, change))
        faults.raise_any()
        workflow, warnings = await self._workflows.update(request.workflow.id, request.etag, change, key)
        kind = convert.workflow_kind(request.workflow, request.payload_kind)
        return pb.UpdateWorkflowResponse(
            workflow=convert.workflow_to_proto(workflow, kind),
            warnings=[convert.problem_to_proto(problem) for problem in warnings],
        )

    async def SetWorkflowState(
        self, request: pb.SetWorkflowStateRequest, context: object
    ) -> pb.SetWorkflowStateResponse:
        """Move a workflow to another state."""
        faults = Faults(request)
        key = request_key(_METHOD + "SetWorkflowState", request, faults)
        faults.ref("workflow", request.workflow)
        state = convert.state_from_proto(request.state)
        faults.required("state", request.state)
        faults.raise_any()
        workflow = await self._workflows.set_state(
            request.workflow, state or WorkflowState.ACTIVE, request.etag, key
        )
        kind = prefer(request.payload_kind)
        return pb.SetWorkflowStateResponse(workflow=convert.workflow_to_proto(workflow, kind))

    async def SetWorkflowAlias(
        self, request: pb.SetWorkflowAliasRequest, context: object
    ) -> pb.SetWorkflowAliasResponse:
        """Make an alias name versions."""
        faults = Faults(request)
        key = request_key(_METHOD + "SetWorkflowAlias", request, faults)
        faults.ref("workflow", request.workflow)
        name, shares = alias_from_proto(request.alias, faults)
        faults.raise_any()
        workflow = await self._workflows.set_alias(request.workflow, name, shares, request.etag, key)
        kind = prefer(request.payload_kind)
        return pb.SetWorkflowAliasResponse(workflow=convert.workflow_to_proto(workflow, kind))

    async def DeleteWorkflowAlias(
        self, request: pb.DeleteWorkflowAliasRequest, context: object
    ) -> pb.DeleteWorkflowAliasResponse:
        """Delete an alias."""
        faults = Faults(request)
        key = request_key(_METHOD + "DeleteWorkflowAlias", request, faults)
        faults.ref("workflow", request.workflow)
        check_alias("alias", request.alias, faults)
        faults.raise_any()
        workflow = await self._workflows.delete_alias(request.workflow, request.alias, request.etag, key)
        kind = prefer(request.payload_kind)
        return pb.DeleteWorkflowAliasResponse(workflow=convert.workflow_to_proto(workflow, kind))

    async def DeleteWorkflow(
        self, request: pb.DeleteWorkflowRequest, context: object
    ) -> pb.DeleteWorkflowResponse:
        """Delete a workflow."""
        faults = Faults(request)
        key = request_key(_METHOD + "DeleteWorkflow", request, faults)
        faults.ref("workflow", request.workflow)
        faults.raise_any()
        await self._workflows.delete(request.workflow, request.etag, key)
        return pb.DeleteWorkflowResponse()

    async def GetWorkflow(self, request: pb.GetWorkflowRequest, context: object) -> pb.GetWorkflowResponse:
        """Read one workflow."""
        faults = Faults(request)
        faults.ref("workflow", request.workflow)
        if request.version < 0:
            faults.add("version", "must not be negative", Rule.OUT_OF_RANGE)
        faults.raise_any()
        workflow = await self._workflows.get(request.workflow, request.version)
        kind = prefer(request.payload_kind)
        return pb.GetWorkflowResponse(workflow=convert.workflow_to_proto(workflow, kind))

    async def ListWorkflows(
        self, request: pb.ListWorkflowsRequest, context: object
    ) -> pb.ListWorkflowsResponse:
        """List workflows by name."""
        faults = Faults(request)
        state = convert.state_from_proto(request.state)
        labels = read_labels(request.labels, faults)
        scope = ("workflows", str(state), *(part for pair in sorted(labels.items()) for part in pair))
        page = read_page(request, scope, faults)
        faults.raise_any()
        found = await self._workflows.list(state, page, labels)
        if found.unread and not request.return_partial_success:
            raise _newer(found.unread)
        kind = prefer(request.payload_kind)
        messages = [convert.workflow_to_proto(workflow, kind) for workflow in found.items]
        shown, token = close_page(found, messages, lambda workflow: workflow.name, scope)
        cut = len(shown) < len(messages)
        return pb.ListWorkflowsResponse(
            workflows=shown,
            next_page_token=token,
            total_size=found.total,
            unreachable=[name for name in found.unread if not cut or name < shown[-1].name],
        )

    async def ListWorkflowVersions(
        self, request: pb.ListWorkflowVersionsRequest, context: object
    ) -> pb.ListWorkflowVersionsResponse:
        """List the versions of a workflow, newest first."""
        faults = Faults(request)
        faults.ref("workflow", request.workflow)
        scope = ("versions", request.workflow)
        page = read_page(request, scope, faults, numeric=True)
        faults.raise_any()
        found = await self._workflows.list_versions(request.workflow, page)
        kind = prefer(request.payload_kind)
        messages = [convert.workflow_to_proto(workflow, kind) for workflow in found.items]
        shown, token = close_page(found, messages, lambda workflow: str(workflow.version), scope)
        return pb.ListWorkflowVersionsResponse(workflows=shown, next_page_token=token, total_size=found.total)

    async def ValidateWorkflow(
        self, request: pb.ValidateWorkflowRequest, context: object
    ) -> pb.ValidateWorkflowResponse:
        """Find every problem of a definition."""

        async def find(definition: Definition, name: str) -> tuple[Problem, ...]:
            return await self._workflows.problems(definition, name=name)

        return await validated(request, request.workflow, find)


def _change(
    message: workflow_pb2.Workflow, fields: frozenset[str], faults: Faults
) -> Callable[[Workflow], Workflow]:
    """Return what an update does to the workflow as it is then."""
    top: dict[str, Any] = {}
    if "name" in fields:
        faults.name("workflow.name", message.name)
        top["name"] = message.name
    if "description" in fields:
        faults.text("workflow.description", message.description)
        top["description"] = message.description
    if "metadata" in fields:
        top["metadata"] = convert.metadata_from_proto(message, faults)
    versioned: dict[str, Any] = {}
    if fields.intersection(convert.VERSIONED):
        definition = convert.definition_from_proto(message, faults)
        versioned = {
            name: getattr(definition, name) for field, name in convert.VERSIONED.items() if field in fields
        }

    def change(current: Workflow) -> Workflow:
        return replace(current, **top, definition=replace(current.definition, **versioned))

    return change


def _newer(names: Sequence[str]) -> NewerReleaseError:
    told = ", ".join(map(repr, names[:_TOLD])) + (", …" if len(names) > _TOLD else "")
    return NewerReleaseError(
        f"workflows {told}" if len(names) > 1 else f"workflow {told}", many=len(names) > 1
    )
