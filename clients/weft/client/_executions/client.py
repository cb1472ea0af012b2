"""Typed calls of the ExecutionService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final

from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client._executions.attempts import AttemptReports
from weft.client._executions.calls import optional_span
from weft.client._executions.control import Steering
from weft.client._executions.lists import ExecutionLists
from weft.client._executions.messages import Messages
from weft.client._executions.starts import Starts
from weft.client._reading import events
from weft.client._reading import execution as read
from weft.client._transport.calls import Limit
from weft.client._transport.paging import all_pages
from weft.client._writing import fields as write
from weft.client.records import Event, Execution, Page
from weft.core.names import EXECUTION_PREFIX, is_id
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


class ExecutionClient(Starts, Steering, Messages, AttemptReports, ExecutionLists):
    """Executions of workflows, and direct calls of actions.

    A ``workflow`` or ``service`` is named by its id or its name, an execution by
    its id or its key.
    """

    async def get(self, execution_id: str) -> Execution:
        """Read one execution, with input, result and steps."""
        request = pb.GetExecutionRequest(execution_id=execution_id, payload_kind=write.JSON)
        answer = await self._caller.unary(self._stub.GetExecution, request, self._caller.retry.read)
        return read.execution(answer.execution)

    def history(self, execution_id: str) -> AsyncIterator[Event]:
        """Yield what is recorded so far, oldest first; a key names one execution all the while."""
        return self._history(execution_id)

    async def _history(self, ref: str) -> AsyncIterator[Event]:
        execution_id = await self._id_of(ref)
        async for event in all_pages(lambda token: self._history_page(execution_id, token)):
            yield event

    async def _id_of(self, ref: str) -> str:
        """Return the id behind a key, which is another one's when the next execution has the key."""
        if is_id(ref, EXECUTION_PREFIX):
            return ref
        request = pb.GetExecutionRequest(execution_id=ref, view=execution_pb2.EXECUTION_VIEW_BASIC)
        answer = await self._caller.unary(self._stub.GetExecution, request, self._caller.retry.read)
        return answer.execution.id

    async def _history_page(self, execution_id: str, token: str) -> Page[Event]:
        request = pb.GetExecutionHistoryRequest(
            execution_id=execution_id, page_token=token, payload_kind=write.JSON
        )
        answer = await self._caller.unary(self._stub.GetExecutionHistory, request, self._caller.retry.read)
        return Page(tuple(map(events.event, answer.events)), answer.next_page_token)

    async def watch(self, execution_id: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """Yield every event, past and coming, until the execution has ended.

        It goes on by itself, from the last number, after the server was unavailable.

        Args:
            execution_id: Which one; a key names one all the while, whoever gets it next.
            after: Number of the last event already seen; 0 begins with the first.
        """
        last, watched = after, await self._id_of(execution_id)

        def rest() -> pb.WatchExecutionRequest:
            return pb.WatchExecutionRequest(
                execution_id=watched, after_event_number=last, payload_kind=write.JSON
            )

        async with aclosing(self._caller.stream(self._stub.WatchExecution, rest)) as answers:
            async for answer in answers:
                event = events.event(answer.event, answer.state)
                last = event.number
                yield event
                if event.kind in _LAST:
                    return

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
            timeout=optional_span(timeout),
            idempotency_key=idempotency_key,
            service_version=service_version,
        )
        limit = None if timeout is None else Limit(span=write.duration(timeout, "timeout") + _REPLY_MARGIN)
        answer = await self._caller.unary(
            self._stub.ExecuteServiceAction, request, NO_RETRY, context=about, limit=limit
        )
        return from_payload(answer.output, "output")
