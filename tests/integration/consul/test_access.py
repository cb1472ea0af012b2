"""Tokens and TLS, with an agent that insists on both; and several datacenters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.consul import ConsulAgent, make_certificates, running_agent, started_agent
from tests.support.watching import eventually, following
from weft.core.errors import Code, ServiceUnavailableError, UnexpectedStatusError, ValidationError
from weft.discovery.consul import (
    ConsulClient,
    ConsulConfig,
    ConsulRegistrar,
    ConsulResolver,
    Registration,
    consul_config,
)
from weft.discovery.model import Endpoint

pytestmark = pytest.mark.integration

_TOKEN = "7c3f6a1e-0000-4000-8000-000000000001"
_WRONG = "7c3f6a1e-0000-4000-8000-00000000dead"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulAgent]:
    """An agent with ACLs, and with HTTPS for clients that have a certificate."""
    folder = tmp_path_factory.mktemp("guarded")
    with started_agent(folder, token=_TOKEN, tls=make_certificates(folder / "tls")) as agent:
        yield agent


def registration(name: str) -> Registration:
    return Registration(service=name, endpoint=Endpoint(host="127.0.0.1", port=7001, instance_id=f"{name}-1"))


async def test_a_token_is_sent_with_every_request(guarded: ConsulAgent) -> None:
    """With the right token registration, look-up and deregistration work where all else is denied."""
    async with ConsulClient(guarded.config()) as client, following(ConsulResolver(client), "held") as seen:
        async with ConsulRegistrar(client, registration("held")):
            await seen.keys("held-1")
        await seen.keys()


async def test_a_wrong_token_is_named_once(
    guarded: ConsulAgent, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log names it in one line, however often it is refused, and does not show it."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", _TOKEN)  # a library does not look there
    with caplog.at_level(logging.INFO, "weft.discovery.consul"):
        async with (
            ConsulClient(guarded.config(token=_WRONG)) as client,
            following(ConsulResolver(client), "held") as seen,
            ConsulRegistrar(client, registration("held")) as registrar,
        ):
            await seen.until(lambda s: s.stale)
            await eventually(lambda: registrar.problem != "")
            assert "the token does not allow" in seen.newest.problem
            assert "the token does not allow" in registrar.problem
            await asyncio.sleep(1.0)
            with pytest.raises(UnexpectedStatusError) as refused:
                await client.look_up("held")
            assert refused.value.code is Code.PERMISSION_DENIED
            assert not refused.value.retryable
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(lines) == 1
    assert "CONSUL_HTTP_TOKEN" in lines[0]
    assert _WRONG not in caplog.text


async def test_no_token_may_not_register(guarded: ConsulAgent) -> None:
    """Without a token Consul refuses, and the message says that none was given."""
    async with ConsulClient(guarded.config(token="")) as client:
        with pytest.raises(UnexpectedStatusError, match="no token was given"):
            await client.register({"Name": "x"})


async def test_tls_with_certificates_on_both_sides(guarded: ConsulAgent) -> None:
    """The agent's certificate is checked against the given authority, and ours is shown."""
    config = consul_config(_environment(guarded))
    assert config is not None
    async with (
        ConsulClient(config) as client,
        following(ConsulResolver(client), "safe") as seen,
        ConsulRegistrar(client, registration("safe")),
    ):
        await seen.keys("safe-1")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"CONSUL_CACERT": ""}, "certificate verify failed"),
        ({"CONSUL_CLIENT_CERT": "", "CONSUL_CLIENT_KEY": ""}, "cannot be reached"),
        ({"CONSUL_TLS_SERVER_NAME": "other.example"}, "certificate"),
    ],
)
async def test_tls_that_does_not_fit_is_refused(
    guarded: ConsulAgent, changes: dict[str, str], problem: str
) -> None:
    """An unknown authority, a missing certificate of ours, another name: no request is made."""
    config = consul_config(_environment(guarded) | changes)
    assert config is not None
    async with ConsulClient(config) as client:
        with pytest.raises(ServiceUnavailableError, match=problem):
            await client.look_up("safe")


async def test_tls_names_and_checks_may_be_set(guarded: ConsulAgent) -> None:
    """A certificate by another name is taken when that name is given; and any, when checks are off."""
    for changes in (
        {"CONSUL_TLS_SERVER_NAME": "server.dc1.consul"},
        {"CONSUL_CACERT": "", "CONSUL_HTTP_SSL_VERIFY": "false"},
    ):
        config = consul_config(_environment(guarded) | changes)
        assert config is not None
        async with ConsulClient(config) as client:
            assert (await client.look_up("none")).entries == []


def _environment(agent: ConsulAgent) -> dict[str, str]:
    assert agent._tls is not None
    return {
        "CONSUL_HTTP_ADDR": f"https://{agent.https_address}",
        "CONSUL_HTTP_TOKEN": _TOKEN,
        "CONSUL_CACERT": str(agent._tls / "ca.pem"),
        "CONSUL_CLIENT_CERT": str(agent._tls / "client.pem"),
        "CONSUL_CLIENT_KEY": str(agent._tls / "client.key"),
    }


def test_a_missing_certificate_is_named_before_anything_starts(tmp_path: Path) -> None:
    """Files that cannot be read are faults of the configuration, by their variables."""
    missing = str(tmp_path / "none.pem")
    environment = {
        "CONSUL_HTTP_ADDR": "https://127.0.0.1:8501",
        "CONSUL_CACERT": missing,
        "CONSUL_CLIENT_CERT": missing,
    }
    with pytest.raises(ValidationError) as error:
        consul_config(environment)
    assert [v.field for v in error.value.violations] == ["CONSUL_CACERT", "CONSUL_CLIENT_CERT"]


async def test_several_datacenters_are_one_list(tmp_path: Path) -> None:
    """Instances of all datacenters, each with its own; one that fails keeps its part, the others go on."""
    async with (
        running_agent(tmp_path / "one", datacenter="east") as east,
        running_agent(tmp_path / "two", datacenter="west", wan=east) as west,
        ConsulClient(east.config()) as client,
        ConsulClient(west.config()) as remote,
    ):
        async with following(ConsulResolver(client, datacenters=("east", "west")), "web") as seen:
            here = ConsulRegistrar(client, _numbered(1))
            there = ConsulRegistrar(remote, _numbered(2))
            async with here, there:
                await seen.keys("web-1", "web-2")
                assert [e.datacenter for e in seen.newest.endpoints] == ["east", "west"]
                await asyncio.to_thread(west.kill)
                await seen.until(lambda s: s.stale and "west: " in s.problem)
                assert {e.key for e in seen.newest.endpoints} == {"web-1", "web-2"}
                async with ConsulRegistrar(client, _numbered(3)):
                    await seen.keys("web-1", "web-2", "web-3")
        async with (
            ConsulClient(ConsulConfig(address=east.address, datacenter="nowhere")) as elsewhere,
            following(ConsulResolver(elsewhere), "web") as lost,
        ):
            await lost.until(lambda s: "No path to datacenter" in s.problem)


def _numbered(number: int) -> Registration:
    options: dict[str, Any] = {"host": "127.0.0.1", "port": 7000 + number, "instance_id": f"web-{number}"}
    return Registration(service="web", endpoint=Endpoint(**options))
