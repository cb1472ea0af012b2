"""DNS as a source of endpoints: addresses of a host, or SRV records.

It covers Consul's DNS interface as well, with Consul's agent as the nameserver.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Final, TypeVar

from weft.core.clock import Clock, SystemClock
from weft.discovery.backoff import Backoff
from weft.discovery.dns_config import DnsConfig
from weft.discovery.endpoint import is_dialable, parse_address
from weft.discovery.known import KnownList
from weft.discovery.model import Endpoint, Snapshot
from weft.discovery.nameserver import (
    Answer,
    DnsError,
    Nameserver,
    ServiceRecord,
    host_addresses,
    is_ip,
)

__all__ = ["DnsConfig", "DnsResolver"]

T = TypeVar("T")

_FAMILIES: Final = ("A", "AAAA")
_SYSTEM: Final = ("",)
"""The system is asked for all families at once."""
_FOREVER: Final = float("inf")


class DnsResolver:
    """Resolves ``host:port`` to the host's addresses, and any other name to its SRV records.

    Of SRV records only those with the lowest priority count. Names are asked for
    again when their TTL is over. "No such name", "no such record" and failures
    leave the list as it is.

    Args:
        config: Whom to ask, and how often.
        clock: For the time between questions.
    """

    def __init__(self, config: DnsConfig | None = None, *, clock: Clock | None = None) -> None:
        self._config = config or DnsConfig()
        self._clock = clock or SystemClock()
        self._nameserver = Nameserver(self._config.nameserver, self._config.timeout.total_seconds())

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield what the name leads to, now and after every change."""
        known = KnownList(service, self._clock, settle=self._config.settle)
        lookup = _Lookup(service, self._nameserver, self._config)
        backoff = Backoff(first=self._config.min_interval)
        while True:
            try:
                endpoints, pause = await lookup.ask()
            except DnsError as error:
                changed, pause = known.failed(str(error)), backoff.pause()
            else:
                changed = known.answered(endpoints)
                backoff.reset()
            if changed is not None:
                yield changed
            if known.recheck_in is not None:
                pause = min(pause, max(known.recheck_in, self._config.min_interval.total_seconds()))
            await self._clock.sleep(pause)


class _Lookup:
    """What one name leads to.

    It remembers every part of the last answer: a part that fails now, such as the
    IPv6 addresses, or one host of several, is not gone.
    """

    def __init__(self, service: str, nameserver: Nameserver, config: DnsConfig) -> None:
        self._service = service
        self._nameserver = nameserver
        self._config = config
        self._last: dict[tuple[str, str], frozenset[str]] = {}
        self._problem = ""

    async def ask(self) -> tuple[tuple[Endpoint, ...], float]:
        """Return the endpoints, and for how many seconds they hold.

        Raises:
            DnsError: There are none, or a part that was known did not answer.
        """
        is_host = ":" in self._service
        self._problem = f"{self._service} has no {'addresses' if is_host else 'SRV records'}"
        found, ttl = await (self._host() if is_host else self._records())
        if not found:
            raise DnsError(self._problem)
        shortest = self._config.min_interval.total_seconds()
        longest = self._config.max_interval.total_seconds()
        ordered = sorted(found.values(), key=lambda endpoint: endpoint.address)
        return tuple(ordered), max(shortest, min(ttl, longest))

    async def _host(self) -> tuple[dict[str, Endpoint], float]:
        host, port = parse_address(self._service, "service")
        addresses, ttl = await self._addresses(host)
        return _by_address(Endpoint(host=address, port=port) for address in addresses), ttl

    async def _records(self) -> tuple[dict[str, Endpoint], float]:
        answer = await self._nameserver.ask(self._service, "SRV")
        services = _preferred(answer.services)
        hosts = sorted({it.host for it in services} - set(answer.hosts))
        looked_up = await _all(self._addresses(host) for host in hosts)
        known = {**answer.hosts, **{host: found for host, (found, _) in zip(hosts, looked_up, strict=True)}}
        endpoints = _by_address(
            Endpoint(host=address, port=it.port, weight=max(1, it.weight))
            for it in services
            for address in known[it.host]
        )
        return endpoints, min(answer.ttl, *(ttl for _, ttl in looked_up), answer.ttl)

    async def _addresses(self, host: str) -> tuple[frozenset[str], float]:
        if is_ip(host):
            return frozenset({host}), _FOREVER
        families = _FAMILIES if self._config.nameserver else _SYSTEM
        answers = await _all(self._part(host, family) for family in families)
        return frozenset[str]().union(*(it.addresses for it in answers)), min(it.ttl for it in answers)

    async def _part(self, host: str, family: str) -> Answer:
        """Return one family of a host's addresses; none when it fails and had none before."""
        try:
            answer = await self._ask(host, family)
        except DnsError as error:
            if self._last.get((host, family)):
                raise
            self._problem = str(error)
            return Answer()
        self._last[host, family] = answer.addresses
        return answer

    async def _ask(self, host: str, family: str) -> Answer:
        if family:
            return await self._nameserver.ask(host, family)
        found = await host_addresses(host, self._config.timeout.total_seconds())
        return Answer(addresses=found, ttl=self._config.host_interval.total_seconds())


def _preferred(services: Iterable[ServiceRecord]) -> list[ServiceRecord]:
    """Return the records that count: those of the lowest priority; a host ``.`` says that there is none."""
    offered = [it for it in services if it.host and it.port]
    lowest = min((it.priority for it in offered), default=0)
    return [it for it in offered if it.priority == lowest]


def _by_address(endpoints: Iterable[Endpoint]) -> dict[str, Endpoint]:
    """Return those that can be dialled: names that are blocked often lead to 0.0.0.0, which is this host."""
    return {endpoint.address: endpoint for endpoint in endpoints if is_dialable(endpoint.host)}


async def _all(coroutines: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Return all results, or raise the first error when all have ended."""
    done = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return [result for result in done if not isinstance(result, BaseException)]
