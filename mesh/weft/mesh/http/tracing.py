"""What an HTTP call by name asks of tracing: one span per attempt, and the headers that carry it on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from weft.discovery.model import Endpoint

__all__ = ["NO_HTTP_TRACING", "HttpCallTracer", "NoHttpTracing"]


class HttpCallTracer(Protocol):
    """Traces outgoing HTTP requests."""

    def start(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        service: str,
        endpoint: Endpoint,
        attempt: int,
        balancer: str,
    ) -> tuple[Any, Mapping[str, str]]:
        """Begin the span of one attempt.

        Args:
            method: Such as ``GET``.
            url: All of it.
            headers: What the caller sends; names in lower case.
            service: The mesh's name of the service.
            endpoint: Who is called.
            attempt: 1, 2, …
            balancer: Which policy chose the endpoint.

        Returns:
            The span (None when nothing is recorded) and the headers to send, with the
            trace context in them.
        """
        ...

    def end(self, span: Any, status: int, problem: str | None) -> None:
        """End a span that was begun.

        Args:
            span: What ``start`` returned.
            status: Of the answer; 0 when there was none.
            problem: What went wrong when there was no complete answer.
        """
        ...


class NoHttpTracing:
    """Records nothing and adds nothing."""

    def start(
        self,
        method: str,  # noqa: ARG002 - the port's
        url: str,  # noqa: ARG002 - the port's
        headers: Mapping[str, str],
        *,
        service: str,  # noqa: ARG002 - the port's
        endpoint: Endpoint,  # noqa: ARG002 - the port's
        attempt: int,  # noqa: ARG002 - the port's
        balancer: str,  # noqa: ARG002 - the port's
    ) -> tuple[None, Mapping[str, str]]:
        """Return the headers as they are."""
        return None, headers

    def end(self, span: None, status: int, problem: str | None) -> None:
        """Do nothing."""


NO_HTTP_TRACING = NoHttpTracing()
"""For calls that are not traced."""
