"""Typed calls that start executions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client._executions.calls import ExecutionCalls, optional_span
from weft.client._reading import execution as read
from weft.client._transport.calls import Limit, new_request_id
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client.records import Execution
from weft.core.context import CallContext
from weft.core.errors import DeadlineExceededError

__all__ = ["Starts"]


class Starts(ExecutionCalls):
    """Starts executions of workflows."""

    async def start(
        self,
        workflow: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        *,
        version: int = 0,
        context: write.ContextLike | None = None,
        request_id: str = "",
        timeout: write.DurationLike | None = None,
        key: str = "",
        key_reuse: str = "",
        key_conflict: str = "",
        attributes: Mapping[str, str | float | bool] | None = None,
        alias: str = "",
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
            key: An id of your choice; at most one open execution has it. It names
                the newest execution that has it, wherever an id does.
            key_reuse: What to do when an execution that has ended has the key:
                ``ALLOW`` another one (the default), ``RETURN_EXISTING`` or ``REJECT``.
            key_conflict: What to do when an open one has it: ``FAIL`` (the
                default), ``USE_EXISTING`` or ``TERMINATE_EXISTING``.
            attributes: What it can be found by, as ``attributes.<name>`` of a filter.
            alias: Or, in place of a version: by which alias, such as ``stable``.

        Raises:
            ValidationError: The input does not fit the workflow's schema.
            ResourceNotFoundError: There is no such workflow, version or alias.
            PreconditionError: The workflow is not active.
            AlreadyExistsError: EXECUTION_EXISTS: another execution has the key.
            ExhaustedError: ENGINE_FULL: too much is open. CONCURRENCY_LIMIT: as many
                run as may, and the workflow refuses further ones.
        """
        about = write.call_context(context, request_id)
        request = pb.StartExecutionRequest(
            workflow=workflow,
            version=version,
            alias=alias,
            input=write.payload(input or {}, "input"),
            context=write.context_message(about),
            request_id=request_id or new_request_id(),
            timeout=optional_span(timeout),
            search_attributes=write.struct(attributes, "attributes") if attributes else None,
            **_key(key, key_reuse, key_conflict),
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
        key: str = "",
        key_reuse: str = "",
        key_conflict: str = "",
        attributes: Mapping[str, str | float | bool] | None = None,
        alias: str = "",
        wait: write.DurationLike | None = None,
    ) -> Execution:
        """Start an execution and return it when it has ended, however it did.

        When the server becomes unavailable in between, the same execution is
        joined again. It goes on when the caller leaves. One that is paused or
        has an incident has not ended: it is waited for.

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
            key: As for ``start``.
            key_reuse: As for ``start``.
            key_conflict: As for ``start``; an existing execution is joined.
            attributes: As for ``start``.
            alias: As for ``start``.
            wait: How long to wait for its end, likewise; None: as long as it
                takes.

        Raises:
            DeadlineExceededError: It had not ended by then; its ``metadata`` has
                the ``execution_id`` when it was accepted.
            WeftError: As ``start``.
        """
        about = write.call_context(context, request_id)
        request = pb.ExecuteWorkflowRequest(
            workflow=workflow,
            version=version,
            alias=alias,
            input=write.payload(input or {}, "input"),
            context=write.context_message(about),
            request_id=request_id or new_request_id(),
            timeout=optional_span(timeout),
            search_attributes=write.struct(attributes, "attributes") if attributes else None,
            **_key(key, key_reuse, key_conflict),
        )
        return await self._executed(request, about, None if wait is None else write.duration(wait, "wait"))

    async def _executed(
        self, request: pb.ExecuteWorkflowRequest, about: CallContext, span: timedelta | None
    ) -> Execution:
        """Wait for the end of an execution, for a span at most."""
        try:
            answer = await self._caller.unary(
                self._stub.ExecuteWorkflow,
                request,
                self._caller.retry.create,
                context=about,
                limit=Limit(span=span, in_all=True),
            )
        except DeadlineExceededError as error:
            raise _not_ended(error, request.workflow, span) from error
        return read.execution(answer.execution)

    async def rerun(
        self,
        execution_id: str,
        *,
        from_step: str = "",
        version: int = 0,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        request_id: str = "",
    ) -> Execution:
        """Run an execution that has ended anew, as a new one that is linked to it.

        Args:
            execution_id: Id or key of the one that has ended.
            from_step: The first step that runs again, none inside of another; outputs of
                those before are reused. By default the first one without an output, which is the
                one that failed, or the first one that was undone; when all have
                one, the last.
            version: Which version of the workflow to run; 0: the one that ran.
            input: JSON object; None: the same input.
            request_id: Idempotency key: a repeat returns the same new execution.
                Made when empty.

        Returns:
            The new execution, without payloads.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: EXECUTION_OPEN: it has not ended.
            ValidationError: STEP_UNKNOWN: there is no such step; STEP_NOT_A_START: it is inside
                of another one, or one before it has no output or was undone.
        """
        request = pb.RerunExecutionRequest(
            execution_id=execution_id,
            from_step=from_step,
            version=version,
            input=None if input is None else write.payload(input, "input"),
            request_id=request_id or new_request_id(),
        )
        answer = await self._caller.unary(self._stub.RerunExecution, request, self._caller.retry.create)
        return read.execution(answer.execution)


def _key(key: str, reuse: str, conflict: str) -> dict[str, Any]:
    return {
        "execution_key": key,
        "key_reuse_policy": enums.KEY_REUSE_POLICY.optional(reuse, "key_reuse"),
        "key_conflict_policy": enums.KEY_CONFLICT_POLICY.optional(conflict, "key_conflict"),
    }


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
