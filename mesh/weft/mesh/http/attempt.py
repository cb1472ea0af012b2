"""One attempt: one request at one instance, counted and traced from its begin to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from weft.core.clock import Clock
from weft.core.metadata import TIMEOUT
from weft.mesh.balancing import Node
from weft.mesh.http.config import HttpConfig
from weft.mesh.http.faults import HttpFault
from weft.mesh.http.pool import HttpAnswer, HttpPool, WireRequest
from weft.mesh.http.request import PreparedRequest
from weft.mesh.http.tracing import HttpCallTracer
from weft.mesh.http.wire import join_url
from weft.mesh.route import Route

__all__ = ["Attempt", "Means"]

_FAILED_FROM = 500
_NOT_IMPLEMENTED = 501


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every attempt of a caller works with."""

    pool: HttpPool
    """Connections."""
    config: HttpConfig
    """How calls are made."""
    tracer: HttpCallTracer
    """What happens around an attempt."""
    clock: Clock
    """For deadlines and pauses."""


class Attempt:
    """One request at one instance. End it, whatever happens.

    Args:
        means: What it works with.
        route: Where the instance was picked.
        node: The instance.
        request: What to send.
        number: 1, 2, …
    """

    def __init__(self, means: Means, route: Route, node: Node, request: PreparedRequest, number: int) -> None:
        self._means = means
        self._route = route
        self.node = node
        self.url = join_url(node.endpoint, request.path)
        self._request = request
        self._started = means.clock.monotonic()
        self._answer: HttpAnswer | None = None
        self._ended = False
        self._span, self._headers = means.tracer.start(
            request.method,
            self.url,
            request.headers,
            service=route.service,
            endpoint=node.endpoint,
            attempt=number,
            balancer=route.policy,
        )

    @property
    def status(self) -> int:
        """Status of the answer; 0 before there is one."""
        return self._answer.status if self._answer is not None else 0

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer, by name in any case."""
        return self._answer.headers if self._answer is not None else {}

    async def open(self, total: float) -> None:
        """Send the request and wait for the head of the answer.

        Args:
            total: Seconds that are left for all of it; the peer is told.

        Raises:
            HttpFault: There is none.
        """
        request = WireRequest(
            method=self._request.method,
            url=self.url,
            headers={**self._headers, TIMEOUT: str(max(1, int(total * 1_000)))},
            body=self._request.body,
            repeatable=self._request.repeatable,
        )
        try:
            self._answer = await self._means.pool.open(request, self._means.config.timeouts, total)
        except BaseException as error:
            self.end(error)
            raise

    async def read(self) -> bytes:
        """Return the body, and end the attempt.

        Raises:
            HttpFault: It is not complete, or too long.
        """
        assert self._answer is not None
        try:
            body = await self._answer.read(self._means.config.max_body_bytes)
        except BaseException as error:
            self.end(error)
            raise
        self.end()
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            HttpFault: It is not complete.
        """
        assert self._answer is not None
        try:
            async for chunk in self._answer.chunks():
                yield chunk
        except HttpFault as error:
            self.end(error)
            raise

    def end(self, error: BaseException | None = None) -> None:
        """Let go of the connection, and tell balancer and tracing how it went; only the first time counts."""
        if self._ended:
            return
        self._ended = True
        if self._answer is not None:
            self._answer.close()
        self._route.done(self.node, self._failed(error), self._means.clock.monotonic() - self._started)
        self._means.tracer.end(self._span, self.status, _text(error))

    def _failed(self, error: BaseException | None) -> bool | None:
        """Say whether it speaks against the instance; what the caller itself did says nothing."""
        if isinstance(error, HttpFault):
            return True
        if error is not None:
            return None
        return self.status >= _FAILED_FROM and self.status != _NOT_IMPLEMENTED


def _text(error: BaseException | None) -> str | None:
    if error is None:
        return None
    return str(error) if isinstance(error, HttpFault) else type(error).__name__
