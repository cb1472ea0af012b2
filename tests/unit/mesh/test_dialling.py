"""What a registered address can make the mesh dial."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest

from tests.support.foreign import grpc_provider
from weft.core.clock import SystemClock
from weft.discovery.model import Endpoint, Protocol
from weft.mesh.actions import ActionCall, UnreachableError
from weft.mesh.grpc_actions import GrpcActionTransport
from weft.mesh.http_actions import HttpActionTransport
from weft.mesh.pool import _target

CALL = ActionCall(service="texts", action="shout", input=b"{}", idempotency_key="k")


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("127.0.0.1:80", "ipv4:127.0.0.1:80"),
        ("[::1]:80", "ipv6:[::1]:80"),
        ("example.internal:80", "dns:///example.internal:80"),
        ("unix:80", "dns:///unix:80"),
        ("xds:80", "dns:///xds:80"),
    ],
)
def test_a_host_cannot_choose_the_scheme(address: str, target: str) -> None:
    """A host named like a scheme of gRPC is a host."""
    assert _target(address) == target


async def test_a_host_called_unix_is_no_socket(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Unix socket of that name in the working directory hears nothing."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("7777")
        listener.listen()
        listener.setblocking(False)
        transport = GrpcActionTransport(SystemClock())
        with pytest.raises(UnreachableError):
            await transport.invoke(Endpoint(host="unix", port=7777), CALL, 1.0)
        await transport.close()
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_proxies_of_the_web_are_not_for_the_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call inside the mesh goes straight to its instance, whatever the environment says."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    transport = GrpcActionTransport(SystemClock())
    async with grpc_provider() as port:
        call = ActionCall(service="texts", action="good", input=b"{}", idempotency_key="k")
        assert await transport.invoke(Endpoint(host="127.0.0.1", port=port), call, 5.0)
        await transport.close()


async def test_a_connection_that_never_comes_about_is_no_timeout_of_the_action() -> None:
    """Nothing was sent, so another instance may be tried."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        await asyncio.sleep(0.05)
        transport = HttpActionTransport(connect_timeout=timedelta(seconds=0.2))
        endpoint = Endpoint(host="127.0.0.1", port=address[1], protocol=Protocol.HTTP)
        with pytest.raises(UnreachableError):
            await transport.invoke(endpoint, CALL, 10.0)
        await transport.close()
        for filler in fillers:
            filler.close()
