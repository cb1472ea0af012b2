"""Errors on the wire of ``grpc.aio``: out of a servicer, and back in a caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from weft.core.errors import Code, ServiceUnavailableError, WeftError
from weft.core.metadata import STATUS_DETAILS
from weft.core.reasons import Reason
from weft.core.status import clip, from_code, from_status, to_status
from weft.core.transport import CHANNEL_OPTIONS, MAX_MESSAGE_BYTES

__all__ = [
    "CHANNEL_OPTIONS",
    "MAX_MESSAGE_BYTES",
    "SERVER_OPTIONS",
    "abort_with",
    "error_from_code",
    "error_from_rpc",
    "is_refusal",
    "make_server",
]

SERVER_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", 1_000),
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
"""The cap on streams bounds what rapid resets cost; a lower one refuses calls of honest clients (see
docs/adr/0009). Calls that have come and are not begun are capped as well, those of all connections
together: at 1,000 gRPC itself cancels those beyond without a word, for which two busy clients are enough.
With port sharing, which is on by default, a second server on one port would start silently (measured)."""

_MAX_MESSAGE_BYTES: Final = 300
"""``grpc-message`` writes each byte beyond ASCII as three; the details carry the longer text."""

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def make_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    options: Sequence[tuple[str, int]] = SERVER_OPTIONS,
) -> grpc.aio.Server:
    """Make a server that finds its handlers by name.

    Generated code also registers each method, and then grpc.aio waits at every call for
    the next call of every method, one by one: with 53 methods that was a fifth of all
    Python calls of a workflow.
    """
    server = grpc.aio.server(interceptors=interceptors, options=options)
    setattr(server, "add_registered_method_handlers", _register_none)  # noqa: B010 - it is a method
    return server


def _register_none(service: str, handlers: object) -> None:
    """Leave methods to the generic handlers, which generated code adds as well."""


async def abort_with(context: grpc.aio.ServicerContext[object, object], error: WeftError) -> NoReturn:
    """End the running RPC with the error and all its details."""
    status = to_status(error)
    context.set_trailing_metadata(
        (*(context.trailing_metadata() or ()), (STATUS_DETAILS, status.SerializeToString()))
    )
    await context.abort(_CODES[int(error.code)], clip(status.message, _MAX_MESSAGE_BYTES))


def error_from_rpc(error: grpc.aio.AioRpcError, peer: str = "weft") -> WeftError:
    """Rebuild the error that the peer raised, from its details where it sent them.

    Args:
        error: What the stub raised.
        peer: Who was called; names the service of an error that gRPC itself made.
    """
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except (DecodeError, ValueError, OverflowError):  # details that nobody can read
                break
    return error_from_code(int(error.code().value[0]), error.details() or error.code().name, peer)


def error_from_code(code: int, details: str, peer: str) -> WeftError:
    """Rebuild an error from a status without details, such as one made by gRPC itself."""
    if code == Code.UNAVAILABLE:
        return ServiceUnavailableError(peer, f"{peer} is unavailable: {details}")
    return from_code(code, details)


def is_refusal(error: WeftError, service: str) -> bool:
    """Tell whether an instance of a service says itself that it is draining, and has not begun the call.

    The same words may be an action's own reason, or of somebody further on: then
    there is no telling what was done.
    """
    return (
        isinstance(error, ServiceUnavailableError)
        and error.reason == Reason.SERVER_DRAINING
        and error.service_name == service
        and error.retry_after is None
    )
