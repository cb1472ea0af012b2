"""Typed calls that steer open executions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client._executions.calls import ExecutionCalls
from weft.client._reading import execution as read
from weft.client._transport.calls import new_request_id
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client.records import Execution
from weft.mesh.policies.retry import NO_RETRY

__all__ = ["Steering"]


class Steering(ExecutionCalls):
    """Ends executions, holds them, and decides about those that need somebody."""

    async def cancel(
        self, execution_id: str, *, reason: str = "", at_once: bool = False, request_id: str = ""
    ) -> Execution:
        """End an execution: no step of its workflow is dispatched any more.

        Args:
            execution_id: Id or key.
            reason: Why; it is recorded in the history.
            at_once: Run nothing more for it, neither what undoes what was done, nor ``finally``.
            request_id: Makes a repeat harmless; chosen when empty.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: It has ended already, other than by a cancellation.
        """
        request = pb.CancelExecutionRequest(
            execution_id=await self._open_one(execution_id),
            reason=reason,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
            at_once=at_once,
        )
        answer = await self._caller.unary(self._stub.CancelExecution, request, self._caller.retry.update)
        return read.execution(answer.execution)

    async def pause(self, execution_id: str, *, reason: str = "") -> Execution:
        """Let an execution dispatch no further step; what runs may end, and is recorded.

        Returns:
            The execution as it stands, without payloads.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: It has ended.
        """
        execution_id = await self._open_one(execution_id)
        request = pb.PauseExecutionRequest(execution_id=execution_id, reason=reason)
        answer = await self._caller.unary(self._stub.PauseExecution, request, self._caller.retry.update)
        return read.execution(answer.execution)

    async def resume(self, execution_id: str, *, reason: str = "") -> Execution:
        """Let a paused execution go on where it stands.

        Returns:
            The execution as it stands, without payloads.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: It has ended.
        """
        execution_id = await self._open_one(execution_id)
        request = pb.ResumeExecutionRequest(execution_id=execution_id, reason=reason)
        answer = await self._caller.unary(self._stub.ResumeExecution, request, self._caller.retry.update)
        return read.execution(answer.execution)

    async def resolve_incident(
        self,
        execution_id: str,
        resolution: str = "RETRY",
        *,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        note: str = "",
        step_id: str = "",
    ) -> Execution:
        """Decide what becomes of a step that used up its attempts.

        It is not repeated by itself: where the answer was lost, look at the execution.

        Args:
            execution_id: Id or key of the execution.
            resolution: ``RETRY``: it is tried again, with all its attempts.
                ``FAIL``: it fails, and the execution with it.
            input: With ``RETRY``: what the step takes from now on instead of the
                input that it makes; None: it makes its input anew.
            note: What the history is to say.
            step_id: The path of the step; may be empty when only one has an incident.

        Returns:
            The execution as it stands, without payloads.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: NO_INCIDENT; or it has ended.
            ValidationError: An input together with ``FAIL``.
        """
        request = pb.ResolveIncidentRequest(
            execution_id=execution_id,
            resolution=enums.INCIDENT_RESOLUTION.number(resolution, "resolution"),
            input=None if input is None else write.payload(input, "input"),
            note=note,
            step_id=step_id,
        )
        answer = await self._caller.unary(self._stub.ResolveIncident, request, NO_RETRY)
        return read.execution(answer.execution)
