"""DNS: what records mean, what is asked again and when, and what failures leave alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import timedelta

import dns.asyncresolver
import dns.rcode
import pytest

from tests.support.discovery import first, following
from tests.support.dns_server import DnsServer, dns_serving
from weft.core.testing import ManualClock
from weft.discovery import Snapshot
from weft.discovery.dns import DnsConfig, DnsResolver


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with dns_serving() as running:
        yield running


def quick(server: DnsServer) -> DnsResolver:
    """Ask a server often, with little patience."""
    config = DnsConfig(
        nameserver=server.address,
        min_interval=timedelta(milliseconds=20),
        timeout=timedelta(milliseconds=300),
        settle=timedelta(milliseconds=100),
    )
    return DnsResolver(config)


async def until(stream: AsyncGenerator[Snapshot, None], condition: Callable[[Snapshot], bool]) -> Snapshot:
    """Read on until a snapshot is as it should be."""
    async with asyncio.timeout(10):
        async for snapshot in stream:
            if condition(snapshot):
                return snapshot
    raise AssertionError("the stream ended")


def shown(snapshot: Snapshot) -> set[str]:
    return {endpoint.address for endpoint in snapshot.endpoints}


async def test_a_host_has_all_its_addresses(server: DnsServer) -> None:
    """A and AAAA records together, each with the port of the target."""
    server.set("a.test", "A", "10.0.0.2", "10.0.0.1")
    server.set("a.test", "AAAA", "fd00::1")
    found = await first(quick(server), "a.test:50051")
    assert [it.address for it in found] == ["10.0.0.1:50051", "10.0.0.2:50051", "[fd00::1]:50051"]


async def test_an_address_is_not_asked_for(server: DnsServer) -> None:
    """An IP address needs no nameserver."""
    assert [it.address for it in await first(quick(server), "[::1]:1")] == ["[::1]:1"]
    assert server.asked == []


@pytest.mark.parametrize("glue", [True, False], ids=["glue", "looked-up"])
async def test_srv_records(server: DnsServer, glue: bool) -> None:  # noqa: FBT001 - a parameter
    """Only the lowest priority counts; weights are kept; hosts come along or are asked for."""
    server.glue = glue
    server.set("_grpc._tcp.a.test", "SRV", "1 30 5001 h1.test.", "1 0 5002 h2.test.", "2 9 5003 h3.test.")
    server.set("h1.test", "A", "10.0.0.1")
    server.set("h2.test", "A", "10.0.0.2")
    server.set("h2.test", "AAAA", "fd00::2")
    server.set("h3.test", "A", "10.0.0.3")
    found = await first(quick(server), "_grpc._tcp.a.test")
    assert {(it.address, it.weight) for it in found} == {
        ("10.0.0.1:5001", 30),
        ("10.0.0.2:5002", 1),
        ("[fd00::2]:5002", 1),
    }


async def test_the_next_priority_takes_over(server: DnsServer) -> None:
    """When the preferred records go, those behind them count, and then the preferred ones again."""
    server.set("h1.test", "A", "10.0.0.1")
    server.set("h2.test", "A", "10.0.0.2")
    server.set("a.test", "SRV", "2 1 5002 h2.test.")
    async with following(quick(server), "a.test") as stream:
        await until(stream, lambda it: shown(it) == {"10.0.0.2:5002"})
        server.set("a.test", "SRV", "2 1 5002 h2.test.", "1 1 5001 h1.test.")
        await until(stream, lambda it: shown(it) == {"10.0.0.1:5001"})


async def test_a_record_that_offers_nothing(server: DnsServer) -> None:
    """A target of ``.`` says that the service is not offered: there is nobody to call."""
    server.set("a.test", "SRV", "0 0 0 .")
    async with following(quick(server), "a.test") as stream:
        snapshot = await anext(stream)
    assert snapshot.endpoints == ()
    assert snapshot.problem == "a.test has no SRV records"


@pytest.mark.parametrize(
    ("records", "addresses"),
    [
        ({("a.test", "A"): ["0.0.0.0", "224.0.0.1"], ("a.test", "AAAA"): ["::", "ff02::1"]}, set()),
        ({("a.test", "A"): ["0.0.0.0", "10.0.0.1"]}, {"10.0.0.1:1"}),
    ],
)
async def test_an_address_of_nobody(
    server: DnsServer, records: dict[tuple[str, str], list[str]], addresses: set[str]
) -> None:
    """What cannot be dialled, or would be this host, is left out."""
    for (name, kind), values in records.items():
        server.set(name, kind, *values)
    async with following(quick(server), "a.test:1") as stream:
        assert shown(await anext(stream)) == addresses


@pytest.mark.parametrize("record", ["0 0 5 .", "0 0 0 b.test.", "0 0 5 missing.test.", "0 0 5 a\\032b.test."])
async def test_a_record_that_leads_nowhere(server: DnsServer, record: str) -> None:
    """It is skipped while there are others."""
    server.set("a.test", "SRV", record, "0 0 7 b.test.")
    server.set("b.test", "A", "10.0.0.1")
    async with following(quick(server), "a.test") as stream:
        assert shown(await anext(stream)) == {"10.0.0.1:7"}


def keep_only_text(server: DnsServer) -> None:
    server.set("a.test", "A")
    server.set("a.test", "TXT", "x")


FAILURES: dict[str, Callable[[DnsServer], object]] = {
    "NXDOMAIN": lambda it: it.set("a.test", "A"),
    "NODATA": keep_only_text,
    "SERVFAIL": lambda it: it.rcodes.update(A=dns.rcode.SERVFAIL),
    "REFUSED": lambda it: it.rcodes.update(A=dns.rcode.REFUSED),
    "silent": lambda it: setattr(it, "silent", True),
}


@pytest.mark.parametrize("how", FAILURES)
async def test_no_answer_empties_a_known_list(server: DnsServer, how: str) -> None:
    """Whatever goes wrong, the list stays, stale, and is good again with the next answer."""
    server.set("a.test", "A", "10.0.0.1")
    async with following(quick(server), "a.test:1") as stream:
        await until(stream, lambda it: shown(it) == {"10.0.0.1:1"} and not it.stale)
        FAILURES[how](server)
        stale = await until(stream, lambda it: it.stale)
        assert shown(stale) == {"10.0.0.1:1"}
        server.rcodes, server.silent = {}, False
        server.set("a.test", "A", "10.0.0.1", "10.0.0.2")
        await until(stream, lambda it: not it.stale and shown(it) == {"10.0.0.1:1", "10.0.0.2:1"})


async def test_the_same_failure_is_told_once(server: DnsServer) -> None:
    """The words of a problem do not change from one question to the next."""
    server.rcodes["A"] = dns.rcode.SERVFAIL
    async with following(quick(server), "a.test:1") as stream:
        snapshot = await anext(stream)
        assert snapshot.problem == f"nameserver {server.address}: a.test A: SERVFAIL"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.3)
    assert len([it for it in server.asked if it[2] == "A"]) > 2


async def test_half_an_answer(server: DnsServer) -> None:
    """One family that fails costs nothing when it never had an address, and keeps the list when it had."""
    server.set("a.test", "A", "10.0.0.1")
    server.rcodes["AAAA"] = dns.rcode.SERVFAIL
    async with following(quick(server), "a.test:1") as stream:
        snapshot = await anext(stream)
        assert shown(snapshot) == {"10.0.0.1:1"}
        assert not snapshot.stale
        server.rcodes.clear()
        server.set("a.test", "AAAA", "fd00::1")
        await until(stream, lambda it: len(it.endpoints) == 2)
        server.rcodes["AAAA"] = dns.rcode.SERVFAIL
        snapshot = await until(stream, lambda it: it.stale)
        assert shown(snapshot) == {"10.0.0.1:1", "[fd00::1]:1"}


async def test_a_long_answer_comes_over_tcp(server: DnsServer) -> None:
    """What does not fit into a datagram, or is left out of one without a word, is there all the same."""
    addresses = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(600)]
    server.set("a.test", "A", *addresses)
    server.cut = 3
    assert len(await first(quick(server), "a.test:1")) == 600


async def test_a_nameserver_without_tcp(server: DnsServer) -> None:
    """It is asked over UDP then."""
    server.set("a.test", "A", "10.0.0.1")
    server.deaf = "tcp"
    assert len(await first(quick(server), "a.test:1")) == 1
    assert {it[0] for it in server.asked} == {"udp"}


async def test_a_cut_answer_of_a_system_nameserver(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer over UDP that says it was cut is asked for again over TCP."""

    class Configured(dns.asyncresolver.Resolver):
        def __init__(self) -> None:
            super().__init__(configure=False)
            self.nameservers, self.port = ["127.0.0.1"], server.port

    monkeypatch.setattr(dns.asyncresolver, "Resolver", Configured)
    server.glue = False
    server.set("localhost", "A", "127.0.0.1")
    server.set("a.test", "SRV", *(f"1 1 {port} localhost." for port in range(1, 101)))
    found = await first(DnsResolver(), "a.test")
    assert len({it.port for it in found}) == 100
    assert [it[0] for it in server.asked] == ["udp", "tcp"]


