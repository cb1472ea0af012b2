"""ActionService on the wire: messages in, messages out, nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

import grpc.aio

from weft.api.action.v1 import action_service_pb2, action_service_pb2_grpc
from weft.core.clock import Clock
from weft.core.errors import ResourceNotFoundError, ValidationError, Violation, WeftError
from weft.core.names import closest
from weft.core.payload import from_payload, kind_of, prefer, to_payload
from weft.core.reasons import Rule
from weft.mesh.rpc import abort_with
from weft.service._calls import Calls
from weft.service._context import ActionContext
from weft.service._invoke import invoke
from weft.service._messages import action_message
from weft.service._model import ActionDefinition, ServiceDefinition
from weft.service._threads import Threads

__all__ = ["ActionServicer"]

_Call: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class ActionServicer(action_service_pb2_grpc.ActionServiceServicer):
    """Serves the actions of one service.

    Args:
        service: Whose actions these are.
        calls: Counts what runs.
        threads: Where plain functions run.
        clock: Tells when a deadline is.
    """

    def __init__(self, service: ServiceDefinition, calls: Calls, threads: Threads, clock: Clock) -> None:
        self._service = service
        self._calls = calls
        self._threads = threads
        self._clock = clock

    async def InvokeAction(
        self, request: action_service_pb2.InvokeActionRequest, context: _Call
    ) -> action_service_pb2.InvokeActionResponse:
        """Run one action."""
        try:
            with self._calls.enter():
                return await self._invoke(request, context.time_remaining())
        except WeftError as error:
            await abort_with(context, error)

    async def ListActions(
        self, request: action_service_pb2.ListActionsRequest, context: _Call
    ) -> action_service_pb2.ListActionsResponse:
        """Describe one page of the actions."""
        try:
            return self._list(request)
        except WeftError as error:
            await abort_with(context, error)

    async def _invoke(
        self, request: action_service_pb2.InvokeActionRequest, remaining: float | None
    ) -> action_service_pb2.InvokeActionResponse:
        action = self._find(request)
        value = from_payload(request.input, "input")
        # The action's own timeout holds only where the caller has none.
        limit = action.timeout if remaining is None else None
        time_left = limit if remaining is None else timedelta(seconds=remaining)
        context = _context(request, time_left, self._clock)
        output = await invoke(action, value, context, self._threads, limit)
        return action_service_pb2.InvokeActionResponse(
            output=to_payload(output, kind_of(request.input)),
        )

    def _find(self, request: action_service_pb2.InvokeActionRequest) -> ActionDefinition:
        missing = [name for name in ("service", "action") if not getattr(request, name)]
        if missing:
            raise ValidationError([Violation(name, "is required", Rule.REQUIRED) for name in missing])
        if request.service != self._service.name:
            raise ResourceNotFoundError(
                "service",
                request.service,
                message=f"service {request.service!r} is not served here; this is {self._service.name!r}",
            )
        action = self._service.actions.get(request.action)
        if action is None:
            hint = closest(request.action, list(self._service.actions))
            text = f"service {request.service!r} has no action {request.action!r}"
            raise ResourceNotFoundError(
                "action",
                request.action,
                message=f"{text}; {hint}" if hint else text,
                metadata={"service": request.service},
            )
        return action

    def _list(self, request: action_service_pb2.ListActionsRequest) -> action_service_pb2.ListActionsResponse:
        actions = list(self._service.actions.values())
        start, end, token = _page(request.page_size, request.page_token, len(actions))
        kind = prefer(request.payload_kind)
        return action_service_pb2.ListActionsResponse(
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


def _context(
    request: action_service_pb2.InvokeActionRequest, time_left: timedelta | None, clock: Clock
) -> ActionContext:
    call = request.invocation
    return ActionContext(
        service=request.service,
        action=request.action,
        execution_id=call.execution_id,
        workflow_id=call.workflow_id,
        step_id=call.step_id,
        attempt=max(call.attempt, 1),
        idempotency_key=call.idempotency_key,
        project_id=request.context.project_id,
        request_id=request.context.request_id,
        values=dict(request.context.values),
        deadline=None if time_left is None else clock.now() + time_left,
        clock=clock,
    )
