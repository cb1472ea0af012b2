"""One call of an action, however it arrived: found, given its context, and run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.common.v1 import context_pb2
from weft.core.clock import Clock
from weft.core.errors import ActionFailedError, ResourceNotFoundError, ValidationError, Violation
from weft.core.names import closest
from weft.core.payload import JsonObject
from weft.core.reasons import Rule
from weft.service._context import ActionContext
from weft.service._heartbeats import Heartbeats, heartbeat_interval
from weft.service._invoke import invoke
from weft.service._model import ActionDefinition, ServiceDefinition
from weft.service._pending import Pending
from weft.service._threads import Threads

__all__ = ["Runner"]


class Runner:
    """Runs the actions of one service.

    Args:
        service: Whose actions these are.
        threads: Where plain functions run.
        clock: Tells when a deadline is.
    """

    def __init__(self, service: ServiceDefinition, threads: Threads, clock: Clock) -> None:
        self._service = service
        self._threads = threads
        self._clock = clock

    def find(self, service: str, action: str) -> ActionDefinition:
        """Return an action.

        Raises:
            ValidationError: A name is missing.
            ResourceNotFoundError: It is not here.
        """
        found = self._service.actions.get(action)
        if found is None or service != self._service.name:
            raise self._not_found(service, action)
        return found

    async def run(
        self,
        action: ActionDefinition,
        value: JsonObject,
        call: pb.Invocation,
        travels: context_pb2.CallContext,
        remaining: float | None,
        beat: Callable[[bytes], None],
    ) -> bytes | None:
        """Run an action, and return its output as JSON text, or None when it is pending.

        Args:
            action: Which one.
            value: Its input.
            call: Which call it is.
            travels: What travels with it.
            remaining: Seconds that the caller waits; None: for ever.
            beat: Sends one heartbeat.

        Raises:
            WeftError: As ``invoke``.
        """
        timeout = call.heartbeat_timeout.ToTimedelta() if call.HasField("heartbeat_timeout") else None
        heartbeats = Heartbeats(
            asyncio.get_running_loop(), beat, heartbeat_interval(timeout), call.heartbeat_details
        )
        context = ActionContext(
            service=self._service.name,
            action=action.name,
            execution_id=call.execution_id,
            workflow_id=call.workflow_id,
            step_id=call.step_id,
            attempt=max(call.attempt, 1),
            idempotency_key=call.idempotency_key,
            project_id=travels.project_id,
            request_id=travels.request_id,
            values=dict(travels.values),
            attempt_token=call.attempt_token,
            heartbeat_timeout=timeout,
            deadline=None if remaining is None else self._clock.now() + timedelta(seconds=remaining),
            clock=self._clock,
            heartbeats=heartbeats,
        )
        # The action's own timeout holds only where the caller has none.
        limit = action.timeout if remaining is None else None
        try:
            return await invoke(action, value, context, self._threads, limit)
        except Pending:
            if call.attempt_token:
                return None
            raise _cannot_be_pending(action) from None
        finally:
            heartbeats.close()

    def _not_found(self, service: str, action: str) -> ValidationError | ResourceNotFoundError:
        missing = [name for name, value in (("service", service), ("action", action)) if not value]
        if missing:
            return ValidationError([Violation(name, "is required", Rule.REQUIRED) for name in missing])
        if service != self._service.name:
            text = f"service {service!r} is not served here; this is {self._service.name!r}"
            return ResourceNotFoundError("service", service, message=text)
        hint = closest(action, list(self._service.actions))
        text = f"service {service!r} has no action {action!r}"
        return ResourceNotFoundError(
            "action",
            action,
            message=f"{text}; {hint}" if hint else text,
            metadata={"service": service},
        )


def _cannot_be_pending(action: ActionDefinition) -> ActionFailedError:
    return ActionFailedError(
        f"action {action.name!r} wants to answer later, but this call has no attempt token: only a step of a "
        "workflow can wait for that"
    )
