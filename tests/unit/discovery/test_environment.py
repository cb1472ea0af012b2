"""Services named in the environment."""

from __future__ import annotations

import pytest

from tests.support.discovery import first
from weft.core.errors import ValidationError
from weft.discovery import Endpoint, Protocol, StaticResolver, parse_target
from weft.discovery.environment import EnvironmentResolver


async def test_reads_urls_and_addresses() -> None:
    """Every kind of URL, several by commas, an address alone speaks gRPC."""
    resolver = EnvironmentResolver(
        {
            "SERVICE_ORDERS_URL": "grpc://10.0.0.7:1, [::1]:2,http://shop/api",
            "SERVICE_ORDERS_V2_API_URL": "https://shop:8443",
            "SERVICE_EMPTY_URL": "  ",
            "ORDERS_URL": "nonsense",
        }
    )
    assert await first(resolver, "orders") == (
        Endpoint(host="10.0.0.7", port=1),
        Endpoint(host="::1", port=2),
        Endpoint(host="shop", port=80, protocol=Protocol.HTTP, path="/api"),
    )
    assert await first(resolver, "orders-v2.api") == (
        Endpoint(host="shop", port=8443, protocol=Protocol.HTTP, secure=True),
    )
    assert [resolver.knows(name) for name in ("orders", "Orders", "empty", "other")] == [
        True,
        True,
        False,
        False,
    ]
    assert await first(resolver, "other") == ()


def test_names_every_fault_at_once() -> None:
    """Whoever starts the process learns of every wrong variable in one go."""
    with pytest.raises(ValidationError) as caught:
        EnvironmentResolver(
            {
                "SERVICE_A_URL": "ftp://a:1,b",
                "SERVICE_B_URL": "b:1,,b:1",
                "SERVICE_C_URL": "grpc://c:1",
            }
        )
    assert [(v.field, v.reason) for v in caught.value.violations] == [
        ("SERVICE_A_URL", "ENDPOINT_SCHEME_UNSUPPORTED"),
        ("SERVICE_A_URL", "INVALID"),
        ("SERVICE_B_URL", "INVALID"),
        ("SERVICE_B_URL", "DUPLICATE"),
    ]


async def test_a_static_target_is_its_addresses() -> None:
    """``static:///`` resolves to what stands in it, in its order."""
    target = parse_target("static:///10.0.0.7:1,[::1]:2")
    assert await first(StaticResolver.of(target), target.name) == (
        Endpoint(host="10.0.0.7", port=1),
        Endpoint(host="::1", port=2),
    )
