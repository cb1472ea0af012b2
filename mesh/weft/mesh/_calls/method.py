"""What is known of a method before it is called."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool

from weft.mesh.call_options import CallOptions
from weft.mesh.pool import Connection

__all__ = ["Method", "Shape", "is_idempotent"]

_IDEMPOTENT: Final = frozenset(
    {
        descriptor_pb2.MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS,
        descriptor_pb2.MethodOptions.IdempotencyLevel.IDEMPOTENT,
    }
)


class Shape(IntEnum):
    """The four shapes of RPCs."""

    UNARY_UNARY = 0
    UNARY_STREAM = 1
    STREAM_UNARY = 2
    STREAM_STREAM = 3


_MAKERS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Method:
    """One method as the stubs of one channel know it.

    Attributes:
        name: Full name, such as ``/shop.v1.Carts/GetCart``.
        shape: Which requests and responses are streams.
        timeout: Seconds that a call may take that says nothing itself.
        retried: Whether it is called again after a request was sent.
        replayable: Whether the request can be sent again: it is no stream.
    """

    __slots__ = ("_arguments", "_made", "name", "replayable", "retried", "shape", "timeout")

    def __init__(
        self,
        name: str,
        shape: Shape,
        serializer: Callable[[Any], bytes] | None,
        deserializer: Callable[[bytes], Any] | None,
        registered: bool | None,  # noqa: FBT001 - passed on as it came
        options: CallOptions,
    ) -> None:
        self.name = name
        self.shape = shape
        self._arguments = (name, serializer, deserializer, registered)
        self._made: dict[Connection, Callable[..., Any]] = {}
        limit = options.timeout if shape is Shape.UNARY_UNARY else options.stream_timeout
        self.timeout = limit.total_seconds() if limit is not None else None
        self.replayable = shape in {Shape.UNARY_UNARY, Shape.UNARY_STREAM}
        self.retried = self.replayable and options.retried(name, idempotent=is_idempotent(name))

    def on(self, connection: Connection) -> Callable[..., Any]:
        """Return the method on a connection to an instance."""
        made = self._made.get(connection)
        if made is None:
            for each in [each for each in self._made if each.leaving]:
                del self._made[each]
            made = getattr(connection.channel, _MAKERS[self.shape])(*self._arguments)
            self._made[connection] = made
        return made


def is_idempotent(method: str) -> bool:
    """Tell whether the descriptor of a method, where it is loaded, says that it may run twice."""
    try:
        found = descriptor_pool.Default().FindMethodByName(method.removeprefix("/").replace("/", "."))
    except KeyError:
        return False
    level: Any = found.GetOptions().idempotency_level
    return level in _IDEMPOTENT
