"""Instances that speak TLS: who trusts their authority gets through, and nobody else."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.calls import unary
from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import Behaviours, path, serve
from tests.support.consul import make_certificates, running_agent
from tests.support.http_services import HttpService, http_service
from weft.client.mesh import HttpConfig, MeshConfig, SourcesConfig, connect_mesh
from weft.core.errors import ServiceUnavailableError
from weft.discovery.model import Endpoint, Protocol
from weft.discovery.static import StaticResolver
from weft.mesh.call_options import CallOptions
from weft.mesh.mesh import Mesh, OneResolver

pytestmark = pytest.mark.integration

SOON = CallOptions(timeout=timedelta(seconds=3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a certificate for 127.0.0.1, and one of a client."""
    return make_certificates(tmp_path_factory.mktemp("tls"))


def trusting(folder: Path, *, as_client: bool = False) -> grpc.ChannelCredentials:
    authority = (folder / "ca.pem").read_bytes()
    if not as_client:
        return grpc.ssl_channel_credentials(authority)
    key, chain = (folder / "client.key").read_bytes(), (folder / "client.pem").read_bytes()
    return grpc.ssl_channel_credentials(authority, key, chain)


@asynccontextmanager
async def secured(folder: Path, *, mutual: bool = False) -> AsyncIterator[tuple[Behaviours, int]]:
    """Run a server that speaks nothing but TLS."""
    pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())
    authority = (folder / "ca.pem").read_bytes() if mutual else None
    behaviours = Behaviours()
    credentials = grpc.ssl_server_credentials([pair], authority, require_client_auth=mutual)
    server, port = await serve(behaviours, credentials=credentials)
    try:
        yield behaviours, port
    finally:
        await server.stop(None)


async def call(
    endpoints: list[Endpoint], credentials: grpc.ChannelCredentials | None = None, times: int = 1
) -> None:
    sources = OneResolver(StaticResolver({"fleet": endpoints}))
    config = MeshConfig(calls=SOON, credentials=credentials, connect_timeout=timedelta(seconds=1))
    mesh = Mesh(sources, config)
    method: Any = mesh.channel("weft://fleet").unary_unary(path("Unary"))
    try:
        for _ in range(times):
            await method(b"x")
    finally:
        await mesh.close()


def at(port: int, **fields: Any) -> Endpoint:
    return Endpoint(**{"host": "127.0.0.1", "port": port, "secure": True, **fields})


async def test_calls_are_spread_over_secure_and_plain_instances(folder: Path) -> None:
    """TLS is a matter of the instance, not of the service."""
    plain = Behaviours()
    server, port = await serve(plain)
    async with secured(folder) as (one, first), secured(folder) as (other, second):
        await call([at(first), at(second), at(port, secure=False)], trusting(folder), times=60)
        assert all(it.calls for it in (one, other, plain))
    await server.stop(None)


async def test_who_does_not_trust_the_authority_sends_nothing(folder: Path) -> None:
    """The system's own roots do not know it; the error says whom it could not connect."""
    async with secured(folder) as (behaviours, port):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call([at(port)])
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert f"127.0.0.1:{port}" in str(caught.value.details())
        assert behaviours.calls == 0


async def test_a_certificate_of_another_name_is_refused(folder: Path) -> None:
    """It is for 127.0.0.1, and the instance is said to be at localhost."""
    async with secured(folder) as (behaviours, port):
        with pytest.raises(grpc.aio.AioRpcError):
            await call([at(port, host="localhost")], trusting(folder))
        assert behaviours.calls == 0


async def test_tls_is_not_guessed(folder: Path) -> None:
    """Neither is a plain call made where TLS was asked for, nor the other way round."""
    plain = Behaviours()
    server, port = await serve(plain)
    async with secured(folder) as (behaviours, secure):
        for endpoint in (at(port), at(secure, secure=False)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call([endpoint], trusting(folder))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (plain.calls, behaviours.calls) == (0, 0)
    await server.stop(None)


async def test_certificates_on_both_sides(folder: Path) -> None:
    """A server that asks for one lets in who has one of its authority."""
    async with secured(folder, mutual=True) as (behaviours, port):
        await call([at(port)], trusting(folder, as_client=True))
        with pytest.raises(grpc.aio.AioRpcError):
            await call([at(port)], trusting(folder))
        assert behaviours.calls == 1


@asynccontextmanager
async def secured_http(folder: Path) -> AsyncIterator[HttpService]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    async with http_service(tls=context) as service:
        yield service


async def test_what_consul_says_of_tls_is_followed(folder: Path, tmp_path: Path) -> None:
    """Meta ``secure`` of a gRPC instance, tag ``https`` of an HTTP one: both are called with TLS."""
    async with running_agent(tmp_path) as agent, secured(folder) as (_, port), secured_http(folder) as http:
        agent.register("fleet", Address="127.0.0.1", Port=port, Meta={"secure": "true"})
        agent.register("shop", Address="127.0.0.1", Port=http.endpoint.port, Tags=["https"])
        tls = ssl.create_default_context(cafile=folder / "ca.pem")
        async with connect_mesh(
            SourcesConfig(consul=agent.config()),
            config=MeshConfig(credentials=trusting(folder)),
            http=HttpConfig(tls=tls),
        ) as mesh:
            method: Any = mesh.channel("consul://fleet").unary_unary(path("Unary"))
            assert await method(b"x")
            answer = await mesh.http.request("consul://shop", "GET", "/orders")
            assert answer.status == 200
    assert http.paths == ["/orders"]


async def test_https_of_an_authority_that_the_system_does_not_trust(folder: Path) -> None:
    """Nothing is sent; the error names the certificate."""
    async with secured_http(folder) as service:
        endpoint = at(service.endpoint.port, protocol=Protocol.HTTP)
        target = f"https://{endpoint.address}"
        async with connect_mesh(SourcesConfig(environ={"SERVICE_SHOP_URL": target})) as mesh:
            with pytest.raises(
                ServiceUnavailableError, match="certificate is refused: unable to get local issuer"
            ):
                await mesh.http.request("shop", "GET", "/", timeout=timedelta(seconds=3))
    assert service.paths == []


async def test_call_credentials_need_tls(fleet: Fleet, mesh: Mesh) -> None:
    """Over an open connection they are refused before anything is sent, as on a plain channel."""
    await fleet.grow()
    fleet.publish()
    credentials = grpc.access_token_call_credentials("token")
    plain: Any = grpc.aio.insecure_channel(f"127.0.0.1:{fleet.ports[0]}")
    call = unary(mesh)
    for each in (plain.unary_unary(path("Unary")), call, call):
        with pytest.raises(grpc.aio.UsageError, match="secure channel"):
            await each(b"x", credentials=credentials)
    await plain.close()
    assert fleet.calls == [0]
    assert mesh.states()[0]["instances"][0]["in_flight"] == 0
