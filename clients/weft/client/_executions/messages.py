"""Typed calls that bring something to executions from outside: messages and decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client._executions.calls import ExecutionCalls, optional_span
from weft.client._reading import execution as read
from weft.client._transport.calls import new_request_id
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client.records import Execution, PlannedCompensation
from weft.mesh.policies.retry import NO_RETRY

__all__ = ["Messages"]


class Messages(ExecutionCalls):
    """Brings messages and decisions, and tells what would be undone."""

    async def signal(
        self,
        execution_id: str,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *,
        correlation: str = "",
        signal_id: str = "",
    ) -> Execution:
        """Bring a message; a step that waits for it takes it, now or when it comes to that.

        Args:
            execution_id: Id or key of the execution.
            name: Which message.
            payload: JSON object: the output of the step that takes it.
            correlation: What it belongs to; a step that names one takes no other.
            signal_id: Idempotency key within the execution: a repeat changes
                nothing. Made when empty.

        Returns:
            The execution as it stands, without payloads.

        Raises:
            ResourceNotFoundError: There is no such execution; SIGNAL_UNKNOWN: no step of
                its workflow takes such a message.
            PreconditionError: It has ended, and had not got it.
            ValidationError: The payload does not fit what the steps take.
            ExhaustedError: SIGNALS_FULL: too many are kept that no step has taken.
        """
        execution_id = await self._open_one(execution_id)
        request = _signal(execution_id, name, payload, correlation, signal_id)
        answer = await self._caller.unary(self._stub.SignalExecution, request, self._caller.retry.update)
        return read.execution(answer.execution)

    async def signal_with_start(
        self,
        workflow: str,
        key: str,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *,
        correlation: str = "",
        signal_id: str = "",
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        version: int = 0,
        alias: str = "",
        context: write.ContextLike | None = None,
        timeout: write.DurationLike | None = None,
        attributes: Mapping[str, str | float | bool] | None = None,
        key_reuse: str = "",
    ) -> tuple[Execution, bool]:
        """Bring a message to the open execution that has a key; where there is none, start it first.

        A repeat of a message that the newest execution of the key got starts nothing.

        Args:
            workflow: What to start.
            key: The execution's key.
            name: As for ``signal``.
            payload: As for ``signal``.
            correlation: As for ``signal``.
            signal_id: As for ``signal``.
            input: As for ``start``.
            version: As for ``start``.
            alias: As for ``start``.
            context: As for ``start``.
            timeout: As for ``start``.
            attributes: As for ``start``.
            key_reuse: As for ``start``.

        Returns:
            The execution as it stands, and whether this call started it.

        Raises:
            WeftError: As ``start`` and ``signal``.
        """
        about = write.call_context(context)
        start = pb.StartExecutionRequest(
            workflow=workflow,
            version=version,
            alias=alias,
            input=write.payload(input or {}, "input"),
            context=write.context_message(about),
            request_id=new_request_id(),
            timeout=optional_span(timeout),
            execution_key=key,
            key_reuse_policy=enums.KEY_REUSE_POLICY.optional(key_reuse, "key_reuse"),
            search_attributes=write.struct(attributes, "attributes") if attributes else None,
        )
        request = pb.SignalWithStartRequest(
            start=start, signal=_signal("", name, payload, correlation, signal_id)
        )
        answer = await self._caller.unary(
            self._stub.SignalWithStart, request, self._caller.retry.create, context=about
        )
        return read.execution(answer.execution), answer.started

    async def decide(
        self,
        execution_id: str,
        outcome: str,
        *,
        comment: str = "",
        by: str = "",
        step_id: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Execution:
        """Decide what a step asks a person.

        It is not repeated by itself: where the answer was lost, look at the execution.

        Args:
            execution_id: Id or key of the execution.
            outcome: One of those that the step offers.
            comment: Why.
            by: Who decided.
            step_id: The path of the step; may be empty when only one asks.
            data: What else the person said: a JSON object.

        Returns:
            The execution as it stands, without payloads.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: NO_APPROVAL: nothing is asked; or it has ended.
            ValidationError: That is no outcome of the step, the data do not fit, or
                several steps ask and none was named.
        """
        request = pb.DecideApprovalRequest(
            execution_id=execution_id,
            step_id=step_id,
            outcome=outcome,
            comment=comment,
            decided_by=by,
            data=None if data is None else write.payload(data, "data"),
        )
        answer = await self._caller.unary(self._stub.DecideApproval, request, NO_RETRY)
        return read.execution(answer.execution)

    async def compensation_plan(self, execution_id: str) -> tuple[PlannedCompensation, ...]:
        """Tell what would be undone if the execution failed now, or what was; in order.

        Raises:
            ResourceNotFoundError: There is no such execution.
        """
        request = pb.GetCompensationPlanRequest(execution_id=execution_id)
        answer = await self._caller.unary(self._stub.GetCompensationPlan, request, self._caller.retry.read)
        return tuple(map(read.planned_compensation, answer.compensations))


def _signal(
    execution_id: str, name: str, payload: Mapping[str, Any] | None, correlation: str, signal_id: str
) -> pb.SignalExecutionRequest:
    return pb.SignalExecutionRequest(
        execution_id=execution_id,
        name=name,
        correlation=correlation,
        payload=write.payload(payload or {}, "payload"),
        signal_id=signal_id or new_request_id(),
    )
