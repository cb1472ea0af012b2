"""Errors to ``google.rpc.Status`` and back: the only place that packs details.

Each status carries exactly one ``ErrorInfo`` and, where they fit, one each of
``BadRequest``, ``ResourceInfo``, ``RetryInfo`` and ``PreconditionFailure``
(AIP-193). The exception that a client raises is of the class that the server
raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from weft.core.errors import (
    ActionFailedError,
    AlreadyExistsError,
    CallCancelledError,
    Code,
    ConflictError,
    DeadlineExceededError,
    ExhaustedError,
    InternalError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    UnexpectedStatusError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.reasons import DOMAIN, Reason

__all__ = ["clip", "from_code", "from_status", "to_status"]

_MAX_VIOLATIONS = 100
_MAX_VIOLATION_BYTES = 3_000
_MAX_METADATA_BYTES = 1_000
_MAX_MESSAGE_BYTES = 600
_MAX_VALUE_BYTES = 300
"""A status travels, in base64, in trailing metadata, of which gRPC lets about 8 KB through: these
limits keep it below 7 KB, whatever the error holds."""


def to_status(error: WeftError) -> status_pb2.Status:
    """Pack an error, small enough for the trailing metadata of a call."""
    message = clip(error.message, _MAX_MESSAGE_BYTES)
    status = status_pb2.Status(code=int(error.code), message=message)
    for detail in _details(error):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _details(
    error: WeftError,
) -> list[
    error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.ResourceInfo
    | error_details_pb2.RetryInfo
    | error_details_pb2.PreconditionFailure
]:
    found: list[
        error_details_pb2.ErrorInfo
        | error_details_pb2.BadRequest
        | error_details_pb2.ResourceInfo
        | error_details_pb2.RetryInfo
        | error_details_pb2.PreconditionFailure
    ] = [
        error_details_pb2.ErrorInfo(
            reason=clip(str(error.reason), 63), domain=error.domain, metadata=_metadata(error)
        )
    ]
    if error.violations:
        found.append(_bad_request(error))
    if isinstance(error, ResourceNotFoundError):
        found.append(
            error_details_pb2.ResourceInfo(
                resource_type=clip(error.resource_type, 64),
                resource_name=clip(error.resource_id, 200),
                description=clip(error.message, _MAX_VALUE_BYTES),
            )
        )
    if isinstance(error, PreconditionError):
        failure = error_details_pb2.PreconditionFailure()
        failure.violations.add(type=error.reason, description=clip(error.message, _MAX_VALUE_BYTES))
        found.append(failure)
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromTimedelta(error.retry_after)
        found.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return found


def _metadata(error: WeftError) -> dict[str, str]:
    """Return as many entries as fit, in their order."""
    kept: dict[str, str] = {}
    size = 0
    for key, value in error.metadata.items():
        short_key, short_value = clip(key, 64), clip(str(value), _MAX_VALUE_BYTES)
        size += len(short_key.encode()) + len(short_value.encode()) + 8
        if size > _MAX_METADATA_BYTES:
            break
        kept[short_key] = short_value
    return kept


def _bad_request(error: WeftError) -> error_details_pb2.BadRequest:
    """List the violations; when they do not all fit, the last entry says how many more."""
    packed = error_details_pb2.BadRequest()
    size = 0
    for number, violation in enumerate(error.violations):
        field, text = clip(violation.field, 200), clip(violation.description, 400)
        size += len(field.encode()) + len(text.encode()) + len(violation.reason) + 16
        if number >= _MAX_VIOLATIONS or size > _MAX_VIOLATION_BYTES:
            left = len(error.violations) - number
            packed.field_violations.add(description=f"and {left} more", reason="MORE")
            break
        packed.field_violations.add(field=field, description=text, reason=violation.reason)
    return packed


def from_status(status: status_pb2.Status) -> WeftError:
    """Rebuild the error that a peer packed."""
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for packed in status.details:
        for detail in (info, bad, retry):
            packed.Unpack(detail)  # leaves it alone when the type is another
    retry_after = _delay(retry)
    violations = tuple(Violation(v.field, v.description, v.reason or "INVALID") for v in bad.field_violations)
    if info.domain == DOMAIN or not info.reason:
        return _own_error(status, info.reason, dict(info.metadata), violations, retry_after)
    return ActionFailedError(
        status.message,
        reason=info.reason,
        code=_code(status.code),
        metadata=dict(info.metadata),
        violations=violations,
        retry_after=retry_after,
    )


def _delay(retry: error_details_pb2.RetryInfo) -> timedelta | None:
    """Return how long to wait; None where it does not say, or says a time that there is not."""
    if not retry.HasField("retry_delay"):
        return None
    try:
        delay: timedelta = retry.retry_delay.ToTimedelta()
    except (ValueError, OverflowError):  # such as the largest integer that there is
        return None
    return max(delay, timedelta())


def from_code(code: int, message: str, metadata: Mapping[str, str] | None = None) -> WeftError:
    """Rebuild an error from a status without details, such as one made by gRPC itself."""
    return _own_error(status_pb2.Status(code=code, message=message), "", dict(metadata or {}), (), None)


def _own_error(
    status: status_pb2.Status,
    reason: str,
    metadata: dict[str, str],
    violations: tuple[Violation, ...],
    retry_after: timedelta | None,
) -> WeftError:
    code = _code(status.code)
    message = status.message
    if code is Code.INVALID_ARGUMENT:
        faults = violations or (Violation("", message),)
        return ValidationError(faults, message=message, reason=reason or None, metadata=metadata)
    if code is Code.NOT_FOUND and "resource_type" in metadata:
        return ResourceNotFoundError(
            metadata["resource_type"],
            metadata.get("resource_id", ""),
            message=message,
            reason=reason,
            metadata=metadata,
        )
    if code is Code.UNAVAILABLE:
        return ServiceUnavailableError(
            metadata.get("service", "weft"),
            message,
            reason=reason or None,
            metadata=metadata,
            retry_after=retry_after,
        )
    if code is Code.INTERNAL and reason:
        return InternalError(message, reason=reason, metadata=metadata)
    simple = _SIMPLE.get(code)
    if simple is None:
        return UnexpectedStatusError(
            message,
            code=code,
            reason=reason or None,
            metadata=metadata,
            violations=violations,
            retry_after=retry_after,
        )
    return simple(
        message,
        reason=reason or (Reason.MESSAGE_TOO_LARGE if code is Code.RESOURCE_EXHAUSTED else None),
        metadata=metadata,
        violations=violations,
        retry_after=retry_after,
    )


_SIMPLE: dict[Code, type[WeftError]] = {
    Code.ALREADY_EXISTS: AlreadyExistsError,
    Code.FAILED_PRECONDITION: PreconditionError,
    Code.ABORTED: ConflictError,
    Code.RESOURCE_EXHAUSTED: ExhaustedError,
    Code.DEADLINE_EXCEEDED: DeadlineExceededError,
    Code.CANCELLED: CallCancelledError,
}


def _code(number: int) -> Code:
    try:
        return Code(number)
    except ValueError:
        return Code.UNKNOWN


def clip(text: str, limit: int) -> str:
    """Cut a text to that many bytes of UTF-8, and make it UTF-8 where it is none."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"
