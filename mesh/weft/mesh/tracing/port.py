"""What a call asks of tracing: one span per attempt, and the headers that carry it on."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from weft.discovery.model import Endpoint

__all__ = ["NO_TRACING", "CallTracer", "Metadata", "NoTracing"]

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


class CallTracer(Protocol):
    """Traces outgoing RPCs."""

    def start(
        self,
        method: str,
        metadata: Metadata,
        *,
        service: str,
        endpoint: Endpoint,
        attempt: int,
        balancer: str,
    ) -> tuple[Any, Metadata]:
        """Begin the span of one attempt.

        Args:
            method: Full name, such as ``/shop.v1.Carts/GetCart``.
            metadata: What the caller sends.
            service: The mesh's name of the service.
            endpoint: Who is called.
            attempt: 1, 2, …
            balancer: Which policy chose the endpoint.

        Returns:
            The span (None when nothing is recorded) and the metadata to send, with
            the trace context in it.
        """
        ...

    def end(self, span: Any, code: int, details: str | None) -> None:
        """End a span that was begun; ``code`` is the number of the gRPC status."""
        ...


class NoTracing:
    """Records nothing and adds nothing."""

    def start(
        self,
        method: str,  # noqa: ARG002 - the port's
        metadata: Metadata,
        *,
        service: str,  # noqa: ARG002 - the port's
        endpoint: Endpoint,  # noqa: ARG002 - the port's
        attempt: int,  # noqa: ARG002 - the port's
        balancer: str,  # noqa: ARG002 - the port's
    ) -> tuple[None, Metadata]:
        """Return the metadata as it is."""
        return None, metadata

    def end(self, span: None, code: int, details: str | None) -> None:
        """Do nothing."""


NO_TRACING = NoTracing()
"""For calls that are not traced."""
