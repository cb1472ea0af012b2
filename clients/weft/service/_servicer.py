"""ActionService on the wire: messages in, messages out, nothing else."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import grpc.aio

from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.action.v1 import action_service_pb2_grpc
from weft.core.errors import ValidationError, Violation, WeftError
from weft.core.payload import from_payload, kind_of, prefer, to_payload
from weft.core.reasons import Rule
from weft.mesh.rpc import abort_with
from weft.mesh.tracing.server import Tracing
from weft.service._attempts import AttemptLine, Attempts
from weft.service._calls import Calls
from weft.service._messages import action_message
from weft.service._model import ServiceDefinition
from weft.service._runner import Runner
from weft.service._stream import ActionStream
from weft.service._streams import ActionStreams

__all__ = ["ActionServicer"]

_Call: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class ActionServicer(action_service_pb2_grpc.ActionServiceServicer):
    """Serves the actions of one service.

    Args:
        service: Whose actions these are.
        calls: Counts what runs.
        runner: Runs them.

    Attributes:
        streams: The engines that stream to us.
        attempts: Where heartbeats of unary calls go.
    """

    def __init__(self, service: ServiceDefinition, calls: Calls, runner: Runner) -> None:
        self.streams = ActionStreams()
        self.attempts = Attempts()
        self._service = service
        self._calls = calls
        self._runner = runner
        self._tracing = Tracing()

    async def InvokeAction(self, request: pb.InvokeActionRequest, context: _Call) -> pb.InvokeActionResponse:
        """Run one action."""
        try:
            with self._calls.enter():
                return await self._invoke(request, context.time_remaining())
        except WeftError as error:
            await abort_with(context, error)

    async def RunActions(  # type: ignore[override] # it writes to the context itself
        self, request_iterator: object, context: _Call
    ) -> None:
        """Run what an engine sends, until one of us ends."""
        try:
            await self.streams.serve(ActionStream(context, self._runner, self._calls, self._tracing))
        except WeftError as error:
            await abort_with(context, error)

    async def ListActions(self, request: pb.ListActionsRequest, context: _Call) -> pb.ListActionsResponse:
        """Describe one page of the actions."""
        try:
            return self._list(request)
        except WeftError as error:
            await abort_with(context, error)

    async def _invoke(
        self, request: pb.InvokeActionRequest, remaining: float | None
    ) -> pb.InvokeActionResponse:
        action = self._runner.find(request.service, request.action)
        value = from_payload(request.input, "input")
        line = AttemptLine(self.attempts, request.invocation.attempt_token)
        try:
            output = await self._runner.run(
                action, value, request.invocation, request.context, remaining, line.beat
            )
        except asyncio.CancelledError:
            line.check_stopped()  # grpc.aio sends no status for a handler that just ends so
            raise
        finally:
            line.close()
        if output is None:
            return pb.InvokeActionResponse(pending=True)
        return pb.InvokeActionResponse(output=to_payload(output, kind_of(request.input)))

    def _list(self, request: pb.ListActionsRequest) -> pb.ListActionsResponse:
        actions = list(self._service.actions.values())
        start, end, token = _page(request.page_size, request.page_token, len(actions))
        kind = prefer(request.payload_kind)
        return pb.ListActionsResponse(
            actions=[action_message(action, kind) for action in actions[start:end]],
            next_page_token=token,
        )


def _page(size: int, token: str, total: int) -> tuple[int, int, str]:
    """Return where a page begins, where it ends, and the token of the next one."""
    faults: list[Violation] = []
    if size < 0:
        faults.append(Violation("page_size", f"{size} is negative", Rule.OUT_OF_RANGE))
    known = token.isascii() and token.isdigit() and len(token) < 9 and 0 < int(token) < total
    if token and not known:
        faults.append(Violation("page_token", "is not one of ours", Rule.PAGE_TOKEN_INVALID))
    if faults:
        raise ValidationError(faults)
    start = int(token or 0)
    end = start + size if size else total
    return start, end, str(end) if end < total else ""
