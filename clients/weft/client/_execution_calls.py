"""What every part of the ExecutionClient has."""

from __future__ import annotations

from functools import cached_property

from google.protobuf.duration_pb2 import Duration

from weft.api.execution.v1 import execution_service_pb2_grpc as pb_grpc
from weft.client import _to_proto as write
from weft.client._calls import Caller

__all__ = ["ExecutionCalls", "optional_span"]


class ExecutionCalls:
    """Calls of one ExecutionService."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _stub(self) -> pb_grpc.ExecutionServiceAsyncStub:
        return pb_grpc.ExecutionServiceStub(self._caller.channel)


def optional_span(timeout: write.DurationLike | None) -> Duration | None:
    """Write a timeout, if there is one."""
    return None if timeout is None else write.span(timeout, "timeout")
