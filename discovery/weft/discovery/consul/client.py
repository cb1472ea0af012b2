"""The few requests that Weft makes of Consul, with failures as typed errors."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
from consul import exceptions as refused  # type: ignore[import-untyped]  # py-consul ships no types
from consul.callback import CB  # type: ignore[import-untyped]  # py-consul ships no types

from weft.core.errors import Code, ServiceUnavailableError, UnexpectedStatusError, WeftError
from weft.discovery.consul._http import Consul, HttpClient
from weft.discovery.consul._pace import Pace
from weft.discovery.consul._turns import Turns
from weft.discovery.consul.config import ConsulConfig

__all__ = ["Answer", "ConsulClient"]

_log = logging.getLogger("weft.discovery.consul")
_T = TypeVar("_T")

_QUICK: Final = 8
"""Connections for look-ups that do not wait; as many again are left to registrations."""
_GARBAGE: Final = "does not answer as Consul does: "
_SHOWN: Final = 200
_LARGEST_INDEX: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul says of one service."""

    index: int
    """Position of the answer in Consul's history; never 0."""
    entries: list[Any]
    """One object for each instance."""


class ConsulClient:
    """Speaks to one Consul agent. Share one in a process: it bounds the connections.

    Every failure is a ``WeftError``: ``ServiceUnavailableError`` for an agent that
    does not answer, has no leader or answers what Consul does not, and one with
    code PERMISSION_DENIED for a token that may not do it.

    Args:
        config: How to reach the agent.

    Raises:
        ValidationError: A certificate cannot be read.
    """

    def __init__(self, config: ConsulConfig) -> None:
        self._config = config
        self._http = HttpClient(config)
        self._consul = Consul(config, self._http)
        self._quick = asyncio.Semaphore(_QUICK)
        self._denied: set[str] = set()
        self.turns = Turns(config.connections - 2 * _QUICK, longest=config.wait, rotation=config.rotation)
        """Who may wait for changes now."""
        self.pace = Pace()
        """When watches that failed may ask again."""

    @property
    def config(self) -> ConsulConfig:
        """How it reaches the agent."""
        return self._config

    def name(self, service: str) -> str:
        """Return the name under which Consul knows a service."""
        return self._config.prefix + service

    async def look_up(self, service: str, *, datacenter: str = "") -> Answer:
        """Read all instances of a service, at once.

        Args:
            service: Its name, without the prefix.
            datacenter: Where; empty for the configured one.
        """
        async with self._quick:
            return await self._health(service, datacenter, None, self._config.request_timeout)

    async def wait(self, service: str, index: int, *, datacenter: str = "") -> Answer | None:
        """Read all instances of a service once something changed, or the wait is over.

        Returns:
            None when the turn of this watch ended early, and nothing is known.
        """
        try:
            async with self.turns.turn() as seconds:
                # Consul adds up to a sixteenth, so that waits do not end all at once.
                limit = timedelta(seconds=seconds * 17 / 16) + self._config.request_timeout
                return await self._health(service, datacenter, (index, seconds), limit)
        except TimeoutError:
            return None

    async def register(self, definition: Mapping[str, Any]) -> None:
        """Register an instance at the agent; its former checks go."""
        # py-consul's own method leaves out what is falsy, and ids of checks.
        await self._call(
            "register",
            self._http.put(
                CB.boolean(),
                "/v1/agent/service/register",
                params=[("replace-existing-checks", "true")],
                headers=self._consul.prepare_headers(),
                data=json.dumps(definition),
            ),
        )

    async def deregister(self, service_id: str) -> None:
        """Remove an instance from the agent; one that is not there is no fault."""
        await self._call("deregister", self._consul.agent.service.deregister(service_id))

    async def maintain(self, service_id: str, *, enable: bool, reason: str = "") -> None:
        """Put an instance into maintenance mode, or take it out."""
        mode = "true" if enable else "false"
        await self._call(
            "report",
            self._http.put(
                CB.boolean(),
                f"/v1/agent/service/maintenance/{service_id}",
                params=[("enable", mode), ("reason", reason)],
                headers=self._consul.prepare_headers(),
            ),
        )

    async def instance(self, service_id: str) -> dict[str, Any] | None:
        """Return the agent's definition of an instance, or none."""
        found = await self._call("read", self._get(f"/v1/agent/service/{service_id}"))
        if found is not None and not isinstance(found, dict):
            raise self._unavailable(_GARBAGE + "an instance is no object")
        return found

    async def report(self, check_id: str, status: str, output: str) -> bool:
        """Report a TTL check's health; tell whether the agent knows the check."""
        body = json.dumps({"Status": status, "Output": output})
        request = self._http.put(
            _is_known,
            f"/v1/agent/check/update/{check_id}",
            headers=self._consul.prepare_headers(),
            data=body,
        )
        return bool(await self._call("report", request))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    def _get(self, path: str) -> Awaitable[Any]:
        headers = self._consul.prepare_headers()
        request: Awaitable[Any] = self._http.get(CB.json(), path, headers=headers)
        return request

    async def _health(
        self, service: str, datacenter: str, since: tuple[int, float] | None, limit: timedelta
    ) -> Answer:
        params: list[tuple[str, Any]] = []
        if since is not None:
            params += [("index", since[0]), ("wait", f"{int(since[1] * 1000)}ms")]
        if where := datacenter or self._config.datacenter:
            params.append(("dc", where))
        what = f"look up {self.name(service)}"
        request = self._http.get(
            _with_headers,
            f"/v1/health/service/{self.name(service)}",
            params=params,
            headers=self._consul.prepare_headers(),
            connections_timeout=limit,
        )
        headers, entries = await self._call(what, request)
        if not isinstance(entries, list):
            raise self._unavailable(_GARBAGE + "the list of instances is no list")
        if not entries and headers.get("X-Consul-Results-Filtered-By-ACLs") == "true":
            raise self._refusal(what, "the answer is empty, as the token may not read the instances")
        answer = Answer(self._index(headers.get("X-Consul-Index")), entries)
        self.pace.answered()
        return answer

    def _index(self, text: str | None) -> int:
        if text is None or not (text.isascii() and text.isdecimal() and len(text) <= 20):
            raise self._unavailable(_GARBAGE + f"its index is {(text or 'missing')[:40]}")
        index = int(text)
        if not 0 < index <= _LARGEST_INDEX:
            raise self._unavailable(_GARBAGE + f"its index is {index}")
        return index

    async def _call(self, what: str, request: Awaitable[_T]) -> _T:
        try:
            answer = await request
        except Exception as error:  # anything may come of an answer that is garbage
            raise self._failure(what, error) from None
        self._denied.discard(what)
        return answer

    def _failure(self, what: str, error: Exception) -> WeftError:
        text = _shorten(str(error))
        if isinstance(error, refused.ACLPermissionDenied | refused.ACLDisabled):
            return self._refusal(what, text)
        if isinstance(error, refused.BadRequest | refused.ClientError) and not text.startswith("429"):
            message = f"Consul at {self._config.url} refused to {what}: {text}"
            return UnexpectedStatusError(message, code=Code.INVALID_ARGUMENT)
        return self._unavailable(_problem(error, text or type(error).__name__))

    def _unavailable(self, problem: str) -> WeftError:
        return ServiceUnavailableError("consul", f"Consul at {self._config.url} {problem}")

    def _refusal(self, what: str, text: str) -> WeftError:
        token = "the token" if self._config.token else "no token was given, and Consul"
        message = f"Consul at {self._config.url}: {token} does not allow to {what}: {text}"
        if what not in self._denied:
            self._denied.add(what)
            if len(self._denied) == 1:
                _log.error("%s (CONSUL_HTTP_TOKEN)", message)
        return UnexpectedStatusError(message, code=Code.PERMISSION_DENIED)


