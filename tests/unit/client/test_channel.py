from __future__ import annotations

from datetime import timedelta

import pytest

from weft.client import ServiceIntegrationClient, ValidationError, connect
from weft.client._transport.channel import _OPTIONS, parse_target
from weft.mesh.rpc import CHANNEL_OPTIONS


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("127.0.0.1:7420", "127.0.0.1:7420"),
        ("localhost:7420", "localhost:7420"),
        ("grpc://localhost:7420", "localhost:7420"),
        ("http://localhost:8005/api", "localhost:8005"),
        (" http://localhost:8005/ ", "localhost:8005"),
        ("[::1]:7420", "[::1]:7420"),
        ("grpc://[::1]:7420", "[::1]:7420"),
    ],
)
def test_addresses_in_every_usual_form(target: str, address: str) -> None:
    """A scheme and a path may be there; they change nothing."""
    assert parse_target(target) == address
    assert connect(target).target == address


@pytest.mark.parametrize(
    "target",
    [
        "",
        "localhost",
        ":7420",
        "localhost:0",
        "localhost:99999",
        "localhost:port",
        "https://localhost:7420",
        "unix:///tmp/x",
        "grpc://",
        "http://user@localhost:7420",
        "http://[::1",
    ],
)
def test_other_addresses_are_refused_at_once(target: str) -> None:
    """The fault names the target; nothing is dialled."""
    with pytest.raises(ValidationError) as caught:
        connect(target)
    assert [violation.field for violation in caught.value.violations] == ["target"]


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_timeout_must_be_positive(seconds: int) -> None:
    """No call could succeed."""
    with pytest.raises(ValidationError, match="not positive"):
        connect(timeout=timedelta(seconds=seconds))
    with pytest.raises(ValidationError, match="not positive"):
        ServiceIntegrationClient(timeout=seconds)


async def test_a_client_can_be_closed_before_it_was_used() -> None:
    """Nothing was opened, so nothing is left."""
    async with connect():
        pass
    await ServiceIntegrationClient().close()


def test_clients_can_be_made_before_a_loop_runs() -> None:
    """As at the top of a script; the channel is opened by the first call."""
    assert connect().target == ServiceIntegrationClient().typed.target == "127.0.0.1:7420"


def test_a_lost_server_is_looked_for_every_second() -> None:
    """The library's own pauses would grow to two minutes, longer than all our retries."""
    assert set(CHANNEL_OPTIONS) < set(_OPTIONS)
    assert dict(_OPTIONS)["grpc.max_reconnect_backoff_ms"] == 1_000
