"""What ``weft doctor`` looks at on this side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError

import pytest

from weft.cli._health.checks import clock_check, proxy_check, requirement_checks

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_versions() -> None:
    """A package that is too old or missing fails, with the line that installs it."""

    def find(name: str) -> str:
        if name == "grpcio-reflection":
            raise PackageNotFoundError(name)
        return "1.80.0" if name == "grpcio" else "7.36.10"

    checks = {
        check.name: check for check in requirement_checks(find, ["grpcio>=1.85.1", "protobuf>=7.36.2,<8"])
    }
    assert (checks["grpcio"].status, checks["grpcio"].hint) == ("FAIL", "pip install 'grpcio>=1.85.1'")
    assert checks["protobuf"].status == "OK"
    assert checks["grpcio-reflection"].detail == "is not installed"


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({}, "OK"),
        ({"http_proxy": "http://p:1"}, "WARN"),
        ({"http_proxy": "http://p:1", "no_proxy": "localhost, 127.0.0.1"}, "OK"),
        ({"grpc_proxy": "http://p:1", "no_grpc_proxy": "127.0.0.1"}, "OK"),
        ({"https_proxy": "http://p:1", "no_proxy": "example.org"}, "WARN"),
    ],
)
def test_proxies(environment: dict[str, str], status: str) -> None:
    """A proxy that gRPC would use for the target is pointed out."""
    assert proxy_check("127.0.0.1:7420", environment).status == status


@pytest.mark.parametrize(
    ("theirs", "status"),
    [
        (NOW, "OK"),
        (NOW - SECOND, "OK"),
        (NOW - 10 * SECOND, "WARN"),
        (NOW + 10 * SECOND, "WARN"),
    ],
)
def test_clocks(theirs: datetime, status: str) -> None:
    """Clocks that are apart by more than the answer took are pointed out."""
    found = clock_check(theirs.isoformat(), NOW, NOW + SECOND)
    assert found is not None
    assert found.status == status


@pytest.mark.parametrize("stamp", [None, "", "soon", "2026-03-01T12:00:00"])
def test_a_server_that_does_not_say_the_time(stamp: object) -> None:
    """Without a time with its zone nothing is claimed about the clocks."""
    assert clock_check(stamp, NOW, NOW) is None
