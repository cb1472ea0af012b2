"""Actions over streams where an instance serves them, and over unary calls where it does not."""

from __future__ import annotations

import asyncio
from typing import Final

from google.rpc import status_pb2

from weft.api.action.v1 import action_service_pb2 as pb
from weft.core.errors import Code, ServiceUnavailableError, WeftError
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, UnreachableError
from weft.mesh.dispatch.limits import LARGEST_BYTES, DispatchConfig
from weft.mesh.dispatch.messages import call_size
from weft.mesh.dispatch.stream import EngineStream
from weft.mesh.dispatch.streams import Streams
from weft.mesh.grpc_actions import METHOD, GrpcActionTransport
from weft.mesh.grpc_failures import says_something, status_failure, two_outcomes
from weft.mesh.pool import ChannelPool, Connection
from weft.mesh.tracing.port import NO_TRACING, CallTracer

__all__ = ["StreamActionTransport"]

_LEAST: Final = 0.001
"""Seconds that a call is given at least, so that it ends by its own timer."""

_DEFAULTS: Final = DispatchConfig()


class StreamActionTransport:
    """Calls actions over one stream to each instance; an ``ActionTransport``.

    Where an instance does not stream, or an action is an RPC of the provider's
    own, the call is a unary one, with the same results and the same errors.

    Args:
        pool: Connections; whoever made them closes them.
        tracer: What happens around each attempt.
        policy: Name of the policy that chooses the endpoints, for the spans.
        config: Patience and bounds.
    """

    def __init__(
        self,
        pool: ChannelPool,
        *,
        tracer: CallTracer = NO_TRACING,
        policy: str = "round_robin",
        config: DispatchConfig = _DEFAULTS,
    ) -> None:
        self._pool = pool
        self._tracer = tracer
        self._policy = policy
        self._unary = GrpcActionTransport(pool=pool, tracer=tracer, policy=policy)
        self._streams = Streams(config)

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes | None:
        """Run an action: see ``ActionTransport.invoke``."""
        if call.invoker is not None or len(call.input) > LARGEST_BYTES:
            return await self._unary.invoke(endpoint, call, timeout)
        deadline = asyncio.get_running_loop().time() + timeout
        connection = self._pool.ready(endpoint, multiplexed=True)
        if connection is None:
            connection = await self._pool.connect(endpoint, call.service, timeout, multiplexed=True)
        try:
            if connection.leaving:
                raise UnreachableError(call.service, f"{endpoint.address} was removed while it was dialled")
            stream = self._streams.ready(connection) or await self._open(connection, endpoint, deadline)
            if stream is None or call_size(call) > LARGEST_BYTES:
                return await self._unary.invoke_over(connection.channel, endpoint, call, deadline, timeout)
            return await self._run(stream, endpoint, call, deadline, timeout)
        except ServiceUnavailableError as error:
            self._pool.note(connection, error)
            raise
        finally:
            self._pool.give_back(connection)

    async def close(self) -> None:
        """End every stream."""
        await self._streams.close()
        await self._unary.close()

    async def _open(self, connection: Connection, endpoint: Endpoint, deadline: float) -> EngineStream | None:
        left = max(_LEAST, deadline - asyncio.get_running_loop().time())
        return await self._streams.open(connection, endpoint.address, left)

    async def _run(
        self, stream: EngineStream, endpoint: Endpoint, call: ActionCall, deadline: float, timeout: float
    ) -> bytes | None:
        span, headers = self._tracer.start(
            METHOD,
            (),
            service=call.service,
            endpoint=endpoint,
            attempt=call.attempt,
            balancer=self._policy,
        )
        try:
            result = await stream.run(call, headers, deadline, timeout)
        except WeftError as error:
            self._tracer.end(span, int(error.code), error.message)
            raise
        except BaseException:
            self._tracer.end(span, int(Code.CANCELLED), "the caller gave up")
            raise
        self._tracer.end(span, result.code, result.message)
        return _outcome(result, endpoint, call, timeout)


def _outcome(result: pb.ActionResult, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes | None:
    if result.code:
        status = status_pb2.Status(code=result.code, message=result.message, details=result.details)
        raise status_failure(status, call, endpoint, timeout)
    if not result.pending:
        return result.output or b"{}"
    if says_something(result.output):
        raise two_outcomes(call)
    return None
