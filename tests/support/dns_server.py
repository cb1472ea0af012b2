"""A small DNS server on loopback, over UDP and TCP, that says what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

MAX_UDP = 512


class DnsServer:
    """Answers from its records.

    Attributes:
        ttl: Of every record.
        rcodes: What it answers instead of records of a kind, such as SERVFAIL.
        silent: Whether it says nothing at all.
        deaf: Transports that it does not serve: ``udp`` or ``tcp``.
        glue: Whether an SRV answer has the targets' addresses beside it.
        cut: After how many records an answer over UDP ends, without saying so.
        asked: Every question, as (transport, name, kind).
    """

    def __init__(self) -> None:
        self.port = 0
        self.ttl = 0
        self.rcodes: dict[str, dns.rcode.Rcode] = {}
        self.silent = False
        self.deaf = ""
        self.glue = True
        self.cut = 0
        self.asked: list[tuple[str, str, str]] = []
        self._records: dict[tuple[str, str], list[str]] = {}
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def set(self, name: str, kind: str, *values: str) -> None:
        """Replace the records of one kind under a name."""
        self._records[name, kind] = list(values)

    def forget(self) -> None:
        """Lose every record."""
        self._records.clear()

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((transport, name, kind))
        if self.silent or self.deaf == transport:
            return None
        response: Any = dns.message.make_response(query)
        if (rcode := self.rcodes.get(kind)) is not None:
            response.set_rcode(rcode)
            return bytes(response.to_wire())
        values = self._records.get((name, kind), [])
        if not any(values for (known, _), values in self._records.items() if known == name):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if transport == "udp" and self.cut:
            values = values[: self.cut]
        self._add(response.answer, name, kind, values)
        if kind == "SRV" and self.glue:
            for target in {value.split()[-1].rstrip(".") for value in values}:
                for family in ("A", "AAAA"):
                    self._add(response.additional, target, family, self._records.get((target, family), []))
        wire = bytes(response.to_wire(max_size=65_535))
        if transport == "udp" and len(wire) > MAX_UDP:
            response.answer, response.additional = [], []
            response.flags |= dns.flags.TC
            wire = bytes(response.to_wire())
        return wire

    def _add(self, section: list[Any], name: str, kind: str, values: list[str]) -> None:
        if values:
            section.append(dns.rrset.from_text_list(f"{name}.", self.ttl, "IN", kind, values))

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while self.deaf != "tcp":
                size = int.from_bytes(await reader.readexactly(2), "big")
                wire = self.answer(await reader.readexactly(size), "tcp")
                if wire is not None:
                    writer.write(len(wire).to_bytes(2, "big") + wire)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    @property
    def connections(self) -> int:
        """How many TCP connections are open."""
        return len(self._writers)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        wire = self._server.answer(data, "udp")
        if wire is not None and self._transport is not None:
            self._transport.sendto(wire, addr)


@asynccontextmanager
async def dns_serving() -> AsyncIterator[DnsServer]:
    """Run a server on one free port of both transports."""
    server, loop = DnsServer(), asyncio.get_running_loop()
    listener, datagrams = _both_ports()
    server.port = listener.getsockname()[1]
    tcp = await asyncio.start_server(server.serve_tcp, sock=listener)
    udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), sock=datagrams)
    try:
        yield server
    finally:
        udp.close()
        tcp.close()
        for writer in list(server._writers):
            writer.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(tcp.wait_closed(), 5)


def _both_ports() -> tuple[socket.socket, socket.socket]:
    """Bind one port number for TCP and for UDP."""
    for _ in range(100):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            datagrams.bind(listener.getsockname())
        except OSError:
            listener.close()
            datagrams.close()
            continue
        listener.listen()
        listener.setblocking(False)
        datagrams.setblocking(False)
        return listener, datagrams
    raise RuntimeError("no port is free for both transports")
