"""ExecutionService on the wire: messages to use cases and back, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import grpc.aio

from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.metadata import EXECUTION_ID
from weft.core.names import new_id
from weft.core.payload import JsonObject, from_payload, kind_of, prefer, to_payload
from weft.core.reasons import Rule
from weft.core.version import VersionRange
from weft.server.execution.engine.dispatch import CallIdentity
from weft.server.execution.lists import ExecutionLists
from weft.server.execution.service import ExecutionService
from weft.server.execution.wire import convert
from weft.server.execution.wire.control_servicer import ControlServicer
from weft.server.execution.wire.lists_servicer import ListsServicer
from weft.server.execution.wire.messages_servicer import MessagesServicer
from weft.server.execution.wire.start_request import read_start, with_request_id
from weft.server.requests import (
    Faults,
    close_page,
    read_context,
    read_duration,
    read_page,
    require_ref,
)
from weft.server.store.base import Slice

__all__ = ["ExecutionServicer"]

_MAX_CALL_TIMEOUT: Final = timedelta(hours=24)
_MAX_REASON: Final = 1_024
_HISTORY_PAGE: Final = 200
_MOMENT: Final = 0.5
"""Seconds after which a caller who still waits is told the execution's id; half of the time left, if less."""
_NOTHING: Final[JsonObject] = {}

_Context = grpc.aio.ServicerContext[Any, Any]


class ExecutionServicer(ListsServicer, ControlServicer, MessagesServicer):
    """Serves executions: how they are started and read; its bases have the rest.

    Args:
        executions: Their use cases.
        lists: The use cases of many of them.
    """

    def __init__(self, executions: ExecutionService, lists: ExecutionLists) -> None:
        ListsServicer.__init__(self, lists)
        ControlServicer.__init__(self, executions)
        MessagesServicer.__init__(self, executions)

    async def StartExecution(
        self, request: pb.StartExecutionRequest, context: object
    ) -> pb.StartExecutionResponse:
        """Accept an execution and return it at once."""
        execution = await self._executions.start(read_start(request, "StartExecution"))
        details = await self._executions.show(execution)
        return pb.StartExecutionResponse(execution=convert.details_to_proto(details, kind_of(request.input)))

    async def ExecuteWorkflow(
        self, request: pb.ExecuteWorkflowRequest, context: _Context
    ) -> pb.ExecuteWorkflowResponse:
        """Accept an execution and wait for its end."""
        execution = await self._executions.start(read_start(request, "ExecuteWorkflow"))
        async with _announced(context, execution.id):
            details = await self._executions.wait(execution)
        return pb.ExecuteWorkflowResponse(execution=convert.details_to_proto(details, kind_of(request.input)))

    async def GetExecution(self, request: pb.GetExecutionRequest, context: object) -> pb.GetExecutionResponse:
        """Read one execution."""
        require_ref(request, "execution_id")
        payloads = request.view != execution_pb2.EXECUTION_VIEW_BASIC
        details = await self._executions.get(request.execution_id, payloads=payloads)
        kind = prefer(request.payload_kind)
        return pb.GetExecutionResponse(execution=convert.details_to_proto(details, kind))

    async def GetExecutionHistory(
        self, request: pb.GetExecutionHistoryRequest, context: object
    ) -> pb.GetExecutionHistoryResponse:
        """Read a page of a history."""
        faults = Faults(request)
        faults.ref("execution_id", request.execution_id)
        scope = ("history", request.execution_id)
        page = read_page(request, scope, faults, default_size=_HISTORY_PAGE, numeric=True)
        faults.raise_any()
        events, more = await self._executions.history(request.execution_id, int(page.after or 0), page.size)
        kind = prefer(request.payload_kind)
        messages = [convert.event_to_proto(event, kind) for event in events]
        found = Slice(events, more, 0)
        shown, token = close_page(found, messages, lambda event: str(event.number), scope)
        return pb.GetExecutionHistoryResponse(events=shown, next_page_token=token)

    async def WatchExecution(
        self, request: pb.WatchExecutionRequest, context: object
    ) -> AsyncIterator[pb.WatchExecutionResponse]:
        """Stream a history, past and coming."""
        faults = Faults(request)
        faults.ref("execution_id", request.execution_id)
        if request.after_event_number < 0:
            faults.add("after_event_number", "must not be negative", Rule.OUT_OF_RANGE)
        faults.raise_any()
        kind = prefer(request.payload_kind)
        watched = self._executions.watch(request.execution_id, request.after_event_number)
        async with aclosing(watched):  # one who leaves is forgotten at once
            async for event, state in watched:
                yield pb.WatchExecutionResponse(
                    event=convert.event_to_proto(event, kind), state=convert.state_to_proto(state)
                )

    async def CancelExecution(
        self, request: pb.CancelExecutionRequest, context: object
    ) -> pb.CancelExecutionResponse:
        """End an execution."""
        faults = Faults(request)
        faults.ref("execution_id", request.execution_id)
        faults.text("reason", request.reason, _MAX_REASON)
        faults.key("request_id", request.request_id)
        faults.raise_any()
        execution = await self._executions.cancel(
            request.execution_id, request.reason, at_once=request.at_once
        )
        details = await self._executions.show(execution)
        return pb.CancelExecutionResponse(
            execution=convert.details_to_proto(details, prefer(request.payload_kind))
        )

    async def ExecuteServiceAction(
        self, request: pb.ExecuteServiceActionRequest, context: _Context
    ) -> pb.ExecuteServiceActionResponse:
        """Call one action."""
        faults = Faults(request)
        faults.ref("service", request.service)
        faults.ref("action", request.action)
        faults.text("idempotency_key", request.idempotency_key, 256)
        value = faults.attempt(lambda: from_payload(request.input, "input"), _NOTHING)
        call_context = with_request_id(read_context(request.context, faults))
        versions = faults.attempt(
            lambda: VersionRange.parse(request.service_version, "service_version"), VersionRange()
        )
        timeout = read_duration(
            request,
            "timeout",
            faults,
            at_least=timedelta(milliseconds=1),
            at_most=_MAX_CALL_TIMEOUT,
        )
        faults.raise_any()
        identity = CallIdentity(
            idempotency_key=request.idempotency_key or new_id("call"), context=call_context
        )
        outcome = await self._executions.call_action(
            request.service, request.action, value, identity, timeout, _time_left(context), versions
        )
        return pb.ExecuteServiceActionResponse(
            output=to_payload(outcome.text, kind_of(request.input)), instance_id=outcome.instance_id
        )


@asynccontextmanager
async def _announced(context: _Context, execution_id: str) -> AsyncIterator[None]:
    """Tell a caller who waits longer than a moment which execution it is: a message more on the wire."""
    loop = asyncio.get_running_loop()
    telling: list[asyncio.Task[None]] = []

    def tell() -> None:
        sending = context.send_initial_metadata(((EXECUTION_ID, execution_id),))
        telling.append(loop.create_task(sending))

    left: float | None = context.time_remaining()
    timer = loop.call_later(_MOMENT if left is None else min(_MOMENT, left / 2), tell)
    try:
        yield
    finally:
        timer.cancel()
        if telling:
            await asyncio.gather(*telling, return_exceptions=True)


def _time_left(context: _Context) -> timedelta | None:
    """Return how long the caller still waits; None when it did not say."""
    left: float | None = context.time_remaining()
    return None if left is None else timedelta(seconds=min(left, _MAX_CALL_TIMEOUT.total_seconds()))
