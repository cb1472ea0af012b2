"""How attempts end, and what that means for the next one."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from weft.core.errors import WeftError
from weft.core.metadata import STATUS_DETAILS
from weft.core.status import clip, from_status, to_status
from weft.mesh.rpc import is_refusal

__all__ = ["CANCELLED", "FAULTS", "Failure", "Verdict", "failure_of", "now", "verdict"]

FAULTS: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes that speak against an instance, for outlier ejection: it broke, or did not answer."""

_PUSHBACK: Final = "grpc-retry-pushback-ms"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE_BYTES: Final = 300
_NOT_CONNECTED: Final = "failed to connect to all addresses"
_RESET: Final = ("CANCELLED", "Stream removed (RST_STREAM")
"""How gRPC says that a server reset a stream with CANCEL, as one that stops does: no server's own words."""
_MAX_PUSHBACK: Final = timedelta(hours=1)
"""A server that asks for more, in whatever form, is not waited for that long."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call ended that no instance has ended."""

    code: grpc.StatusCode
    details: str
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    cause: Exception | None = None
    """What is raised instead of an error of RPCs."""

    def error(self) -> Exception:
        """Return the exception, as a plain channel would raise it."""
        if self.cause is not None:
            return self.cause
        return grpc.aio.AioRpcError(
            self.code,
            grpc.aio.Metadata(),
            grpc.aio.Metadata(*self.metadata),
            details=self.details,
            debug_error_string=f"made by the mesh: {self.details}",
        )


CANCELLED: Final = Failure(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
"""A call that its caller cancelled before an instance was called."""


def failure_of(error: WeftError) -> Failure:
    """Return how a call ends with an error of the mesh: with all its details."""
    status = to_status(error)
    details = ((STATUS_DETAILS, status.SerializeToString()),)
    return Failure(_CODES[int(error.code)], clip(status.message, _MAX_MESSAGE_BYTES), details)


def now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that does not wait, such as the code of a call that has ended."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("the call has not ended")  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the end of an attempt says about another one."""

    retryable: bool = False
    """Whether another attempt may help."""
    refused: bool = False
    """Whether the instance said that it did not begin to process the call."""
    pushback: timedelta | None = None
    """How long the server asks to wait."""


_NO: Final = Verdict()
_YES: Final = Verdict(retryable=True)
_UNSENT: Final = Verdict(retryable=True, refused=True)


def verdict(
    code: grpc.StatusCode,
    details: str,
    trailing: grpc.aio.Metadata | None,
    *,
    service: str,
    unconnected: str = "",
) -> Verdict:
    """Judge how an attempt ended that its caller did not cancel.

    Retried are UNAVAILABLE; RESOURCE_EXHAUSTED where the server says when; and
    CANCELLED without a word, which is how a server that stops lets go of calls.

    An instance that is draining and gives no time has refused the call untouched; one
    that gives a time (RetryInfo) may have begun it. A refusal that names another
    service was passed on by an instance that had begun.

    Args:
        code: The attempt's.
        details: The text that came with it.
        trailing: The metadata that came with it.
        service: Name of the service that was called.
        unconnected: Address of the instance, when it is not connected now.
    """
    if code is grpc.StatusCode.CANCELLED:
        return _YES if not trailing and (details == _RESET[0] or details.startswith(_RESET[1])) else _NO
    if code is not grpc.StatusCode.UNAVAILABLE and code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _NO
    if not trailing:
        if code is not grpc.StatusCode.UNAVAILABLE:
            return _NO
        return _UNSENT if unconnected and _never_sent(details, unconnected) else _YES
    return _told(code, trailing, service)


def _told(code: grpc.StatusCode, trailing: grpc.aio.Metadata, service: str) -> Verdict:
    """Judge by what the server itself says."""
    asked = trailing.get(_PUSHBACK)
    error = _details(trailing.get(STATUS_DETAILS))
    after = error.retry_after if error is not None else None
    if asked is not None:
        after = _milliseconds(str(asked))
        if after is None:
            return _NO
    after = None if after is None else min(max(after, timedelta(0)), _MAX_PUSHBACK)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _NO if after is None else Verdict(retryable=True, pushback=after)
    refused = error is not None and after is None and is_refusal(error, service)
    return Verdict(retryable=True, refused=refused, pushback=after)


def _never_sent(details: str, address: str) -> bool:
    """Tell whether gRPC says that it had no connection to send the call over.

    A peer that passes on the fault of its own connection names another address, of which
    this one may be a part; and it is connected itself.
    """
    return details.startswith(_NOT_CONNECTED) and f":{address}: " in details


def _milliseconds(text: str) -> timedelta | None:
    """Read a push-back; what is negative or cannot be read means: never (gRFC A6)."""
    if not (text.isascii() and text.isdecimal()):
        return None
    return min(timedelta(milliseconds=min(int(text[:12]), 10**10)), _MAX_PUSHBACK)


def _details(packed: Any) -> WeftError | None:
    if not isinstance(packed, bytes):
        return None
    try:
        return from_status(status_pb2.Status.FromString(packed))
    except (DecodeError, ValueError, OverflowError):  # details that nobody can read
        return None
