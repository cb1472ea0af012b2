"""HTTP as py-consul asks for it, with limits that its own client lacks.

Its aio client takes deprecated arguments, has no timeout, reads bodies of any
size and keeps a failed answer's connection. Only its adapter is replaced: the
knowledge of Consul's API stays py-consul's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from consul import base as consul_base  # type: ignore[import-untyped]  # py-consul ships no types

from weft.discovery.consul.config import ConsulConfig

__all__ = ["Consul", "Garbage", "HttpClient"]

Callback = Callable[[Any], Any]
Params = list[tuple[str, Any]]


class Garbage(Exception):  # noqa: N818 - never leaves this package
    """An answer that Consul does not give."""


_NO_LIMITS: Final = aiohttp.ClientTimeout(total=None, sock_connect=None)
"""Time is ours to limit: aiohttp's own timer takes a cancellation that comes as it ends for its end."""


class _Connector(aiohttp.TCPConnector):
    """Ends TLS connections at once when the client closes.

    A blocking query that is cancelled closes its connection politely, and waits for
    the agent's goodbye; the agent sends none while the query runs.
    """

    def __init__(self, *, limit: int, ssl: ssl.SSLContext | bool) -> None:
        super().__init__(limit=limit, ssl=ssl)
        self._transports: WeakSet[asyncio.WriteTransport] = WeakSet()

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        protocol = await super()._create_connection(*args, **kwargs)
        if isinstance(protocol.transport, asyncio.WriteTransport):
            self._transports.add(protocol.transport)
        return protocol

    def abort(self) -> None:
        """End whatever is still open."""
        for transport in list(self._transports):
            transport.abort()


class HttpClient(consul_base.HTTPClient):  # type: ignore[misc]  # untyped base
    """The adapter between py-consul and aiohttp.

    Args:
        config: Address, TLS and limits.
    """

    def __init__(self, config: ConsulConfig) -> None:
        super().__init__(config.host, config.port, "https" if config.secure else "http", config.verify)
        self.base_uri = config.url
        self._config = config
        self._tls = config.tls()
        self._made: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close every connection."""
        if self._made is None:
            return
        connector = self._made.connector
        await self._made.close()
        if isinstance(connector, _Connector):
            connector.abort()
            await asyncio.sleep(0)

    def get(
        self,
        callback: Callback,
        path: str,
        params: Params | None = None,
        headers: dict[str, str] | None = None,
        raw: bool = False,  # noqa: FBT001, FBT002, ARG002 - the signature is py-consul's
        connections_timeout: timedelta | None = None,
    ) -> Any:
        """Send a GET."""
        return self._send("GET", self.uri(path, params), callback, headers, b"", connections_timeout)

    def put(
        self,
        callback: Callback,
        path: str,
        params: Params | None = None,
        data: str | bytes = "",
        headers: dict[str, str] | None = None,
        connections_timeout: timedelta | None = None,
    ) -> Any:
        """Send a PUT."""
        return self._send("PUT", self.uri(path, params), callback, headers, data, connections_timeout)

    def delete(
        self,
        callback: Callback,
        path: str,
        params: Params | None = None,
        data: str | bytes = "",
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a DELETE."""
        return self._send("DELETE", self.uri(path, params), callback, headers, data, None)

    def post(
        self,
        callback: Callback,
        path: str,
        params: Params | None = None,
        data: str | bytes = "",
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a POST."""
        return self._send("POST", self.uri(path, params), callback, headers, data, None)

    async def _send(
        self,
        method: str,
        uri: str,
        callback: Callback,
        headers: dict[str, str] | None,
        data: str | bytes,
        timeout: timedelta | None,
    ) -> Any:
        limit = (timeout or self._config.request_timeout).total_seconds()
        async with (
            asyncio.timeout(limit),
            self._session().request(
                method,
                uri,
                headers=headers,
                data=data or None,
                allow_redirects=False,
                server_hostname=self._config.server_name or None,
                timeout=_NO_LIMITS,
            ) as response,
        ):
            body = await self._body(response)
        if not (200 <= response.status < 300 or response.status >= 400):
            raise Garbage(f"it answered {response.status}, which Consul does not")
        if response.status < 300 and response.headers.get("X-Consul-KnownLeader") == "false":
            raise Garbage("the cluster has no leader")
        return callback(consul_base.Response(response.status, response.headers, body))

    async def _body(self, response: aiohttp.ClientResponse) -> str:
        """Read the body, as far as it is allowed; what is unpacked counts."""
        parts = bytearray()
        async for part in response.content.iter_chunked(65_536):
            parts += part
            if len(parts) > self._config.max_answer:
                response.close()
                raise Garbage(f"an answer is larger than {self._config.max_answer:,} bytes")
        return parts.decode()

    def _session(self) -> aiohttp.ClientSession:
        """Make the session where an event loop runs, which the constructor may not be."""
        if self._made is None:
            self._made = aiohttp.ClientSession(
                connector=_Connector(limit=self._config.connections, ssl=self._tls or True),
                trust_env=False,
                auto_decompress=True,
            )
        return self._made


class Consul(consul_base.Consul):  # type: ignore[misc]  # untyped base
    """py-consul's client over our adapter; the environment has no say in it.

    Args:
        config: How to reach Consul.
        adapter: What sends the requests.
    """

    def __init__(self, config: ConsulConfig, adapter: HttpClient) -> None:
        self._adapter = adapter
        super().__init__(
            host=config.host,
            port=config.port,
            scheme=self._adapter.scheme,
            verify=config.verify,
        )
        # The base class prefers a token of the environment to its argument.
        self.token = config.token or None

    # The base class says that it returns nothing, and uses what it returns.
    def http_connect(self, *_: Any, **__: Any) -> HttpClient:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Give the base class our adapter."""
        return self._adapter
