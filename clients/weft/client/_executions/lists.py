"""Typed calls of the ExecutionService that are about many executions."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client._executions.calls import ExecutionCalls
from weft.client._reading import execution as read
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client.records import Execution, ExecutionCounts, ExecutionGroup, Page
from weft.core.payload import from_struct


class ExecutionLists(ExecutionCalls):
    """Lists and counts of executions."""

    async def list(
        self,
        *,
        filter: str = "",  # noqa: A002 - the contract's name
        workflow: str = "",
        state: str = "",
        page_size: int = 0,
        page_token: str = "",
        skip: int = 0,
    ) -> Page[Execution]:
        """Read one page of executions, newest first, without payloads and steps.

        A page may have few items, or none, and yet a token: when a filter has to
        look at very many executions, each request looks at a part.

        Args:
            filter: Which ones, such as ``state = FAILED AND attributes.customer = "acme"``.
            workflow: Only of this workflow: its id or name.
            state: Only in this state.
            page_size: How many at most; 0 takes the server's default.
            page_token: Go on after a page.
            skip: How many to pass over first.

        Raises:
            ValidationError: The filter has faults, each with its column; the token is another list's.
            ResourceNotFoundError: There is no such workflow.
        """
        request = pb.ListExecutionsRequest(
            filter=write.text(filter, "filter"),
            workflow=workflow,
            state=enums.EXECUTION_STATE.optional(state, "state"),
            **write.paging(page_size, page_token, skip),
        )
        answer = await self._caller.unary(self._stub.ListExecutions, request, self._caller.retry.read)
        return Page(
            tuple(map(read.execution, answer.executions)),
            answer.next_page_token,
            answer.total_size,
            answer.total_size_is_minimum,
        )

    async def count(
        self,
        *,
        filter: str = "",  # noqa: A002 - the contract's name
        group_by: str = "",
    ) -> ExecutionCounts:
        """Count executions, all of them or those of a filter.

        Args:
            filter: Which ones.
            group_by: ``state``, ``workflow`` or ``attributes.<name>``; empty: only the total.

        Raises:
            ValidationError: The filter has faults, or that is nothing to count by.
            ResourceNotFoundError: The filter names a workflow that is not there.
        """
        request = pb.CountExecutionsRequest(
            filter=write.text(filter, "filter"), group_by=write.text(group_by, "group_by")
        )
        answer = await self._caller.unary(self._stub.CountExecutions, request, self._caller.retry.read)
        groups = tuple(
            ExecutionGroup(
                value=from_struct(Struct(fields={"value": group.value}))["value"],
                workflow_name=group.workflow_name,
                count=group.count,
            )
            for group in answer.groups
        )
        return ExecutionCounts(total=answer.total_count, groups=groups)
