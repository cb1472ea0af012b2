"""The answer to an HTTP call by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.message import Message
from typing import Any

import orjson

from weft.core.errors import MaxRetriesExceededError, PreconditionError, WeftError
from weft.core.reasons import Reason
from weft.mesh.http.status import Subject, status_error

__all__ = ["HttpResponse"]

_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A complete answer, whatever its status."""

    status: int
    """Such as 200."""
    headers: Mapping[str, str]
    """By name, in any case; of a name that stands there twice the first."""
    body: bytes
    """All of it, decompressed."""
    instance_id: str
    """Who answered; empty for a bare address."""
    subject: Subject
    """What was called, for errors."""
    attempts: int = 1
    """How many times the request was sent."""
    retry_after: timedelta | None = None
    """How long the answer asks to wait."""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def text(self) -> str:
        """Return the body as text, in the charset that it names, else UTF-8."""
        try:
            return self.body.decode(_charset(self.headers.get("content-type", "")), errors="replace")
        except LookupError:
            return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Return the value of a body that is JSON; None for an empty one.

        Raises:
            PreconditionError: ACTION_OUTPUT_INVALID: it is not JSON.
        """
        if not self.body.strip():
            return None
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            kind = self.headers.get("content-type", "no content type")
            start = self.body[:_SHOWN].decode(errors="replace")
            raise PreconditionError(
                f"{self.subject.label} answered what is not JSON ({kind}): {error}; it begins with {start!r}",
                reason=Reason.ACTION_OUTPUT_INVALID,
                metadata=self._names(),
            ) from None

    def raise_for_status(self) -> None:
        """Raise what a status other than 2xx means.

        Raises:
            ActionFailedError: The service's own failure; its reason, or ``HTTP_<status>``.
            ServiceUnavailableError: ACTION_UNAVAILABLE for 502 and 503.
            DeadlineExceededError: ACTION_TIMEOUT for 408 and 504.
            MaxRetriesExceededError: It was unavailable at every attempt.
        """
        if self.ok:
            return
        error = status_error(self.status, self.body, self.subject, wait=self.retry_after)
        error.metadata.update(self._names())
        raise _after(self.attempts, error)

    def _names(self) -> dict[str, str]:
        return {**self.subject.names, "instance_id": self.instance_id, "http_status": str(self.status)}


def _after(attempts: int, error: WeftError) -> WeftError:
    return MaxRetriesExceededError(attempts, error) if error.retryable and attempts > 1 else error


def _charset(content_type: str) -> str:
    message = Message()
    message["content-type"] = content_type
    return message.get_content_charset("utf-8")
