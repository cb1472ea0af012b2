"""HTTP by name: any service that speaks HTTP, found, balanced, retried and traced like any other."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from weft.core.clock import Clock, SystemClock
from weft.core.context import current_deadline
from weft.core.errors import DeadlineExceededError, ValidationError, Violation
from weft.core.reasons import Reason
from weft.mesh.http.attempt import Attempt, Means
from weft.mesh.http.call import HttpCall
from weft.mesh.http.config import HttpConfig
from weft.mesh.http.faults import BrokenError, HttpFault
from weft.mesh.http.pool import HttpPool
from weft.mesh.http.request import HttpData, HttpParams, PreparedRequest, prepare
from weft.mesh.http.response import HttpResponse
from weft.mesh.http.tracing import NO_HTTP_TRACING, HttpCallTracer
from weft.mesh.policies.retry import RandomSource
from weft.mesh.route import Route

__all__ = ["HttpCaller", "HttpStream"]

_DATA_IN_QUERY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class HttpStream:
    """An answer whose body is read as it arrives.

    Attributes:
        status: Such as 200.
        headers: By name, in any case.
        instance_id: Who answers; empty for a bare address.
    """

    def __init__(self, call: HttpCall, attempt: Attempt) -> None:
        self._call = call
        self._attempt = attempt
        self.status = attempt.status
        self.headers = attempt.headers
        self.instance_id = attempt.node.endpoint.instance_id

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces of any size; nothing is kept, so there is no limit to it.

        Raises:
            ServiceUnavailableError: ACTION_UNAVAILABLE: the connection broke before its end.
            DeadlineExceededError: The peer fell silent, or time ran out.
        """
        try:
            async for chunk in self._attempt.chunks():
                yield chunk
        except HttpFault as fault:
            raise self._call.error(fault, self._attempt) from None


