"""The transports of actions side by side, and an old, a new and an odd provider to call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

import grpc
import grpc.aio

from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.common.v1 import payload_pb2
from weft.core.clock import SystemClock
from weft.core.errors import WeftError
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, ActionTransport
from weft.mesh.dispatch.limits import DispatchConfig
from weft.mesh.dispatch.transport import StreamActionTransport
from weft.mesh.grpc_actions import GrpcActionTransport
from weft.mesh.pool import ChannelPool
from weft.mesh.tracing.port import NO_TRACING, CallTracer

WAYS: Final = ("unary", "stream")

_SERVICE: Final = "weft.api.action.v1.ActionService"

_PATIENT: Final = DispatchConfig(opening_patience=timedelta(seconds=4))
"""On a busy machine a call must not be made without the stream that it is about."""


class Way:
    """One transport, its connections, and whether calls really went that way."""

    def __init__(
        self,
        kind: str,
        *,
        config: DispatchConfig | None = None,
        tracer: CallTracer = NO_TRACING,
        options: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self.kind = kind
        self.pool = ChannelPool(SystemClock(), options=options)
        self.transport: ActionTransport
        if kind == "stream":
            chosen = config or _PATIENT
            self.transport = StreamActionTransport(self.pool, tracer=tracer, config=chosen)
        else:
            self.transport = GrpcActionTransport(pool=self.pool, tracer=tracer)

    @property
    def streams(self) -> int:
        """How many streams there are."""
        return len(self.transport._streams._live) if isinstance(self.transport, StreamActionTransport) else 0

    async def invoke(
        self, endpoint: Endpoint, action: str, value: Any = None, timeout: float = 10.0, **fields: Any
    ) -> Any:
        """Call an action of the service ``demo``."""
        given = value if isinstance(value, bytes) else json.dumps(value or {}).encode()
        call = ActionCall(**{"service": "demo", "action": action, "input": given, **fields})
        output = await self.transport.invoke(endpoint, call, timeout)
        return None if output is None else json.loads(output)

    async def close(self) -> None:
        await self.transport.close()
        await self.pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def described(error: WeftError) -> dict[str, Any]:
    """Return everything that a caller can tell of an error."""
    return {
        "type": type(error).__name__,
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "violations": error.violations,
        "retry_after": error.retry_after,
        "domain": error.domain,
    }


def _written(message: Any) -> bytes:
    """Write a message; bytes stand for themselves, whatever they are."""
    text: bytes = message if isinstance(message, bytes) else message.SerializeToString()
    return text


Serve = Callable[[Any, Any], Awaitable[None]]


@asynccontextmanager
async def streaming_provider(
    serve: Serve, unary: Any = None, port: int = 0, options: tuple[tuple[str, int], ...] = ()
) -> AsyncIterator[Endpoint]:
    """Serve RunActions by hand, with messages; yields where."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0), *options))
    handlers: dict[str, Any] = {
        "RunActions": grpc.stream_stream_rpc_method_handler(
            serve,
            request_deserializer=pb.RunActionsRequest.FromString,
            response_serializer=_written,
        )
    }
    if unary is not None:
        handlers["InvokeAction"] = grpc.unary_unary_rpc_method_handler(
            unary,
            request_deserializer=pb.InvokeActionRequest.FromString,
            response_serializer=pb.InvokeActionResponse.SerializeToString,
        )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield Endpoint(host="127.0.0.1", port=bound)
    finally:
        await server.stop(None)


def greeting(invocations: int = 100, input_bytes: int = 1_000_000) -> pb.RunActionsResponse:
    return pb.RunActionsResponse(window=pb.StreamWindow(invocations=invocations, input_bytes=input_bytes))


def results(request: pb.RunActionsRequest) -> pb.RunActionsResponse:
    """Answer all that was asked over a stream."""
    found = [pb.ActionResult(id=it.id, output=b'{"by": "stream"}') for it in request.invocations]
    return pb.RunActionsResponse(results=found)


async def unary(request: pb.InvokeActionRequest, context: Any) -> pb.InvokeActionResponse:
    """Answer a unary call."""
    return pb.InvokeActionResponse(output=payload_pb2.Payload(json=b'{"by": "unary"}'))
