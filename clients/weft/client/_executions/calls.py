"""What every part of the ExecutionClient has."""

from __future__ import annotations

from functools import cached_property

from google.protobuf.duration_pb2 import Duration

from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.execution.v1 import execution_service_pb2_grpc as pb_grpc
from weft.client._transport.calls import Caller
from weft.client._writing import fields as write
from weft.core.names import EXECUTION_KEY, EXECUTION_PREFIX, is_id

__all__ = ["ExecutionCalls", "optional_span"]


class ExecutionCalls:
    """Calls of one ExecutionService."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _stub(self) -> pb_grpc.ExecutionServiceAsyncStub:
        return pb_grpc.ExecutionServiceStub(self._caller.channel)

    async def _open_one(self, ref: str) -> str:
        """Return the id of the open execution that has a key, or what was given.

        An attempt whose answer is lost may have ended it: the next attempt must not be about
        the execution that has the key by then.
        """
        if is_id(ref, EXECUTION_PREFIX) or EXECUTION_KEY.fullmatch(ref) is None:
            return ref
        request = pb.ListExecutionsRequest(filter=f'key = "{ref}" AND NOT end_time:*', page_size=1)
        answer = await self._caller.unary(self._stub.ListExecutions, request, self._caller.retry.read)
        return answer.executions[0].id if answer.executions else ref


def optional_span(timeout: write.DurationLike | None) -> Duration | None:
    """Write a timeout, if there is one."""
    return None if timeout is None else write.span(timeout, "timeout")
