"""A real gRPC server that answers what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2_grpc

from weft.api.execution.v1 import execution_service_pb2_grpc
from weft.api.registry.v1 import registry_service_pb2_grpc
from weft.api.workflow.v1 import workflow_service_pb2_grpc
from weft.core.errors import ServiceUnavailableError, WeftError
from weft.mesh.rpc import SERVER_OPTIONS, abort_with

Reply: TypeAlias = Message | WeftError | grpc.StatusCode | Callable[[Any, Any], Awaitable[Any]]
"""An answer, an error of ours, a bare status, or a function of the request and the context."""

STREAMS = ("WatchExecution", "WatchInstances")


@dataclass(frozen=True)
class Call:
    method: str
    request: Any
    metadata: dict[str, str | bytes]
    seconds_left: float | None


class Peer:
    """Replies are used up in order; the last one of a method stays."""

    def __init__(self, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.called = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._replies: dict[str, deque[Any]] = {}
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        servicer: Any = _Servicer(self)
        registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(servicer, self._server)
        workflow_service_pb2_grpc.add_WorkflowServiceServicer_to_server(servicer, self._server)
        execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def last(self) -> Any:
        """The request of the newest call."""
        return self.calls[-1].request

    def on(self, method: str, *replies: Reply | list[Reply]) -> None:
        """Script a method; for a stream each reply is the list of what it sends."""
        self._replies[method] = deque(replies)

    def next_reply(self, method: str) -> Any:
        replies = self._replies[method]
        return replies.popleft() if len(replies) > 1 else replies[0]

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(grace=None)


class _Servicer:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def __getattr__(self, method: str) -> Any:
        async def unary(request: Message, context: Any) -> Any:
            self._note(method, request, context)
            return await _give(self._peer.next_reply(method), request, context)

        async def stream(request: Message, context: Any) -> AsyncIterator[Any]:
            self._note(method, request, context)
            try:
                for reply in self._peer.next_reply(method):
                    yield await _give(reply, request, context)
            except asyncio.CancelledError:
                self._peer.cancelled.set()
                raise

        return stream if method in STREAMS else unary

    def _note(self, method: str, request: Message, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self._peer.calls.append(Call(method, request, metadata, context.time_remaining()))
        self._peer.called.set()


async def same_tries(peer: Peer, method: str, call: Awaitable[Any]) -> int:
    """Let a method be unavailable, and return how often it was called, each time with the same request."""
    peer.on(method, grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(ServiceUnavailableError):
        await call
    assert len({bytes(made.request.SerializeToString(deterministic=True)) for made in peer.calls}) == 1
    return len(peer.calls)


async def _give(reply: Any, request: Message, context: Any) -> Any:
    if isinstance(reply, Message):
        return reply
    if isinstance(reply, WeftError):
        return await abort_with(context, reply)
    if isinstance(reply, grpc.StatusCode):
        return await context.abort(reply, "scripted")
    return await reply(request, context)


async def forever(_request: Any, _context: Any) -> None:
    """Never answer."""
    await asyncio.Event().wait()


class Middle:
    """No jitter at all."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2
