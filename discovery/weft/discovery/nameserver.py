"""Asking DNS: one question, one answer, or why there is none."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from weft.discovery.endpoint import is_host, parse_address

__all__ = ["Answer", "DnsError", "Nameserver", "ServiceRecord", "host_addresses", "is_ip"]

_AT_ONCE: Final = 16
_PORT: Final = 53
_FOREVER: Final = float("inf")


class DnsError(Exception):
    """There is no answer; says nothing about whether the name exists."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One SRV record."""

    priority: int
    """Lower ones are used first."""
    weight: int
    """Share among those of the same priority."""
    host: str
    """Where it is served."""
    port: int
    """On which port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What there is under a name; nothing when the nameserver says that there is nothing."""

    addresses: frozenset[str] = frozenset()
    """IP addresses, when those were asked for."""
    services: tuple[ServiceRecord, ...] = ()
    """SRV records, when those were asked for."""
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """IP addresses of hosts that the nameserver told in addition."""
    ttl: float = _FOREVER
    """Seconds for which it holds."""


class Nameserver:
    """One nameserver, or those that the system is set up with.

    One nameserver is asked over TCP first: Consul leaves all but three records
    out of an answer over UDP, and does not say so. The system's are asked over
    UDP, and over TCP when an answer was cut.

    Args:
        address: ``host`` or ``host:port``; empty for the system's own.
        timeout: Seconds for one question.
    """

    def __init__(self, address: str, timeout: float) -> None:
        self._address = address
        self._host, self._port = ("", _PORT) if not address else _read(address)
        self._timeout = timeout
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def __str__(self) -> str:
        return f"nameserver {self._address}" if self._address else "the system's nameserver"

    async def ask(self, name: str, kind: str) -> Answer:
        """Ask for the A, AAAA or SRV records of a name.

        Raises:
            DnsError: No answer, or one that the nameserver calls a failure.
        """
        async with self._slots:
            try:
                found = await self._resolve(name, kind)
            except dns.resolver.NXDOMAIN:
                return Answer()
            except (dns.exception.DNSException, OSError) as error:
                raise DnsError(f"{self}: {name} {kind}: {_why(error)}") from None
        return _answer(found)

    async def _resolve(self, name: str, kind: str) -> dns.resolver.Answer:
        if not self._address:
            return await self._query(dns.asyncresolver.Resolver(), name, kind, tcp=False)
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [await _ip(self._host)]
        resolver.port = self._port
        try:
            return await self._query(resolver, name, kind, tcp=True)
        except (dns.resolver.NoNameservers, dns.resolver.LifetimeTimeout) as error:
            if _answered(error):
                raise
            return await self._query(resolver, name, kind, tcp=False)

    async def _query(
        self, resolver: dns.asyncresolver.Resolver, name: str, kind: str, *, tcp: bool
    ) -> dns.resolver.Answer:
        question = resolver.resolve(
            name,
            kind,
            tcp=tcp,
            raise_on_no_answer=False,
            lifetime=self._timeout,
            search=not self._address,
        )
        # In a task of its own: dnspython waits by asyncio.wait_for, which before Python 3.12 loses a
        # cancellation that comes together with the answer. gather does not.
        (answer,) = await asyncio.gather(question, return_exceptions=True)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def is_ip(host: str) -> bool:
    """Tell whether a host is an IP address, which nobody needs to be asked for."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def host_addresses(host: str, timeout: float) -> frozenset[str]:
    """Ask the system for the addresses of a host, its hosts file included.

    Raises:
        DnsError: It has none, for all that the system knows.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise DnsError(f"the system did not resolve {host} within {timeout:g} s") from None
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DnsError(f"the system did not resolve {host}: {why}") from None
    return frozenset(str(address[0]) for *_, address in found)


def _read(address: str) -> tuple[str, int]:
    return (address, _PORT) if is_host(address) else parse_address(address, "nameserver")


async def _ip(host: str) -> str:
    if is_ip(host):
        return host
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


def _answer(found: dns.resolver.Answer) -> Answer:
    records: list[Any] = list(found.rrset or ())
    ttl = float(found.rrset.ttl) if found.rrset is not None else _FOREVER
    hosts: dict[str, frozenset[str]] = {}
    if found.rdtype == dns.rdatatype.SRV:
        services = tuple(ServiceRecord(it.priority, it.weight, _plain(it.target), it.port) for it in records)
        for rrset in found.response.additional:
            if rrset.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}:
                told: list[Any] = list(rrset)
                key = _plain(rrset.name)
                hosts[key] = hosts.get(key, frozenset()) | {it.address for it in told}
                ttl = min(ttl, rrset.ttl)
        return Answer(services=services, hosts=hosts, ttl=ttl)
    return Answer(addresses=frozenset(it.address for it in records), hosts=hosts, ttl=ttl)


def _plain(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower()


def _answered(error: dns.exception.DNSException) -> bool:
    """Tell whether the nameserver said at least that it cannot answer."""
    return any(isinstance(attempt[3], str) for attempt in error.kwargs.get("errors", ()))


def _why(error: Exception) -> str:
    """Say why there is no answer, in words that are the same every time."""
    attempts = getattr(error, "kwargs", {}).get("errors", ())
    said = {it[3] if isinstance(it[3], str) else _kind(it[3]) for it in attempts}
    return ", ".join(sorted(said)) or _kind(error)


def _kind(error: BaseException) -> str:
    if isinstance(error, dns.exception.Timeout | TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return type(error).__name__
