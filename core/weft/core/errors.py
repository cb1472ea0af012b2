"""Everything that can go wrong, as types with stable reasons.

A class owns the canonical code and whether a repeat may help; the reason says
which fault it is. Compare reasons, never texts::

    WeftError
    ├── ValidationError          INVALID_ARGUMENT     faults of the input, all at once
    ├── ResourceNotFoundError    NOT_FOUND
    ├── AlreadyExistsError       ALREADY_EXISTS
    ├── PreconditionError        FAILED_PRECONDITION  right request, wrong state
    ├── ConflictError            ABORTED              somebody else was faster
    ├── ServiceUnavailableError  UNAVAILABLE          the only one that is retryable
    │   └── MaxRetriesExceededError                   … and was retried in vain
    ├── ExhaustedError           RESOURCE_EXHAUSTED   a limit; later or smaller
    ├── DeadlineExceededError    DEADLINE_EXCEEDED
    ├── CallCancelledError       CANCELLED
    ├── ActionFailedError        any                  an action's own failure
    ├── InternalError            INTERNAL             a defect of ours
    └── UnexpectedStatusError    any other            a peer that is not Weft
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import ClassVar

from weft.core.reasons import ACTION_DOMAIN, DOMAIN, Reason

__all__ = [
    "ActionFailedError",
    "AlreadyExistsError",
    "CallCancelledError",
    "Code",
    "ConflictError",
    "DeadlineExceededError",
    "ExhaustedError",
    "InternalError",
    "MaxRetriesExceededError",
    "PreconditionError",
    "ResourceNotFoundError",
    "ServiceUnavailableError",
    "UnexpectedStatusError",
    "ValidationError",
    "Violation",
    "WeftError",
]


class Code(IntEnum):
    """The canonical codes of gRPC (google.rpc.Code)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of an input, by its path."""

    field: str
    """Dotted path, such as ``steps[1].next``; empty for the input as a whole."""
    description: str
    """For a person."""
    reason: str = "INVALID"
    """UPPER_SNAKE_CASE, for a program."""

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


class WeftError(Exception):
    """Base of every failure that Weft reports on purpose.

    Attributes:
        code: The canonical code, owned by the class.
        retryable: Whether the same call may succeed later without a change.
        domain: Whose reason it is: ours, or an action's own.
        reason: UPPER_SNAKE_CASE and stable; see ``docs/errors.md``.
        message: For a person; may change between releases.
        metadata: Every dynamic value of the message.
        violations: The faults of an input, when that is the cause.
        retry_after: How long the server asks to wait, when it says so.
    """

    code: Code = Code.UNKNOWN
    retryable: ClassVar[bool] = False
    domain: ClassVar[str] = DOMAIN
    default_reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason: str = reason if reason is not None else self.default_reason
        self.metadata: dict[str, str] = dict(metadata or {})
        self.violations: tuple[Violation, ...] = tuple(violations)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Be copied as it stands: between processes, too, where a class takes more than the message."""
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(kind: type[WeftError], args: tuple[object, ...], state: dict[str, object]) -> WeftError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ValidationError(WeftError):
    """The input has faults; all of them are listed."""

    code = Code.INVALID_ARGUMENT
    default_reason = Reason.VALIDATION_FAILED

    def __init__(
        self,
        violations: Sequence[Violation],
        *,
        message: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        text = message if message is not None else "; ".join(str(v) for v in violations[:20])
        super().__init__(text, reason=reason, metadata=metadata, violations=violations)

    @property
    def validation_errors(self) -> list[dict[str, str]]:
        """The faults as plain records with ``field``, ``description`` and ``reason``."""
        return [{"field": v.field, "description": v.description, "reason": v.reason} for v in self.violations]


class ResourceNotFoundError(WeftError):
    """What the request names does not exist."""

    code = Code.NOT_FOUND
    default_reason = Reason.SERVICE_NOT_FOUND

    def __init__(
        self,
        resource_type: str,
        resource_id: str,
        *,
        message: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            message or f"{resource_type} {resource_id!r} does not exist",
            reason=reason or f"{resource_type.upper().replace(' ', '_')}_NOT_FOUND",
            metadata={"resource_type": resource_type, "resource_id": resource_id, **(metadata or {})},
        )

    @property
    def resource_type(self) -> str:
        """What kind of thing is missing, such as ``workflow``."""
        return self.metadata["resource_type"]

    @property
    def resource_id(self) -> str:
        """The id or name that was asked for."""
        return self.metadata["resource_id"]


class AlreadyExistsError(WeftError):
    """A name or key is taken."""

    code = Code.ALREADY_EXISTS
    default_reason = Reason.SERVICE_EXISTS


class PreconditionError(WeftError):
    """The request is right, the state it needs is not there."""

    code = Code.FAILED_PRECONDITION
    default_reason = Reason.SERVICE_INACTIVE


class ConflictError(WeftError):
    """Somebody changed the resource in between: read it again and decide."""

    code = Code.ABORTED
    default_reason = Reason.ETAG_MISMATCH


class ServiceUnavailableError(WeftError):
    """Nobody can answer now; the same call may succeed later."""

    code = Code.UNAVAILABLE
    retryable = True
    default_reason = Reason.UNAVAILABLE

    def __init__(
        self,
        service_name: str,
        message: str | None = None,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(
            message or f"{service_name} is unavailable",
            reason=reason,
            metadata={"service": service_name, **(metadata or {})},
            retry_after=retry_after,
        )

    @property
    def service_name(self) -> str:
        """Who did not answer."""
        return self.metadata["service"]


class MaxRetriesExceededError(ServiceUnavailableError):
    """Every attempt failed; the last failure is kept."""

    def __init__(self, attempts: int, last_error: WeftError) -> None:
        service = last_error.metadata.get("service", "weft")
        super().__init__(
            service,
            f"gave up after {attempts} attempts: {last_error}",
            reason=last_error.reason,
            metadata=last_error.metadata,
            retry_after=last_error.retry_after,
        )
        self.attempts = attempts
        self.last_error = last_error


class ExhaustedError(WeftError):
    """A limit was reached; try a smaller input, or later when ``retry_after`` is set."""

    code = Code.RESOURCE_EXHAUSTED
    default_reason = Reason.ENGINE_FULL


class DeadlineExceededError(WeftError):
    """Time ran out. Whether the call had an effect is not known."""

    code = Code.DEADLINE_EXCEEDED
    default_reason = Reason.DEADLINE_EXCEEDED


class CallCancelledError(WeftError):
    """The caller gave up."""

    code = Code.CANCELLED
    default_reason = Reason.CANCELLED


class InternalError(WeftError):
    """A defect of ours; the log of the server has the details."""

    code = Code.INTERNAL
    default_reason = Reason.INTERNAL


class ActionFailedError(WeftError):
    """An action failed for a reason of its own.

    Raise it in an action to fail with a business reason::

        raise ActionFailedError("no such customer", reason="CUSTOMER_UNKNOWN", code=Code.NOT_FOUND)
    """

    code = Code.ABORTED
    domain = ACTION_DOMAIN
    default_reason = Reason.ACTION_FAILED

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        code: Code = Code.ABORTED,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: timedelta | float | None = None,
    ) -> None:
        wait = timedelta(seconds=retry_after) if isinstance(retry_after, int | float) else retry_after
        super().__init__(message, reason=reason, metadata=metadata, violations=violations, retry_after=wait)
        self.code = code


class UnexpectedStatusError(WeftError):
    """A peer answered with a status that Weft itself does not use."""

    def __init__(
        self,
        message: str,
        *,
        code: Code = Code.UNKNOWN,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(
            message,
            reason=reason or Reason.UNEXPECTED_STATUS,
            metadata=metadata,
            violations=violations,
            retry_after=retry_after,
        )
        self.code = code
