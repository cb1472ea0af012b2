"""Actions over gRPC: ``weft.api.action.v1.ActionService``, or the RPC that an action names."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from weakref import WeakKeyDictionary

import grpc.aio
import orjson

from weft.api.action.v1 import action_service_pb2, action_service_pb2_grpc
from weft.api.common.v1 import context_pb2, payload_pb2
from weft.core.clock import Clock, SystemClock
from weft.core.errors import (
    Code,
    ServiceUnavailableError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.payload import from_struct
from weft.core.reasons import Rule
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, MethodInvoker, UnreachableError
from weft.mesh.grpc_failures import output_invalid, rpc_failure, says_something, two_outcomes
from weft.mesh.pool import ChannelPool
from weft.mesh.tracing.port import NO_TRACING, CallTracer

__all__ = ["METHOD", "GrpcActionTransport", "invocation_message"]

METHOD: Final = f"/{action_service_pb2.DESCRIPTOR.services_by_name['ActionService'].full_name}/InvokeAction"
"""The RPC that runs an action; its spans are named after it, also where it goes over a stream."""


class GrpcActionTransport:
    """Calls actions over pooled gRPC channels.

    Args:
        clock: For the pool's idleness.
        connect_timeout: How long one connection may take to be made.
        pool: Connections that others use too; whoever made them closes them.
        tracer: What happens around each attempt.
        policy: Name of the policy that chooses the endpoints, for the spans.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        connect_timeout: timedelta = timedelta(seconds=5),
        pool: ChannelPool | None = None,
        tracer: CallTracer = NO_TRACING,
        policy: str = "round_robin",
    ) -> None:
        self._tracer = tracer
        self._policy = policy
        self._pool = pool or ChannelPool(clock or SystemClock(), connect_timeout=connect_timeout)
        self._own_pool = self._pool if pool is None else None
        self._stubs: WeakKeyDictionary[grpc.aio.Channel, action_service_pb2_grpc.ActionServiceAsyncStub] = (
            WeakKeyDictionary()
        )

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes | None:
        """Run an action: see ``ActionTransport.invoke``."""
        deadline = asyncio.get_running_loop().time() + timeout
        connection = self._pool.ready(endpoint) or await self._pool.connect(endpoint, call.service, timeout)
        try:
            if connection.leaving:
                raise UnreachableError(call.service, f"{endpoint.address} was removed while it was dialled")
            if call.invoker is not None:
                left = _left(deadline)
                return await self._invoke_method(connection.channel, call.invoker, endpoint, call, left)
            return await self.invoke_over(connection.channel, endpoint, call, deadline, timeout)
        except ServiceUnavailableError as error:
            self._pool.note(connection, error)
            raise
        finally:
            self._pool.give_back(connection)

    async def invoke_over(
        self,
        channel: grpc.aio.Channel,
        endpoint: Endpoint,
        call: ActionCall,
        deadline: float,
        timeout: float,
    ) -> bytes | None:
        """Run an action of a provider that serves ActionService, over a channel that is connected.

        Args:
            channel: Connected to the endpoint.
            endpoint: Where that is.
            call: What to run.
            deadline: Moment of the loop until when it may take.
            timeout: What a late one is told that it was given.

        Raises:
            WeftError: As ``ActionTransport.invoke``.
        """
        stub = self._stub(channel)
        span, metadata = self._tracer.start(
            METHOD,
            (),
            service=call.service,
            endpoint=endpoint,
            attempt=call.attempt,
            balancer=self._policy,
        )
        call.given()
        try:
            response = await stub.InvokeAction(_request(call), timeout=_left(deadline), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            self._tracer.end(span, error.code().value[0], error.details())
            unserved = "does not serve ActionService"
            raise rpc_failure(error, call, endpoint, timeout, unserved, left=_left(deadline)) from None
        except BaseException:
            self._tracer.end(span, int(Code.CANCELLED), "the caller gave up")
            raise
        self._tracer.end(span, 0, None)
        return _output(response, call)

    async def _invoke_method(
        self,
        channel: grpc.aio.Channel,
        invoker: MethodInvoker,
        endpoint: Endpoint,
        call: ActionCall,
        timeout: float,
    ) -> bytes:
        """Run an action that is an RPC of the provider's own."""
        span, headers = self._tracer.start(
            f"/{call.grpc_method}",
            (),
            service=call.service,
            endpoint=endpoint,
            attempt=call.attempt,
            balancer=self._policy,
        )
        call.given()
        try:
            output = await invoker.invoke(channel, call.grpc_method, endpoint, call, timeout, headers=headers)
        except WeftError as error:
            self._tracer.end(span, int(error.code), error.message)
            raise
        except BaseException:
            self._tracer.end(span, int(Code.CANCELLED), "the caller gave up")
            raise
        self._tracer.end(span, 0, None)
        return output

    def _stub(self, channel: grpc.aio.Channel) -> action_service_pb2_grpc.ActionServiceAsyncStub:
        """Return the stub of a channel; making one costs as much as the checks around a call."""
        stub = self._stubs.get(channel)
        if stub is None:
            stub = self._stubs[channel] = action_service_pb2_grpc.ActionServiceStub(channel)
        return stub

    async def close(self) -> None:
        """Close every connection of its own."""
        if self._own_pool is not None:
            await self._own_pool.close()


def _left(deadline: float) -> float:
    """Return the seconds that are left; never none, so that a call ends by its own timer."""
    return max(0.001, deadline - asyncio.get_running_loop().time())


def _request(call: ActionCall) -> action_service_pb2.InvokeActionRequest:
    return action_service_pb2.InvokeActionRequest(
        service=call.service,
        action=call.action,
        input=payload_pb2.Payload(json=call.input),
        context=context_pb2.CallContext(
            project_id=call.context.project_id,
            request_id=call.context.request_id,
            values=call.context.values,
        ),
        invocation=invocation_message(call),
    )


def invocation_message(call: ActionCall) -> action_service_pb2.Invocation:
    """Say which call it is."""
    message = action_service_pb2.Invocation(
        execution_id=call.execution_id,
        workflow_id=call.workflow_id,
        step_id=call.step_id,
        attempt=call.attempt,
        idempotency_key=call.idempotency_key,
        attempt_token=call.attempt_token,
        heartbeat_details=call.heartbeat_details,
    )
    if call.heartbeat_timeout is not None:
        message.heartbeat_timeout.FromTimedelta(call.heartbeat_timeout)
    return message


def _output(response: action_service_pb2.InvokeActionResponse | None, call: ActionCall) -> bytes | None:
    """Return JSON text, also from a provider that answers with a Struct whatever was asked; None: pending."""
    if response is None:  # what grpc.aio makes of bytes that are no such message
        raise output_invalid(call, [Violation("output", "is no InvokeActionResponse", Rule.PAYLOAD_INVALID)])
    if response.pending:
        if says_something(response.output.json) or response.output.struct.fields:
            raise two_outcomes(call)
        return None
    if not response.output.HasField("struct"):
        return response.output.json or b"{}"
    try:
        return orjson.dumps(from_struct(response.output.struct, "output"))
    except ValidationError as error:
        raise output_invalid(call, error.violations) from None
