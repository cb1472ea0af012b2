"""Actions behind a plain HTTP endpoint: ``POST {endpoint}/{action}`` with JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from weft.core import metadata
from weft.core.errors import ExhaustedError
from weft.core.payload import MAX_PAYLOAD_BYTES
from weft.core.reasons import Reason
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, UnreachableError, action_timeout
from weft.mesh.http.faults import BrokenError, NotConnectedError, TimedOutError, TooLargeError
from weft.mesh.http.pool import HttpAnswer, HttpPool, WireRequest
from weft.mesh.http.status import Subject, retry_after, status_error, unavailable
from weft.mesh.http.timeouts import HttpTimeouts
from weft.mesh.http.tracing import NO_HTTP_TRACING, HttpCallTracer
from weft.mesh.http.wire import header_value, join_url

__all__ = ["HttpActionTransport"]


class HttpActionTransport:
    """Calls actions over one pooled HTTP client. Redirects are not followed.

    Args:
        connect_timeout: How long one connection may take to be made.
        pool: Connections that others use too; whoever made them closes them.
        tracer: What happens around each attempt.
        policy: Name of the policy that chooses the endpoints, for the spans.
    """

    def __init__(
        self,
        *,
        connect_timeout: timedelta = timedelta(seconds=5),
        pool: HttpPool | None = None,
        tracer: HttpCallTracer = NO_HTTP_TRACING,
        policy: str = "round_robin",
    ) -> None:
        self._tracer = tracer
        self._policy = policy
        self._connect_timeout = connect_timeout
        self._pool = pool or HttpPool()
        self._own_pool = self._pool if pool is None else None

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes:
        """Run an action: see ``ActionTransport.invoke``."""
        url = join_url(endpoint, f"/{call.action}")
        span, headers = self._tracer.start(
            "POST",
            url,
            _headers(call, timeout),
            service=call.service,
            endpoint=endpoint,
            attempt=call.attempt,
            balancer=self._policy,
        )
        call.given()
        try:
            answer, body = await self._post(url, headers, call, timeout)
        except BaseException as error:
            self._tracer.end(span, 0, str(error) or type(error).__name__)
            raise
        self._tracer.end(span, answer.status, None)
        return _output(answer, body, call)

    async def _post(
        self, url: str, headers: Mapping[str, str], call: ActionCall, timeout: float
    ) -> tuple[HttpAnswer, bytes]:
        request = WireRequest(method="POST", url=url, headers=headers, body=call.input)
        # An action may think for as long as its timeout allows: silence alone is no fault.
        whole = timedelta(seconds=timeout)
        limits = HttpTimeouts(connect=self._connect_timeout, read=whole, write=whole, total=whole)
        try:
            answer = await self._pool.open(request, limits, timeout)
            try:
                body = await answer.read(MAX_PAYLOAD_BYTES)
            finally:
                answer.close()
        except NotConnectedError as error:
            message = f"no connection to {call.service} at {url}: {error}"
            raise UnreachableError(call.service, message) from None
        except TimedOutError:
            raise action_timeout(call, timeout) from None
        except BrokenError as error:
            message = f"the connection to {url} broke during the call: {error}"
            raise unavailable(_subject(call), message) from None
        except TooLargeError:
            raise _too_large(call) from None
        return answer, body

    async def close(self) -> None:
        """Close every connection of its own."""
        if self._own_pool is not None:
            await self._own_pool.close()


def _headers(call: ActionCall, timeout: float) -> dict[str, str]:
    known = {
        metadata.REQUEST_ID: call.context.request_id,
        metadata.PROJECT_ID: call.context.project_id,
        metadata.EXECUTION_ID: call.execution_id,
        metadata.STEP_ID: call.step_id,
        metadata.IDEMPOTENCY_KEY: call.idempotency_key,
    }
    return {
        "content-type": "application/json",
        "accept": "application/json",
        metadata.ATTEMPT: str(call.attempt),
        metadata.TIMEOUT: str(max(1, int(timeout * 1_000))),
        **{key: header_value(value) for key, value in known.items() if value},
    }


def _subject(call: ActionCall) -> Subject:
    return Subject(service=call.service, label=f"{call.service}.{call.action}", names=call.names())


def _output(answer: HttpAnswer, body: bytes, call: ActionCall) -> bytes:
    if 200 <= answer.status < 300:
        return body or b"{}"
    wait = retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
    raise status_error(answer.status, body, _subject(call), wait=wait)


def _too_large(call: ActionCall) -> ExhaustedError:
    return ExhaustedError(
        f"{call.service}.{call.action} answered more than {MAX_PAYLOAD_BYTES:,} bytes",
        reason=Reason.ACTION_OUTPUT_TOO_LARGE,
        metadata=call.names(),
    )
