"""What a failed RPC to a provider means: the conventions that all actions over gRPC share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from weft.core.errors import (
    ActionFailedError,
    CallCancelledError,
    Code,
    DeadlineExceededError,
    ExhaustedError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    UnexpectedStatusError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.metadata import STATUS_DETAILS
from weft.core.reasons import Reason, Rule
from weft.core.status import from_status
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, UnreachableError, action_timeout
from weft.mesh.rpc import error_from_code, error_from_rpc, is_refusal

__all__ = [
    "gives_reason",
    "is_too_large",
    "output_invalid",
    "rpc_failure",
    "says_something",
    "status_failure",
    "two_outcomes",
]

_TOO_LARGE: Final = "larger than max"
"""How gRPC says that a message is over the limit; RESOURCE_EXHAUSTED alone may be anybody's quota."""
_DEADLINE: Final = ("deadline exceeded", "rst stream")
"""How all say that the time of a call is over; a server that notices first may reset it, as Go's does."""
_EARLY: Final = 1.0
"""With more seconds left than this, it is not the time of the call that is over: clocks differ by less."""
_NEVER_CONNECTED: Final = "failed to connect to all addresses"
"""How gRPC says that a call was not sent, as there was no connection to send it over."""
_SAID: Final = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.DATA_LOSS,
    }
)
"""What no gRPC library makes by itself, so somebody meant it (grpc/doc/statuscodes.md)."""
_OURS: Final = frozenset({Code.OK, Code.UNKNOWN, Code.INTERNAL})
"""What would look like a fault of ours, or like none."""


def output_invalid(call: ActionCall, violations: Sequence[Violation]) -> PreconditionError:
    """Say that an action answered what is no output."""
    return PreconditionError(
        f"{call.service}.{call.action} answered what is no output: {violations[0]}",
        reason=Reason.ACTION_OUTPUT_INVALID,
        metadata=call.names(),
        violations=violations,
    )


def says_something(output: bytes) -> bool:
    """Tell whether JSON text is more than an empty object, which some write where there is nothing to say."""
    return output.strip() not in {b"", b"{}"}


def two_outcomes(call: ActionCall) -> PreconditionError:
    """Say that an answer has an output, and says that there is none yet: which is meant cannot be told."""
    words = "came together with pending, which says that there is none yet"
    return output_invalid(call, [Violation("output", words, Rule.PAYLOAD_INVALID)])


def rpc_failure(
    rpc_error: grpc.aio.AioRpcError,
    call: ActionCall,
    endpoint: Endpoint,
    timeout: float,
    unserved: str,
    *,
    own_code: bool = False,
    left: float = 0.0,
) -> WeftError:
    """Say what a failed call means for the caller.

    An error with details is the provider's own word and passes unchanged; one
    without was made by gRPC, or by a server that let an exception escape.

    Args:
        rpc_error: What the call raised.
        call: What was called.
        endpoint: Where.
        timeout: Seconds that it was given.
        unserved: What it means that the server does not know the method.
        own_code: Whether the code of an error without details is the provider's
            own word as well.
        left: Seconds of its time that were left when it failed.
    """
    error = error_from_rpc(rpc_error, call.service)
    if any(key == STATUS_DETAILS for key, _ in rpc_error.trailing_metadata() or ()):
        return _own_word(error, call, own_code=own_code, reasoned=gives_reason(rpc_error))
    details = rpc_error.details() or ""
    if left > _EARLY and isinstance(error, DeadlineExceededError):
        return _provider_late(error, call, _where(call, endpoint))
    return _bare(error, details, call, endpoint, timeout, unserved, own_code=own_code)


def status_failure(
    status: status_pb2.Status, call: ActionCall, endpoint: Endpoint, timeout: float
) -> WeftError:
    """Say what a failed invocation of a stream means: the same as if the call had failed with its status.

    Args:
        status: As the provider sent it.
        call: What was called.
        endpoint: Where.
        timeout: Seconds that it was given.
    """
    error = error_from_code(status.code, status.message, call.service)
    if not status.details:
        return _bare(error, status.message, call, endpoint, timeout, "has no such action", own_code=False)
    with suppress(DecodeError, ValueError, OverflowError):  # details that nobody can read
        error = from_status(status)
    return _own_word(error, call, own_code=False, reasoned=_has_reason(status))