class HttpCaller:
    """Calls HTTP services by their names.

    A request that cannot be connected goes to the next instance. One that was sent is
    sent again only when that does no harm: GET, HEAD, OPTIONS, PUT, DELETE, or any with
    an ``idempotency-key``; then on a broken connection, 502, 503, 504, and 429 that says
    when. Redirects are not followed.

    Args:
        routes: Gives the route to a service, which picks endpoints that speak HTTP: ``http_routes(mesh)``.
        pool: Connections; by default one of its own.
        config: Timeouts, retries, limits.
        tracer: What happens around each attempt.
        clock: For deadlines and pauses.
        chance: For jitter.
    """

    def __init__(
        self,
        routes: Callable[[str], Route],
        *,
        pool: HttpPool | None = None,
        config: HttpConfig | None = None,
        tracer: HttpCallTracer = NO_HTTP_TRACING,
        clock: Clock | None = None,
        chance: RandomSource | None = None,
    ) -> None:
        self._routes = routes
        config = config or HttpConfig()
        self._own_pool = HttpPool(tls=config.tls) if pool is None else None
        self._means = Means(
            pool=pool or self._own_pool or HttpPool(),
            config=config,
            tracer=tracer,
            clock=clock or SystemClock(),
        )
        self._chance = chance or random

    async def call_service(
        self,
        service: str,
        endpoint: str,
        method: str = "POST",
        data: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta | None = None,
        hash_key: str = "",
    ) -> Any:
        """Call an endpoint of a service with JSON, and return the JSON that it answers.

        Args:
            service: Its name or target, such as ``orders`` or ``consul://orders?version=^1.2``.
            endpoint: Path below the instance's own; with or without the first ``/``.
            method: In any case.
            data: Sent as JSON; as a query with GET, HEAD, OPTIONS and DELETE.
            headers: Further ones.
            timeout: For everything; by default that of the config. The deadline of the call
                that is being served shortens it.
            hash_key: What the balancer ``consistent_hash`` keeps together.

        Returns:
            The value; None for an empty body.

        Raises:
            ValidationError: Every fault of the arguments.
            ServiceUnavailableError: NO_INSTANCE, or ACTION_UNAVAILABLE.
            DeadlineExceededError: DEADLINE_EXCEEDED, or ACTION_TIMEOUT.
            ActionFailedError: What another status than 2xx means; its own reason, or ``HTTP_<status>``.
            PreconditionError: ACTION_OUTPUT_INVALID: the answer is not JSON. VERSION_NOT_AVAILABLE.
            ExhaustedError: ACTION_OUTPUT_TOO_LARGE.
        """
        path = endpoint if endpoint.startswith("/") else f"/{endpoint}"
        headers = {"accept": "application/json", **(headers or {})}
        limit = self._means.config.max_body_bytes
        route, faults = self._route(service)
        if method.upper() in _DATA_IN_QUERY:
            params, more = _as_query(data)
            request = prepare(method, path, None, headers, params, limit=limit, faults=faults + more)
        else:
            request = prepare(method, path, data, headers, limit=limit, json=True, faults=faults)
        response = await self._whole(_known(route), request, timeout, hash_key)
        response.raise_for_status()
        return response.json()

    async def request(
        self,
        service: str,
        method: str,
        path: str,
        data: HttpData = None,
        headers: Mapping[str, str] | None = None,
        *,
        params: HttpParams | None = None,
        timeout: timedelta | None = None,
        hash_key: str = "",
    ) -> HttpResponse:
        """Send a request to a service and return the complete answer, whatever its status.

        Args:
            service: Its name or target.
            method: In any case.
            path: Below the instance's own; begins with ``/`` and may carry a query.
            data: Bytes, text, pieces of bytes, or any value that JSON can say.
            headers: Further ones.
            params: Added to the query.
            timeout: As in ``call_service``.
            hash_key: As in ``call_service``.

        Raises:
            ValidationError: Every fault of the arguments.
            ServiceUnavailableError: NO_INSTANCE, or ACTION_UNAVAILABLE.
            DeadlineExceededError: DEADLINE_EXCEEDED, or ACTION_TIMEOUT.
            PreconditionError: VERSION_NOT_AVAILABLE.
            ExhaustedError: ACTION_OUTPUT_TOO_LARGE.
        """
        route, request = self._prepare(service, method, path, data, headers, params)
        return await self._whole(route, request, timeout, hash_key)

    @asynccontextmanager
    async def stream(
        self,
        service: str,
        method: str,
        path: str,
        data: HttpData = None,
        headers: Mapping[str, str] | None = None,
        *,
        params: HttpParams | None = None,
        timeout: timedelta | None = None,
        hash_key: str = "",
    ) -> AsyncIterator[HttpStream]:
        """Send a request and read the answer as it arrives; arguments and errors as of ``request``.

        Nothing is sent again once the head of the answer is there.
        """
        route, request = self._prepare(service, method, path, data, headers, params)
        route.running += 1
        try:
            call = self._call(route, request, timeout, hash_key)
            attempt = await call.open()
            try:
                yield HttpStream(call, attempt)
            finally:
                attempt.end()
        finally:
            route.running -= 1

    async def close(self) -> None:
        """Close every connection of its own."""
        if self._own_pool is not None:
            await self._own_pool.close()

    async def _whole(
        self, route: Route, request: PreparedRequest, timeout: timedelta | None, hash_key: str
    ) -> HttpResponse:
        route.running += 1
        try:
            call = self._call(route, request, timeout, hash_key)
            while True:
                attempt = await call.open()
                try:
                    return _response(call, attempt, await attempt.read())
                except BrokenError as fault:
                    if not await call.again(attempt):
                        raise call.error(fault, attempt) from None
                except HttpFault as fault:
                    raise call.error(fault, attempt) from None
        finally:
            route.running -= 1

    def _call(
        self, route: Route, request: PreparedRequest, timeout: timedelta | None, hash_key: str
    ) -> HttpCall:
        return HttpCall(
            self._means,
            route,
            request,
            total=self._total(route, timeout),
            chance=self._chance,
            hash_key=hash_key,
        )

    def _total(self, route: Route, timeout: timedelta | None) -> float:
        """Return the seconds for a call: never more than whom we serve will wait."""
        total = (self._means.config.timeouts.total if timeout is None else timeout).total_seconds()
        deadline = current_deadline()
        left = total if deadline is None else min(total, deadline - time.monotonic())
        if left <= 0:
            raise DeadlineExceededError(
                f"no time is left for a call of {route.service}",
                reason=Reason.DEADLINE_EXCEEDED,
                metadata={"service": route.service},
            )
        return left

    def _prepare(
        self,
        service: str,
        method: str,
        path: str,
        data: HttpData,
        headers: Mapping[str, str] | None,
        params: HttpParams | None,
    ) -> tuple[Route, PreparedRequest]:
        route, faults = self._route(service)
        limit = self._means.config.max_body_bytes
        request = prepare(method, path, data, headers, params, limit=limit, faults=faults)
        return _known(route), request

    def _route(self, service: str) -> tuple[Route | None, tuple[Violation, ...]]:
        """Return the route, or what is wrong with the target."""
        try:
            return self._routes(service), ()
        except ValidationError as error:
            return None, error.violations


def _known(route: Route | None) -> Route:
    assert route is not None, "a target with faults does not get this far"
    return route


def _as_query(data: Any) -> tuple[HttpParams, tuple[Violation, ...]]:
    if data is None or isinstance(data, Mapping):
        return data or {}, ()
    return {}, (Violation("data", "must be an object of plain values: it becomes the query"),)


def _response(call: HttpCall, attempt: Attempt, body: bytes) -> HttpResponse:
    return HttpResponse(
        status=attempt.status,
        headers=attempt.headers,
        body=body,
        instance_id=attempt.node.endpoint.instance_id,
        subject=call.subject(attempt),
        attempts=call.sent,
        retry_after=call.retry_after(attempt.headers),
    )
