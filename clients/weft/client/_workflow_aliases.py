"""Typed calls that name versions of workflows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.api.workflow.v1 import workflow_service_pb2_grpc as pb_grpc
from weft.client._reading import workflow as read
from weft.client._transport.calls import Caller, new_request_id
from weft.client._writing import fields as write
from weft.client.records import Workflow

__all__ = ["Aliases"]


class Aliases:
    """Names versions of workflows."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _stub(self) -> pb_grpc.WorkflowServiceAsyncStub:
        return pb_grpc.WorkflowServiceStub(self._caller.channel)

    async def set_alias(
        self,
        workflow: str,
        alias: str,
        versions: int | Mapping[int, int],
        *,
        etag: str = "",
        request_id: str = "",
    ) -> Workflow:
        """Make an alias name a version, or several of them, in place of what it named before.

        Args:
            workflow: Which one.
            alias: Such as ``stable``.
            versions: A version; or percentages by version, which add up to 100.
            etag: Refuse the change when the workflow has another one by now.
            request_id: Idempotency key; made when empty.

        Raises:
            ValidationError: The name is no alias, or the percentages do not add up to 100.
            ResourceNotFoundError: There is no such workflow or version.
            ConflictError: It changed since the etag was read.
        """
        shares = {versions: 100} if isinstance(versions, int) else versions
        request = pb.SetWorkflowAliasRequest(
            workflow=workflow,
            alias=workflow_pb2.WorkflowAlias(
                name=alias,
                shares=[
                    workflow_pb2.VersionShare(version=version, percent=percent)
                    for version, percent in shares.items()
                ],
            ),
            etag=etag,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
        )
        answer = await self._caller.unary(self._stub.SetWorkflowAlias, request, self._caller.retry.update)
        return read.workflow(answer.workflow)

    async def delete_alias(
        self, workflow: str, alias: str, *, etag: str = "", request_id: str = ""
    ) -> Workflow:
        """Delete an alias; what runs keeps its version.

        Raises:
            ResourceNotFoundError: There is no such workflow, or it has no such alias.
            ConflictError: It changed since the etag was read.
        """
        request = pb.DeleteWorkflowAliasRequest(
            workflow=workflow,
            alias=alias,
            etag=etag,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
        )
        answer = await self._caller.unary(self._stub.DeleteWorkflowAlias, request, self._caller.retry.update)
        return read.workflow(answer.workflow)