def _problem(error: Exception, text: str) -> str:
    """Say what went wrong, for a failure that may pass."""
    match error:
        case refused.ClientError():
            return f"takes no more connections or requests of ours: {text}"
        case TimeoutError():
            return "did not answer in time"
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return "speaks no HTTP" if "Bad status line" in text else _GARBAGE + text
        case aiohttp.ClientError() | OSError():
            return f"cannot be reached: {_why(error) or text}"
        case refused.ConsulException() if text.startswith("5"):
            return f"answered {text}"
    return _GARBAGE + text


def _why(error: Exception) -> str:
    """Return what the system says of a connection that failed; empty where it says nothing."""
    if isinstance(error, aiohttp.ClientConnectorSSLError) and getattr(error.os_error, "reason", None):
        return f"no TLS: {str(error.os_error.reason).replace('_', ' ').lower()}"
    number = None if isinstance(error, aiohttp.ClientSSLError) else getattr(error, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else ""


def _is_known(response: Any) -> bool:
    """Read whether the agent knows a check: old versions answer 500 when it does not."""
    if response.code == 404:
        return False
    if response.code == 500 and ("TTL" in response.body or "Unknown check" in response.body):
        return False
    return bool(CB.boolean()(response))


def _with_headers(response: Any) -> tuple[Mapping[str, str], Any]:
    return response.headers, CB.json(allow_404=False)(response)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
