"""Lists and counts of ExecutionService on the wire."""

from __future__ import annotations

from google.protobuf import struct_pb2

from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.server.execution.filters import read_group, read_where
from weft.server.execution.lists import ExecutionLists
from weft.server.execution.wire import convert
from weft.server.requests import Faults, close_page, read_page

__all__ = ["ListsServicer"]


class ListsServicer:
    """Serves the RPCs that are about many executions.

    Args:
        lists: Their use cases.
    """

    def __init__(self, lists: ExecutionLists) -> None:
        self._lists = lists

    async def ListExecutions(
        self, request: pb.ListExecutionsRequest, context: object
    ) -> pb.ListExecutionsResponse:
        """List executions, newest first."""
        faults = Faults(request)
        state = convert.state_from_proto(request.state)
        faults.key("workflow", request.workflow)
        where = faults.attempt(lambda: read_where(request.filter, self._lists.now()), None)
        scope = ("executions", request.workflow, str(state), request.filter)
        page = read_page(request, scope, faults)
        faults.raise_any()
        wanted = await self._lists.wanted(where, workflow=request.workflow, state=state)
        found = await self._lists.page(wanted, page)
        messages = [convert.execution_to_proto(execution) for execution in found.items]
        shown, token = close_page(found, messages, lambda execution: execution.id, scope)
        return pb.ListExecutionsResponse(
            executions=shown,
            next_page_token=token,
            total_size=found.total,
            total_size_is_minimum=found.total_is_minimum,
        )

    async def CountExecutions(
        self, request: pb.CountExecutionsRequest, context: object
    ) -> pb.CountExecutionsResponse:
        """Count executions by a value that they have in common."""
        faults = Faults(request)
        where = faults.attempt(lambda: read_where(request.filter, self._lists.now()), None)
        by = faults.attempt(lambda: read_group(request.group_by), None)
        faults.raise_any()
        counted = await self._lists.count(await self._lists.wanted(where), by)
        groups = [
            pb.ExecutionGroup(
                value=_value(group.value),
                workflow_name=counted.names.get(str(group.value), ""),
                count=group.count,
            )
            for group in counted.groups
        ]
        return pb.CountExecutionsResponse(total_count=counted.total, groups=groups)


def _value(value: str | float | bool) -> struct_pb2.Value:  # noqa: FBT001 - it is a value like others
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    return struct_pb2.Value(number_value=value)