def _bare(
    error: WeftError,
    details: str,
    call: ActionCall,
    endpoint: Endpoint,
    timeout: float,
    unserved: str,
    *,
    own_code: bool,
) -> WeftError:
    """Say what a status without details means."""
    where = _where(call, endpoint)
    if isinstance(error, DeadlineExceededError):
        return _late(error, call, where, timeout)
    if is_too_large(error):
        return ExhaustedError(
            f"{where}: {error.message}", reason=Reason.ACTION_OUTPUT_TOO_LARGE, metadata=call.names()
        )
    if error.code is Code.UNIMPLEMENTED:
        return ResourceNotFoundError("action", call.action, message=f"{where} {unserved}")
    if details.startswith(_NEVER_CONNECTED):
        return UnreachableError(call.service, f"{where} cannot be connected: {details}")
    if isinstance(error, ServiceUnavailableError | CallCancelledError):
        return ServiceUnavailableError(
            call.service,
            f"the connection to {where} broke during the call{f': {details}' if details else ''}",
            reason=Reason.ACTION_UNAVAILABLE,
            metadata=call.names(),
        )
    keep = (own_code and error.code not in _OURS) or _is_meant(error)
    code = error.code if keep else Code.ABORTED
    return ActionFailedError(f"{where} failed: {error.message}", code=code, metadata=call.names())


def _is_meant(error: WeftError) -> bool:
    return isinstance(error, ExhaustedError) or error.code in _SAID


def _where(call: ActionCall, endpoint: Endpoint) -> str:
    return f"{call.service}.{call.action} at {endpoint.address}"


def is_too_large(error: WeftError) -> bool:
    """Tell whether gRPC says that a message is over the limit; any other exhaustion is the provider's."""
    return isinstance(error, ExhaustedError) and _TOO_LARGE in error.message


def gives_reason(rpc_error: grpc.aio.AioRpcError) -> bool:
    """Tell whether an error says why in an ErrorInfo; of one that does not, no reason is known.

    What stands in for the reason of our own errors would be a guess, and wrong:
    FAILED_PRECONDITION of any service does not mean that one is inactive.
    """
    for key, value in rpc_error.trailing_metadata() or ():
        if key == STATUS_DETAILS and isinstance(value, bytes):
            with suppress(DecodeError):
                return _has_reason(status_pb2.Status.FromString(value))
    return False


def _has_reason(status: status_pb2.Status) -> bool:
    info = error_details_pb2.ErrorInfo()
    with suppress(DecodeError):
        return any(detail.Unpack(info) and info.reason for detail in status.details)
    return False


def _late(error: WeftError, call: ActionCall, where: str, timeout: float) -> WeftError:
    """Tell our own deadline from one that the provider had and speaks of."""
    said = error.message.lower().replace("_", " ")
    if any(words in said for words in _DEADLINE):
        return action_timeout(call, timeout)
    return _provider_late(error, call, where)


def _provider_late(error: WeftError, call: ActionCall, where: str) -> WeftError:
    """Say that somebody further on was too late for the provider."""
    return DeadlineExceededError(
        f"{where} failed: {error.message}", reason=Reason.ACTION_TIMEOUT, metadata=call.names()
    )


def _own_word(error: WeftError, call: ActionCall, *, own_code: bool, reasoned: bool) -> WeftError:
    """Take a provider at its word, where that can be.

    UNKNOWN and INTERNAL would look like a fault of ours, and OK is no error. Where
    the details give no reason, none of ours is put in its place. A provider that
    says itself that it is stopping has refused the call, so it certainly did not
    run; what it passes on of somebody further on proves nothing.
    """
    if is_refusal(error, call.service):
        return UnreachableError(call.service, error.message)
    if not reasoned:
        return _without_reason(error, call, own_code=own_code)
    if isinstance(error, UnexpectedStatusError) or error.code in _OURS:
        code = error.code if own_code and error.code not in _OURS else Code.ABORTED
        return ActionFailedError(
            error.message,
            reason=error.reason,
            code=code,
            metadata=error.metadata,
            violations=error.violations,
            retry_after=error.retry_after,
        )
    return error


def _without_reason(error: WeftError, call: ActionCall, *, own_code: bool) -> WeftError:
    """Say what a status with details means that has no reason: as one without details, in its own words."""
    if isinstance(error, ValidationError) and any(fault.field for fault in error.violations):
        return error  # which input is wrong, and why, means the same whoever says it
    if isinstance(error, ServiceUnavailableError | CallCancelledError):
        return ServiceUnavailableError(
            call.service,
            error.message,
            reason=Reason.ACTION_UNAVAILABLE,
            metadata=call.names(),
            retry_after=error.retry_after,
        )
    if isinstance(error, DeadlineExceededError):
        return DeadlineExceededError(
            error.message,
            reason=Reason.ACTION_TIMEOUT,
            metadata=call.names(),
            retry_after=error.retry_after,
        )
    keep = (own_code or _is_meant(error)) and error.code not in _OURS
    return ActionFailedError(
        error.message,
        code=error.code if keep else Code.ABORTED,
        metadata=call.names(),
        violations=() if isinstance(error, ValidationError) else error.violations,
        retry_after=error.retry_after,
    )
