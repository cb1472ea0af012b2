"""Actions behind a plain HTTP endpoint: ``POST {endpoint}/{action}`` with JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta

import aiohttp
import orjson

from weft.core import metadata
from weft.core.errors import (
    ActionFailedError,
    Code,
    ExhaustedError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.payload import MAX_PAYLOAD_BYTES
from weft.core.reasons import Reason
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, UnreachableError, action_timeout

__all__ = ["HttpActionTransport"]

_CODES: Mapping[int, Code] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    412: Code.FAILED_PRECONDITION,
    422: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    501: Code.UNIMPLEMENTED,
}
"""What an HTTP status means (google.rpc.Code, read backwards); any other is ABORTED."""

_UNAVAILABLE = frozenset({502, 503})
_TIMEOUTS = frozenset({408, 504})
_MAX_ERROR_TEXT = 500
_NEVER_ROUND = 1e9
_KEEP_ALIVE_SECONDS = 2.0
"""Shorter than any common server's own: a request never meets a connection that is just being closed."""


class HttpActionTransport:
    """Calls actions over one pooled HTTP client. Redirects are not followed.

    Args:
        connect_timeout: How long one connection may take to be made.
    """

    def __init__(self, *, connect_timeout: timedelta = timedelta(seconds=5)) -> None:
        self._connect_timeout = connect_timeout.total_seconds()
        self._session: aiohttp.ClientSession | None = None

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes:
        """Run an action: see ``ActionTransport.invoke``."""
        url = f"{'https' if endpoint.secure else 'http'}://{endpoint.address}{endpoint.path}/{call.action}"
        # By default aiohttp rounds timeouts of 5 s and more up to whole seconds of the clock.
        limits = aiohttp.ClientTimeout(
            total=timeout, sock_connect=self._connect_timeout, ceil_threshold=_NEVER_ROUND
        )
        try:
            async with self._client().post(
                url,
                data=call.input,
                headers=_headers(call, timeout),
                timeout=limits,
                allow_redirects=False,
            ) as response:
                body = await _read(response, call)
        except aiohttp.ConnectionTimeoutError:
            message = f"no connection to {call.service} at {url} within {self._connect_timeout:g} s"
            raise UnreachableError(call.service, message) from None
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, UnicodeError) as error:
            message = f"no connection to {call.service} at {url}: {_why(error)}"
            raise UnreachableError(call.service, message) from None
        except TimeoutError:
            raise action_timeout(call, timeout) from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise _broken(call, f"the connection to {url} broke during the call: {error}") from None
        if 200 <= response.status < 300:
            return body or b"{}"
        raise _failure(response.status, body, call, timeout)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, limit_per_host=1_000, keepalive_timeout=_KEEP_ALIVE_SECONDS
                ),
                auto_decompress=True,
                trust_env=False,
            )
        return self._session


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
        **{key: _header_value(value) for key, value in known.items() if value},
    }


def _header_value(value: str) -> str:
    """Keep a header on one line, whatever the caller put into its context."""
    return "".join(character for character in value if character.isprintable())


async def _read(response: aiohttp.ClientResponse, call: ActionCall) -> bytes:
    """Read the body, but never more than an output may have."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > MAX_PAYLOAD_BYTES:
            response.close()
            raise ExhaustedError(
                f"{call.service}.{call.action} answered more than {MAX_PAYLOAD_BYTES:,} bytes",
                reason=Reason.ACTION_OUTPUT_TOO_LARGE,
                metadata={"service": call.service, "action": call.action},
            )
    return bytes(body)


def _broken(call: ActionCall, message: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        call.service, message, reason=Reason.ACTION_UNAVAILABLE, metadata={"action": call.action}
    )


def _failure(status: int, body: bytes, call: ActionCall, timeout: float) -> WeftError:
    if status in _TIMEOUTS:
        return action_timeout(call, timeout)
    reason, message = _own_words(body)
    text = f"{call.service}.{call.action} answered HTTP {status}" + (f": {message}" if message else "")
    if status in _UNAVAILABLE:
        return _broken(call, text)
    return ActionFailedError(
        text,
        reason=reason or f"HTTP_{status}",
        code=_CODES.get(status, Code.ABORTED),
        metadata={"service": call.service, "action": call.action, "http_status": str(status)},
    )


def _own_words(body: bytes) -> tuple[str, str]:
    """Read reason and message out of ``{"error": {"reason": …, "message": …}}`` or plain text."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", body[:_MAX_ERROR_TEXT].decode(errors="replace").strip()
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else {}
    if not isinstance(error, dict):
        return "", str(error)[:_MAX_ERROR_TEXT]
    return str(error.get("reason") or "")[:63], str(error.get("message") or "")[:_MAX_ERROR_TEXT]


def _why(error: Exception) -> str:
    """Say why a connection could not be made, in the system's own words."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = getattr(cause, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else str(cause)
