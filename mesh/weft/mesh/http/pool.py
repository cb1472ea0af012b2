"""One pooled HTTP client for everything that speaks HTTP in the mesh."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from multidict import CIMultiDictProxy

from weft.mesh.http.body import PIECE_BYTES, Upload, pieces
from weft.mesh.http.faults import BrokenError, NotConnectedError, Phase, TimedOutError, TooLargeError
from weft.mesh.http.timeouts import HttpTimeouts, Timer

__all__ = ["HttpAnswer", "HttpPool", "WireRequest"]

_NO_LIMITS: Final = aiohttp.ClientTimeout(total=None, sock_connect=None)
"""The client's own timers are off: one timer of ours knows which phase took too long."""

_KEEP_ALIVE_SECONDS: Final = 1.5
"""Shorter than any common server's own: a request hardly ever meets a connection that is being closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """One request, ready to be sent."""

    method: str
    """Such as ``GET``."""
    url: str
    """All of it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Checked: no value can add a header."""
    body: bytes | AsyncIterator[bytes] | None = None
    """What is sent."""
    repeatable: bool = False
    """Whether it does no harm when it is processed twice."""


class _Exchange:
    """What the signals of the client tell about one request on its way."""

    def __init__(self, timer: Timer, upload: Upload | None) -> None:
        self._timer = timer
        self._upload = upload
        self.reused = False

    def dial(self) -> None:
        self._timer.enter(Phase.CONNECT)

    def connected(self, *, reused: bool) -> None:
        self.reused = reused
        self._timer.enter(Phase.WRITE if self._upload else Phase.READ)


class HttpAnswer:
    """The head of an answer, and its body as it arrives. Close it.

    Args:
        response: The client's.
        timer: Times the reading.
    """

    def __init__(self, response: aiohttp.ClientResponse, timer: Timer) -> None:
        self._response = response
        self._timer = timer
        self.status = response.status
        self.headers: CIMultiDictProxy[str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces of any size; only waiting for them is timed.

        Raises:
            BrokenError: The connection broke before its end.
            TimedOutError: The peer fell silent, or time ran out.
        """
        content = self._response.content
        while not content.at_eof():
            try:
                async with self._timer.running(Phase.READ):
                    chunk = await content.readany()
            except (aiohttp.ClientError, OSError) as error:
                raise BrokenError(f"the connection broke within the answer: {_said(error)}") from None
            if chunk:
                yield chunk

    async def read(self, limit: int) -> bytes:
        """Return all of the body.

        Raises:
            TooLargeError: It has more bytes than the limit.
            HttpFault: As ``chunks``.
        """
        body = bytearray()
        if (self._response.content_length or 0) > limit and self._response.method != "HEAD":
            raise TooLargeError(limit)
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise TooLargeError(limit)
        return bytes(body)

    def close(self) -> None:
        """Let go of the connection; one whose answer was not read to its end is closed."""
        self._response.close()


class HttpPool:
    """Keeps connections by host, for every caller of a process.

    Redirects are not followed, cookies are not kept, proxies of the environment are
    not used, and nothing is sent twice but for a request that may be, when it met a
    connection that the peer had closed while it was idle.

    Args:
        connections_per_host: More requests than that wait for a connection.
        tls: How https is spoken; by default with the certificates that the system trusts.
    """

    def __init__(self, *, connections_per_host: int = 1_000, tls: ssl.SSLContext | None = None) -> None:
        self._connections_per_host = connections_per_host
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def open(self, request: WireRequest, timeouts: HttpTimeouts, total: float) -> HttpAnswer:
        """Send a request and return when the head of the answer is there.

        Args:
            request: What to send.
            timeouts: How long each phase may take; its total is not looked at.
            total: Seconds for all of it, the reading of the body included.

        Raises:
            NotConnectedError: Nothing was sent.
            BrokenError: The connection broke.
            TimedOutError: A limit passed.
            Exception: Whatever the source of a body in pieces raises.
        """
        timer = Timer(timeouts, total)
        # What arrived meanwhile, such as the end of an idle connection, is seen before one is chosen.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            return await self._exchange(request, timer)
        except BrokenError as error:
            if not (error.idle and request.repeatable):
                raise
        return await self._exchange(request, timer)

    async def _exchange(self, request: WireRequest, timer: Timer) -> HttpAnswer:
        upload, headers = _upload(request, timer)
        exchange = _Exchange(timer, upload)
        try:
            async with timer.running():
                response = await self._client().request(
                    request.method,
                    request.url,
                    headers=headers,
                    data=upload or request.body,
                    allow_redirects=False,
                    timeout=_NO_LIMITS,
                    trace_request_ctx=exchange,
                )
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, UnicodeError) as error:
            raise NotConnectedError(_why(error)) from None
        except TimedOutError as error:
            if error.phase is Phase.CONNECT:
                raise NotConnectedError(str(error).removeprefix("no connection ")) from None
            raise
        except (aiohttp.ClientError, OSError, _CutError) as error:
            if upload is not None and upload.fault is not None:
                raise upload.fault from None
            idle = exchange.reused and isinstance(error, _CutError)
            raise BrokenError(_said(error), idle=idle) from None
        return HttpAnswer(response, timer)

    def _client(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this HTTP pool is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=self._connections_per_host,
                    keepalive_timeout=_KEEP_ALIVE_SECONDS,
                    ssl=self._tls or True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,),
                skip_auto_headers=("content-type",),
                trace_configs=[_signals()],
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close every connection, for good; requests on their way break."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None


def _upload(request: WireRequest, timer: Timer) -> tuple[Upload | None, Mapping[str, str]]:
    body = request.body
    if body is None or (isinstance(body, bytes) and len(body) <= PIECE_BYTES):
        return None, request.headers
    if isinstance(body, bytes):
        return Upload(pieces(body), timer), {**request.headers, "content-length": str(len(body))}
    return Upload(body, timer), request.headers


class _CutError(Exception):
    """The peer hung up before an answer."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request once: on its own, aiohttp sends some of them again on any broken connection."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _CutError(_said(error)) from error


def _signals() -> aiohttp.TraceConfig:
    async def dial(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.trace_request_ctx.dial()

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.trace_request_ctx.connected(reused=False)

    async def reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.trace_request_ctx.connected(reused=True)

    signals = aiohttp.TraceConfig()
    signals.on_connection_create_start.append(dial)
    signals.on_connection_create_end.append(connected)
    signals.on_connection_reuseconn.append(reused)
    return signals


def _why(error: Exception) -> str:
    """Say why a connection could not be made, in the system's own words."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        cause = cause.certificate_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):  # its errno is none of the system's
        return f"no TLS: {(cause.reason or str(cause)).replace('_', ' ').lower()}"
    number = getattr(cause, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else str(cause)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
