"""Typed calls of the ExecutionService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.execution.v1 import execution_service_pb2_grpc as pb_grpc
from weft.client import _enums as enums
from weft.client import _from_proto as read
from weft.client import _to_proto as write
from weft.client._calls import Caller, Limit, new_request_id
from weft.client._paging import all_pages
from weft.client.records import Event, Execution, Page
from weft.core.errors import DeadlineExceededError
from weft.core.payload import JsonObject, from_payload
from weft.mesh.policies.retry import NO_RETRY

_LAST: Final = frozenset(
    {
        "execution_completed",
        "execution_failed",
        "execution_cancelled",
        "execution_timed_out",
    }
)
"""Kinds of events that nothing follows."""

_REPLY_MARGIN: Final = timedelta(seconds=5)
"""How much longer than an action we wait, so that the server can say that it timed out."""


class ExecutionClient:
    """Executions of workflows, and direct calls of actions.

    A ``workflow`` or ``service`` is named by its id or its name.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _stub(self) -> pb_grpc.ExecutionServiceAsyncStub:
        return pb_grpc.ExecutionServiceStub(self._caller.channel)

    async def start(
        self,
        workflow: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        *,
        version: int = 0,
        context: write.ContextLike | None = None,
        request_id: str = "",
        timeout: write.DurationLike | None = None,
    ) -> Execution:
        """Start an execution and return it as soon as it is durable.

        Args:
            workflow: Which one.
            input: JSON object.
            version: 0 takes the latest.
            context: What travels with it into every step.
            request_id: Idempotency key: a repeat returns the same execution.
                Made when empty. It is also the context's request id, where
                that has none.
            timeout: How long it may take in all, as a duration or in seconds;
                None takes the workflow's own.

        Raises:
            ValidationError: The input does not fit the workflow's schema.
            ResourceNotFoundError: There is no such workflow or version.
            PreconditionError: The workflow is not active.
        """
        about = write.call_context(context, request_id)
        request = pb.StartExecutionRequest(
            workflow=workflow,
            version=version,
            input=write.payload(input or {}, "input"),
            context=write.context_message(about),
            request_id=request_id or new_request_id(),
            timeout=_span(timeout),
        )
        answer = await self._caller.unary(
            self._stub.StartExecution, request, self._caller.retry.create, context=about
        )
        return read.execution(answer.execution)

    async def execute(
        self,
        workflow: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        *,
        version: int = 0,
        context: write.ContextLike | None = None,
        request_id: str = "",
        timeout: write.DurationLike | None = None,
        wait: write.DurationLike | None = None,
    ) -> Execution:
        """Start an execution and return it when it has ended, however it did.

        When the server becomes unavailable in between, the same execution is
        joined again. It goes on when the caller leaves.

        Args:
            workflow: Which one.
            input: JSON object.
            version: 0 takes the latest.
            context: What travels with it into every step.
            request_id: Idempotency key: a repeat joins the same execution.
                Made when empty. It is also the context's request id, where
                that has none.
            timeout: How long it may take in all, as a duration or in seconds;
                None takes the workflow's own.
            wait: How long to wait for its end, likewise; None: as long as it
                takes.

        Raises:
            DeadlineExceededError: It had not ended by then; its ``metadata`` has
                the ``execution_id`` when it was accepted.
            ValidationError: The input does not fit the workflow's schema.
            ResourceNotFoundError: There is no such workflow or version.
            PreconditionError: The workflow is not active.
        """
        about = write.call_context(context, request_id)
        span = None if wait is None else write.duration(wait, "wait")
        request = pb.ExecuteWorkflowRequest(
            workflow=workflow,
            version=version,
            input=write.payload(input or {}, "input"),
            context=write.context_message(about),
            request_id=request_id or new_request_id(),
            timeout=_span(timeout),
        )
        try:
            answer = await self._caller.unary(
                self._stub.ExecuteWorkflow,
                request,
                self._caller.retry.create,
                context=about,
                limit=Limit(span=span, in_all=True),
            )
        except DeadlineExceededError as error:
            raise _not_ended(error, workflow, span) from error
        return read.execution(answer.execution)

    async def get(self, execution_id: str) -> Execution:
        """Read one execution, with input, result and steps."""
        request = pb.GetExecutionRequest(execution_id=execution_id, payload_kind=write.JSON)
        answer = await self._caller.unary(self._stub.GetExecution, request, self._caller.retry.read)
        return read.execution(answer.execution)

    async def list(
        self,
        *,
        workflow: str = "",
        state: str = "",
        page_size: int = 0,
        page_token: str = "",
        skip: int = 0,
    ) -> Page[Execution]:
        """Read one page of executions, newest first, without payloads and steps."""
        request = pb.ListExecutionsRequest(
            workflow=workflow,
            state=enums.EXECUTION_STATE.optional(state, "state"),
            **write.paging(page_size, page_token, skip),
        )
        answer = await self._caller.unary(self._stub.ListExecutions, request, self._caller.retry.read)
        return Page(tuple(map(read.execution, answer.executions)), answer.next_page_token, answer.total_size)

    def history(self, execution_id: str) -> AsyncIterator[Event]:
        """Yield what is recorded so far, oldest first."""
        return all_pages(lambda token: self._history_page(execution_id, token))

    async def _history_page(self, execution_id: str, token: str) -> Page[Event]:
        request = pb.GetExecutionHistoryRequest(
            execution_id=execution_id, page_token=token, payload_kind=write.JSON
        )
        answer = await self._caller.unary(self._stub.GetExecutionHistory, request, self._caller.retry.read)
        return Page(tuple(map(read.event, answer.events)), answer.next_page_token)

    async def watch(self, execution_id: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """Yield every event, past and coming, until the execution has ended.

        It goes on by itself, from the last number, after the server was unavailable.

        Args:
            execution_id: Which one.
            after: Number of the last event already seen; 0 begins with the first.
        """
        last = after

        def rest() -> pb.WatchExecutionRequest:
            return pb.WatchExecutionRequest(
                execution_id=execution_id, after_event_number=last, payload_kind=write.JSON
            )

        async with aclosing(self._caller.stream(self._stub.WatchExecution, rest)) as answers:
            async for answer in answers:
                event = read.event(answer.event, answer.state)
                last = event.number
                yield event
                if event.kind in _LAST:
                    return

    async def cancel(self, execution_id: str, *, reason: str = "", request_id: str = "") -> Execution:
        """End an execution: no step of it is dispatched any more.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: It has ended already, other than by a cancellation.
        """
        request = pb.CancelExecutionRequest(
            execution_id=execution_id,
            reason=reason,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
        )
        answer = await self._caller.unary(self._stub.CancelExecution, request, self._caller.retry.update)
        return read.execution(answer.execution)

    async def call(
        self,
        service: str,
        action: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        *,
        context: write.ContextLike | None = None,
        timeout: write.DurationLike | None = None,
        idempotency_key: str = "",
        service_version: str = "",
    ) -> JsonObject:
        """Call one action and return its output; one attempt, and no record of it.

        Args:
            service: Which service.
            action: Which of its actions.
            input: JSON object.
            context: What travels with the call.
            timeout: How long the action may take, as a duration or in seconds.
                None takes the action's own, and no longer than the client's
                timeout.
            idempotency_key: Passed on to the action; made by the server when empty.
            service_version: Which versions of the service will do, such as ``^1.4``.

        Raises:
            ValidationError: The input does not fit the action's schema.
            ResourceNotFoundError: There is no such service or action.
            PreconditionError: The service is not active, has no such version, or its
                output breaks its schema.
            ServiceUnavailableError: No instance could be reached.
            DeadlineExceededError: The action took too long.
            ActionFailedError: The action failed for a reason of its own.
        """
        about = write.call_context(context)
        request = pb.ExecuteServiceActionRequest(
            service=service,
            action=action,
            input=write.payload(input or {}, "input"),
            context=write.context_message(about),
            timeout=_span(timeout),
            idempotency_key=idempotency_key,
            service_version=service_version,
        )
        limit = None if timeout is None else Limit(span=write.duration(timeout, "timeout") + _REPLY_MARGIN)
        answer = await self._caller.unary(
            self._stub.ExecuteServiceAction, request, NO_RETRY, context=about, limit=limit
        )
        return from_payload(answer.output, "output")


def _span(timeout: write.DurationLike | None) -> Duration | None:
    return None if timeout is None else write.span(timeout, "timeout")


def _not_ended(
    error: DeadlineExceededError, workflow: str, waited: timedelta | None
) -> DeadlineExceededError:
    """Say of a wait that was too short what is known of the execution."""
    if waited is None:
        return error
    execution_id = error.metadata.get("execution_id")
    after = f"after {waited.total_seconds():g} s"
    text = (
        f"execution {execution_id} had not ended {after}; it goes on"
        if execution_id
        else f"no answer {after}: whether an execution of {workflow!r} was started is not known; "
        "the same request_id joins it"
    )
    return DeadlineExceededError(text, reason=error.reason, metadata=error.metadata)
