"""A real gRPC server on a loop of its own, that answers the command as a test tells it to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Self, TypeAlias

import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from weft.api.execution.v1 import execution_service_pb2_grpc
from weft.api.registry.v1 import registry_service_pb2_grpc
from weft.api.workflow.v1 import workflow_service_pb2_grpc
from weft.core.errors import InternalError, WeftError
from weft.mesh.rpc import SERVER_OPTIONS, abort_with

Answer: TypeAlias = Message | WeftError | list[Message] | None
"""A message, an error, the messages of a stream, or None for silence."""

Reply: TypeAlias = Answer | Callable[[Any], Answer]
"""An answer, or a function of the request that makes it."""

STREAMS = frozenset({"WatchExecution", "WatchInstances"})


class ScriptedServer:
    """Answers each method with the reply it was given, and keeps the requests."""

    def __init__(self, *, with_reflection: bool = True) -> None:
        self.target = ""
        self.requests: dict[str, list[Any]] = {}
        self.replies: dict[str, Reply] = {}
        self._with_reflection = with_reflection
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def on(self, method: str, reply: Reply) -> None:
        """Script a method."""
        self.replies[method] = reply

    def last(self, method: str) -> Any:
        """Return the newest request of a method."""
        return self.requests[method][-1]

    def answer(self, method: str, request: Any) -> Answer:
        """Keep the request, and return what was scripted."""
        self.requests.setdefault(method, []).append(request)
        reply = self.replies.get(method, InternalError(f"{method} is not scripted"))
        return reply if isinstance(reply, Message | WeftError | list | None) else reply(request)

    def __enter__(self) -> Self:
        self.on("Check", health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = grpc.aio.server(options=SERVER_OPTIONS)
        servicer: Any = _Servicer(self)
        registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(servicer, server)
        workflow_service_pb2_grpc.add_WorkflowServiceServicer_to_server(servicer, server)
        execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        if self._with_reflection:
            reflection.enable_server_reflection(["weft.api.registry.v1.RegistryService"], server)
        self.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        self._ready.set()
        await self._done.wait()
        await server.stop(grace=None)


class _Servicer:
    """Has every method there is."""

    def __init__(self, script: ScriptedServer) -> None:
        self._script = script

    def __getattr__(self, method: str) -> Any:
        return self._stream(method) if method in STREAMS else self._unary(method)

    def _unary(self, method: str) -> Any:
        async def handle(request: Any, context: Any) -> Any:
            found = self._script.answer(method, request)
            if isinstance(found, WeftError):
                await abort_with(context, found)
            if found is None:
                await asyncio.Event().wait()
            return found

        return handle

    def _stream(self, method: str) -> Any:
        async def handle(request: Any, context: Any) -> AsyncIterator[Any]:
            found = self._script.answer(method, request)
            if isinstance(found, WeftError):
                await abort_with(context, found)
            for message in found if isinstance(found, list) else ():
                yield message
            if found is None:
                await asyncio.Event().wait()

        return handle
