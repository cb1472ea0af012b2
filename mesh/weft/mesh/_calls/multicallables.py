"""The methods of a mesh channel, one class for each shape, as generated stubs call them."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from weft.mesh._calls.call import MeshCall
from weft.mesh._calls.detour import connected_one
from weft.mesh._calls.method import Method
from weft.mesh._calls.origin import Attempt, Origin
from weft.mesh._calls.streams import StreamStreamCall, UnaryStreamCall
from weft.mesh._calls.unary import StreamUnaryCall, UnaryUnaryCall
from weft.mesh.balancing import Node
from weft.mesh.pool import Connection
from weft.mesh.route import Route

__all__ = ["StreamStreamMethod", "StreamUnaryMethod", "UnaryStreamMethod", "UnaryUnaryMethod"]


class _Callable:
    """What the four shapes share."""

    _kind: type[MeshCall]

    def __init__(self, origin: Origin, method: Method) -> None:
        self._origin = origin
        self._method = method

    def _look(self, metadata: Any) -> tuple[Route, Node | None, Connection | None]:
        """Pick an instance for a new call, and borrow the connection to it where there is one."""
        origin = self._origin
        route = origin.route()
        route.last_used = moment = origin.monotonic()
        route.budget.called(moment)
        node = route.pick(origin.key(metadata) if origin.hash_key else "", ())
        if node is None:
            return route, None, None
        return route, *connected_one(origin, route, node)

    def _call(
        self,
        request: Any,
        timeout: float | None,
        metadata: Any,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,  # noqa: FBT001 - as grpc.aio has it
        compression: grpc.Compression | None,
    ) -> Any:
        route, node, connection = self._look(metadata)
        origin, method = self._origin, self._method
        deadline = origin.deadline(timeout, method.timeout)
        call = self._kind(
            origin, route, method, request, deadline, metadata, credentials, compression, wait_for_ready
        )
        call.begin(node, connection)
        return call

    def _stream(
        self,
        requests: Any,
        timeout: float | None,
        metadata: Any,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,  # noqa: FBT001 - as grpc.aio has it
        compression: grpc.Compression | None,
    ) -> Any:
        """Start a stream of requests: at a connected instance it is a plain call, as it has one attempt."""
        route, node, connection = self._look(metadata)
        origin, method = self._origin, self._method
        deadline = origin.deadline(timeout, method.timeout)
        if node is None or connection is None:
            call = self._kind(
                origin, route, method, requests, deadline, metadata, credentials, compression, wait_for_ready
            )
            call.begin(node, None)
            return call
        attempt = Attempt(origin, route, node, connection, None)
        plain = attempt.start(method, requests, deadline, metadata, credentials, compression, 1)
        origin.active.add(plain)
        return plain


class UnaryUnaryMethod(_Callable, grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    """One request, one response."""

    _kind = UnaryUnaryCall

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method."""
        return self._call(request, timeout, metadata, credentials, wait_for_ready, compression)


class UnaryStreamMethod(_Callable, grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    """One request, a stream of responses."""

    _kind = UnaryStreamCall

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method."""
        return self._call(request, timeout, metadata, credentials, wait_for_ready, compression)


class StreamUnaryMethod(_Callable, grpc.aio.StreamUnaryMultiCallable[Any, Any]):
    """A stream of requests, one response."""

    _kind = StreamUnaryCall

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - as grpc.aio has it
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method."""
        return self._stream(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)


class StreamStreamMethod(_Callable, grpc.aio.StreamStreamMultiCallable[Any, Any]):
    """A stream of requests, a stream of responses."""

    _kind = StreamStreamCall

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - as grpc.aio has it
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method."""
        return self._stream(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
