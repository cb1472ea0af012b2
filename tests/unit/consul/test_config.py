"""How Consul is reached, and what is wrong with what was given."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from weft.core.errors import ValidationError
from weft.discovery.consul import ConsulConfig, consul_config

_TOKEN = "7c3f6a1e-0000-4000-8000-000000000001"


def faults(environ: dict[str, str]) -> dict[str, str]:
    with pytest.raises(ValidationError) as error:
        consul_config(environ)
    return {violation.field: violation.description for violation in error.value.violations}


@pytest.mark.parametrize("environ", [{}, {"CONSUL_HTTP_ADDR": ""}, {"CONSUL_HTTP_TOKEN": "x"}])
def test_without_an_address_there_is_no_consul(environ: dict[str, str]) -> None:
    """Only the address decides whether Consul is used."""
    assert consul_config(environ) is None


@pytest.mark.parametrize(
    ("address", "flag", "url"),
    [
        ("10.0.0.1:8500", "", "http://10.0.0.1:8500"),
        ("http://10.0.0.1:8500", "", "http://10.0.0.1:8500"),
        ("http://consul.internal/", "", "http://consul.internal:8500"),
        ("https://consul.internal", "", "https://consul.internal:8501"),
        ("HTTPS://[::1]:9", "", "https://[::1]:9"),
        ("10.0.0.1:8500", "true", "https://10.0.0.1:8500"),
        ("http://10.0.0.1:8500", "1", "https://10.0.0.1:8500"),
        ("https://10.0.0.1:8500", "false", "https://10.0.0.1:8500"),
    ],
)
def test_addresses_are_read_as_consul_reads_them(address: str, flag: str, url: str) -> None:
    """With or without a scheme; TLS holds when the address or the flag asks for it."""
    config = consul_config({"CONSUL_HTTP_ADDR": address, "CONSUL_HTTP_SSL": flag})
    assert config is not None
    assert config.url == url


def test_every_variable_has_its_field() -> None:
    """The variables of Consul's own tools, and those of Weft."""
    config = consul_config(
        {
            "CONSUL_HTTP_ADDR": "10.0.0.1:8500",
            "CONSUL_HTTP_TOKEN": _TOKEN,
            "CONSUL_HTTP_SSL_VERIFY": "FALSE",
            "CONSUL_TLS_SERVER_NAME": "server.dc1.consul",
            "CONSUL_DATACENTER": "dc1",
            "WEFT_CONSUL_DATACENTER": "dc2",
            "WEFT_CONSUL_PREFIX": "team-a-",
            "WEFT_CONSUL_TTL": "1500ms",
            "WEFT_CONSUL_DEREGISTER_AFTER": "2h",
            "WEFT_CONSUL_CONNECTIONS": "60",
        }
    )
    assert config == ConsulConfig(
        address="10.0.0.1:8500",
        token=_TOKEN,
        verify=False,
        server_name="server.dc1.consul",
        datacenter="dc2",
        prefix="team-a-",
        ttl=timedelta(seconds=1.5),
        deregister_after=timedelta(hours=2),
        connections=60,
    )


def test_a_token_may_stand_in_a_file(tmp_path: Path) -> None:
    """The file wins, its white space is not part of the token, and a missing one is a fault."""
    file = tmp_path / "token"
    file.write_text(f" {_TOKEN}\n")
    environ = {"CONSUL_HTTP_ADDR": "a:1", "CONSUL_HTTP_TOKEN": "other", "CONSUL_HTTP_TOKEN_FILE": str(file)}
    config = consul_config(environ)
    assert config is not None
    assert config.token == _TOKEN
    file.unlink()
    assert "No such file" in faults(environ)["CONSUL_HTTP_TOKEN_FILE"]


@pytest.mark.parametrize("address", ["http://ann:hidden@a:1", "ann:hidden@a:1", "http://ann:hid/den@a:1"])
def test_credentials_in_the_address_are_not_shown(address: str) -> None:
    """They are refused, with where a token stands."""
    (fault,) = faults({"CONSUL_HTTP_ADDR": address}).values()
    assert fault == "must not have credentials; a token stands in CONSUL_HTTP_TOKEN"


def test_every_wrong_value_is_named_at_once(tmp_path: Path) -> None:
    """One error, each variable by its name, and no secret in it."""
    file = tmp_path / "token"
    file.write_bytes(b"\xff")
    found = faults(
        {
            "CONSUL_HTTP_ADDR": "http://10.0.0.1:99999",
            "CONSUL_HTTP_SSL": "perhaps",
            "CONSUL_HTTP_SSL_VERIFY": "2",
            "CONSUL_HTTP_TOKEN_FILE": str(file),
            "CONSUL_DATACENTER": "dc 1",
            "WEFT_CONSUL_PREFIX": "-x",
            "WEFT_CONSUL_TTL": "soon",
            "WEFT_CONSUL_DEREGISTER_AFTER": "30s",
            "WEFT_CONSUL_CONNECTIONS": "many",
        }
    )
    assert set(found) == {
        "CONSUL_HTTP_ADDR",
        "CONSUL_HTTP_SSL",
        "CONSUL_HTTP_SSL_VERIFY",
        "CONSUL_HTTP_TOKEN_FILE",
        "CONSUL_DATACENTER",
        "WEFT_CONSUL_PREFIX",
        "WEFT_CONSUL_TTL",
        "WEFT_CONSUL_DEREGISTER_AFTER",
        "WEFT_CONSUL_CONNECTIONS",
    }
    assert found["WEFT_CONSUL_DEREGISTER_AFTER"] == "30 s is not between 60 s and 2592000 s"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("unix:///var/run/consul.sock", "unix sockets are not supported"),
        ("/var/run/consul.sock", "unix sockets are not supported"),
        ("ftp://a:1", "scheme 'ftp' is not supported"),
        ("localhost", "is no host:port"),
        ("http://a:1/consul", "is no host:port"),
        ("http://user:secret@a:1", "must not have credentials"),
        ("a:0", "must be between 1 and 65535"),
    ],
)
def test_an_address_that_cannot_be_used_says_why(address: str, problem: str) -> None:
    """Sockets, other schemes, paths and credentials are refused."""
    assert problem in faults({"CONSUL_HTTP_ADDR": address})["CONSUL_HTTP_ADDR"]


def test_a_token_that_no_header_can_have_is_refused_and_not_shown() -> None:
    """Line breaks would add headers to requests."""
    found = faults({"CONSUL_HTTP_ADDR": "a:1", "CONSUL_HTTP_TOKEN": "abc\r\nX-Evil: 1"})
    assert "X-Evil" not in found["CONSUL_HTTP_TOKEN"]


def test_a_key_needs_its_certificate() -> None:
    """A key alone is a mistake."""
    found = faults({"CONSUL_HTTP_ADDR": "https://a:1", "CONSUL_CLIENT_KEY": "client.key"})
    assert found == {"CONSUL_CLIENT_CERT": "is required with a client key"}


def test_limits_are_those_of_consul() -> None:
    """Durations and counts out of range are all named."""
    with pytest.raises(ValidationError) as error:
        ConsulConfig(ttl=timedelta(0), wait=timedelta(hours=1), connections=3, max_answer=0)
    assert [v.field for v in error.value.violations] == ["ttl", "wait", "connections", "max_answer"]


def test_the_token_is_in_no_representation() -> None:
    """A configuration may be logged."""
    assert _TOKEN not in repr(ConsulConfig(token=_TOKEN))
