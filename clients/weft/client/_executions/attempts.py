"""Typed calls by which whoever works on an attempt reports to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.api.common.v1 import failure_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client._executions.calls import ExecutionCalls
from weft.client._writing import fields as write
from weft.core.errors import Code
from weft.mesh.policies.retry import NO_RETRY

__all__ = ["AttemptReports"]


class AttemptReports(ExecutionCalls):
    """Tells how attempts go whose action answers later.

    The ``token`` is the ``attempt_token`` that the action was given.
    """

    async def complete_attempt(self, token: str, output: Mapping[str, Any] | None = None) -> None:
        """Tell the output of an attempt that its action took on; once this returns it is recorded.

        It is not repeated by itself. Where the answer was lost, call again:
        ATTEMPT_STALE says that the attempt is over, as it is after the first.

        Args:
            token: Of the attempt.
            output: JSON object.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: ATTEMPT_STALE: it was over before;
                ACTION_OUTPUT_INVALID: the output does not fit the action's
                schema. Nothing is recorded.
            ValidationError: It is no token.
        """
        request = pb.CompleteAttemptRequest(attempt_token=token, output=write.payload(output or {}, "output"))
        await self._caller.unary(self._stub.CompleteAttempt, request, NO_RETRY)

    async def fail_attempt(
        self,
        token: str,
        reason: str = "",
        message: str = "",
        *,
        code: Code = Code.ABORTED,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Tell that an attempt failed; once this returns it is recorded.

        Args:
            token: Of the attempt.
            reason: UPPER_SNAKE_CASE; empty: ACTION_FAILED.
            message: For a person.
            code: Decides whether the step is tried again: ``ABORTED``,
                ``UNAVAILABLE``, ``INTERNAL`` and the like are, others are meant.
            metadata: Every dynamic value of the message.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: ATTEMPT_STALE: it was over before; nothing is recorded.
            ValidationError: It is no token.
        """
        failure = failure_pb2.Failure(
            reason=reason, message=message, code=int(code), metadata=write.texts(metadata or {}, "metadata")
        )
        request = pb.CompleteAttemptRequest(attempt_token=token, failure=failure)
        await self._caller.unary(self._stub.CompleteAttempt, request, NO_RETRY)

    async def heartbeat_attempt(self, token: str, details: Mapping[str, Any] | None = None) -> bool:
        """Tell that an attempt is alive, and how far it is.

        Args:
            token: Of the attempt.
            details: JSON object, given to the next attempt; None: only that it is alive.

        Returns:
            Whether nobody waits for the attempt any more: stop then.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: ATTEMPT_STALE: the attempt is over.
            ValidationError: It is no token, or the details have more than 64 KB.
        """
        request = pb.HeartbeatAttemptRequest(
            attempt_token=token, details=None if details is None else write.payload(details, "details")
        )
        answer = await self._caller.unary(self._stub.HeartbeatAttempt, request, self._caller.retry.update)
        return answer.cancel_requested
