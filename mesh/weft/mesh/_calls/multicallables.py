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

    def _look(self, metadata: Any, moment: float) -> tuple[Route, Node | None, Connection | None]:
        """Pick an instance for a new call, and borrow the connection to it where there is one."""
        origin = self._origin
        route = origin.route()
        route.last_used = moment
        route.budget.called(moment)
        node = route.pick(origin.key(metadata) if origin.hash_key else "", (), moment)
        if node is None:
            return route, None, None
        connection = origin.pool.ready(node.endpoint)
        if connection is None:
            return route, *connected_one(origin, route, node)
        return route, node, connection


class _OneRequest(_Callable):
    """One request, which another attempt can repeat."""

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
        origin, method = self._origin, self._method
        moment = origin.monotonic()
        route, node, connection = self._look(metadata, moment)
        deadline = origin.deadline(moment, timeout, method.timeout)
        call = self._kind(
            origin, route, method, request, deadline, metadata, credentials, compression, wait_for_ready
        )
        if node is not None and connection is not None:
            call.launch(node, connection, moment)
        else:
            call.seek(0.0, node)
        origin.active.add(call)
        return call


class _Requests(_Callable):
    """A stream of requests: at a connected instance it is a plain call, as it has one attempt."""

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
        origin, method = self._origin, self._method
        moment = origin.monotonic()
        route, node, connection = self._look(metadata, moment)
        deadline = origin.deadline(moment, timeout, method.timeout)
        if node is not None and connection is not None:
            attempt = Attempt(origin, route, node, connection, None, moment)
            call = attempt.start(method, request_iterator, deadline, metadata, credentials, compression, 1)
        else:
            made = (request_iterator, deadline, metadata, credentials, compression, wait_for_ready)
            call = self._kind(origin, route, method, *made)
            call.seek(0.0, node)
        origin.active.add(call)
        return call


class UnaryUnaryMethod(_OneRequest, grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    """One request, one response."""

    _kind = UnaryUnaryCall


class UnaryStreamMethod(_OneRequest, grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    """One request, a stream of responses."""

    _kind = UnaryStreamCall


class StreamUnaryMethod(_Requests, grpc.aio.StreamUnaryMultiCallable[Any, Any]):
    """A stream of requests, one response."""

    _kind = StreamUnaryCall


class StreamStreamMethod(_Requests, grpc.aio.StreamStreamMultiCallable[Any, Any]):
    """A stream of requests, a stream of responses."""

    _kind = StreamStreamCall