async def test_names_of_the_hosts_file_work() -> None:
    """Without a nameserver a plain host is the system's business."""
    assert "127.0.0.1:7" in {it.address for it in await first(DnsResolver(), "localhost:7")}


async def test_a_host_that_the_system_does_not_know() -> None:
    """It has no addresses, and the problem says so."""
    async with following(DnsResolver(), "nobody.invalid:1") as stream:
        snapshot = await anext(stream)
    assert snapshot.stale
    assert "nobody.invalid" in snapshot.problem


@pytest.mark.parametrize(("ttl", "asked_after"), [(0, 1), (7, 7), (3_600, 60)])
async def test_asks_again_when_the_ttl_is_over(server: DnsServer, ttl: int, asked_after: int) -> None:
    """The TTL decides, but never under a second and never over a minute."""
    server.set("a.test", "A", "10.0.0.1")
    server.ttl = ttl
    clock = ManualClock()
    resolver = DnsResolver(DnsConfig(nameserver=server.address), clock=clock)
    async with following(resolver, "a.test:1") as stream:
        await anext(stream)
        server.set("a.test", "A", "10.0.0.2")
        pending = asyncio.ensure_future(anext(stream))
        before = len(server.asked)
        await clock.advance(asked_after - 0.1)
        assert len(server.asked) == before
        await clock.advance(0.2)
        assert shown(await asyncio.wait_for(pending, 5)) == {"10.0.0.2:1"}


async def test_a_cancellation_is_never_lost(server: DnsServer) -> None:
    """Also one that comes together with an answer, which ``asyncio.wait_for`` of Python 3.11 loses."""
    server.set("h.test", "A", "10.0.0.1")
    server.set("a.test", "SRV", "1 1 1 h.test.")
    resolver = DnsResolver(DnsConfig(nameserver=server.address, min_interval=timedelta(milliseconds=1)))

    async def watch() -> None:
        async with following(resolver, "a.test") as stream:
            async for _ in stream:
                pass

    for turn in range(20):
        watchers = [asyncio.create_task(watch()) for _ in range(10)]
        await asyncio.sleep(turn / 500)
        for watcher in watchers:
            watcher.cancel()
        _, running = await asyncio.wait(watchers, timeout=5)
        assert not running
