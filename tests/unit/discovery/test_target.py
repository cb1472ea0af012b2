"""Targets: what is read from them, what is refused, and that they are written as they are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.core.errors import ValidationError
from weft.core.reasons import Rule
from weft.discovery.model import Endpoint
from weft.discovery.target import Target, parse_location, parse_target

READ = {
    "orders": Target(name="orders"),
    "orders?tag=v1&tag=eu": Target(name="orders", tags=("v1", "eu")),
    "consul://orders?tag=v1&dc=dc1,dc2&version=^1.2": Target(
        scheme="consul", name="orders", tags=("v1",), datacenters=("dc1", "dc2"), version="^1.2"
    ),
    "CONSUL://Orders_v2.api": Target(scheme="consul", name="Orders_v2.api"),
    "consul://orders?version=%3E%3D1.2%2C%3C2&zone=a": Target(
        scheme="consul", name="orders", version=">=1.2,<2", options={"zone": "a"}
    ),
    "consul:///orders": Target(scheme="consul", name="orders"),
    "weft://orders": Target(scheme="weft", name="orders"),
    "weft://127.0.0.1:7233/orders": Target(scheme="weft", authority="127.0.0.1:7233", name="orders"),
    "dns:///orders.internal:50051": Target(scheme="dns", name="orders.internal:50051"),
    "dns://10.0.0.2/a:1": Target(scheme="dns", authority="10.0.0.2", name="a:1"),
    "dns://[::1]:8600/a.consul?srv=true": Target(
        scheme="dns", authority="[::1]:8600", name="a.consul", options={"srv": "true"}
    ),
    "dns:///_grpc._tcp.orders": Target(scheme="dns", name="_grpc._tcp.orders", options={"srv": "true"}),
    "dns:///a:1?srv=false": Target(scheme="dns", name="a:1"),
    "static:///10.0.0.7:1,[::1]:2": Target(scheme="static", name="10.0.0.7:1,[::1]:2"),
    "10.0.0.7:50051": Target(scheme="static", name="10.0.0.7:50051"),
    "[::1]:50051": Target(scheme="static", name="[::1]:50051"),
    "env://orders": Target(scheme="env", name="orders"),
}

REFUSED = {
    "": ("REQUIRED", "names no service"),
    "consul://": ("REQUIRED", "names no service"),
    "a b": ("INVALID", "no name of a service"),
    "weft://Orders": ("INVALID", "lower-case"),
    "consuk://orders": (Rule.ENDPOINT_SCHEME_UNSUPPORTED, "did you mean 'consul'?"),
    "ftp://orders": (Rule.ENDPOINT_SCHEME_UNSUPPORTED, "use consul://, dns://, env://, static://, weft://"),
    "grpc://a:1": (Rule.ENDPOINT_SCHEME_UNSUPPORTED, "as a target write its host:port"),
    "orders?tagg=v1": ("INVALID", "a bare name has no option 'tagg'; did you mean 'tag'?"),
    "consul://orders?color=red": ("INVALID", "it takes tag, dc, version, zone"),
    "weft://orders?dc=dc1": ("INVALID", "weft:// has no option 'dc'"),
    "static:///a:1?tag=v1": ("INVALID", "static:// takes no options"),
    "orders?tag": ("REQUIRED", "'tag' is empty"),
    "orders?tag=v1&tag=v1": ("DUPLICATE", "tag 'v1' stands there twice"),
    "orders?version=1&version=2": ("DUPLICATE", "'version' stands there twice"),
    "orders?dc=dc1,": ("REQUIRED", "'dc' is empty"),
    "orders?dc=d%20c": ("INVALID", "no name of a datacenter"),
    "orders?tag=a%0Ab": ("INVALID", "cannot be printed"),
    "orders?zone=" + "z" * 129: ("TOO_LONG", "128"),
    "dns:///a:1?srv=yes": ("INVALID", "true or false"),
    "dns:///_grpc._tcp.a?srv=false": ("INVALID", "no host:port"),
    "dns:///a:1?srv=true": ("INVALID", "tell the port themselves"),
    "dns://a:1": ("INVALID", "write dns:///a:1"),
    "dns:///a": ("INVALID", "no host:port"),
    "dns://a:b/c:1": ("INVALID", "no host:port"),
    "consul://agent:8500/orders": ("INVALID", "CONSUL_HTTP_ADDR"),
    "env://x/orders": ("INVALID", "nobody to ask"),
    "static:///a:1,a:1": ("DUPLICATE", "'a:1' stands there twice"),
    "static:///a:0": (Rule.OUT_OF_RANGE, "between 1 and 65535"),
    "::1:50051": ("INVALID", "no host:port"),
    "[a]:50051": ("INVALID", "neither a host name nor an IP address"),
    "orders" * 400: ("TOO_LONG", "2,048"),
}


@pytest.mark.parametrize("text", READ)
def test_reads(text: str) -> None:
    """Every form of the syntax means what the documentation says."""
    assert parse_target(text) == READ[text]


@pytest.mark.parametrize("text", REFUSED)
def test_refuses(text: str) -> None:
    """A fault is told with its field, its rule, and what to write instead."""
    rule, words = REFUSED[text]
    with pytest.raises(ValidationError) as caught:
        parse_target(text, "service")
    told = [v for v in caught.value.violations if words in v.description]
    assert [(v.field, v.reason) for v in told] == [("service", rule)]


def test_names_every_fault_at_once() -> None:
    """Faults of options and addresses are told together."""
    with pytest.raises(ValidationError) as caught:
        parse_target("static:///a:0,b?tag=1&dc=2")
    assert len(caught.value.violations) == 4


_labels = st.from_regex(r"[a-z](?:[a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
_addresses = st.builds("{}:{}".format, _labels, st.integers(1, 65_535))
_common = {
    "name": _labels,
    "tags": st.lists(_texts, unique=True, max_size=3).map(tuple),
    "version": st.just("") | _texts,
    "options": st.dictionaries(st.just("zone"), _texts),
}
_targets = st.one_of(
    st.builds(
        Target,
        scheme=st.sampled_from(["", "consul"]),
        datacenters=st.lists(_labels, unique=True, max_size=3).map(tuple),
        **_common,
    ),
    st.builds(Target, scheme=st.just("weft"), authority=st.just("") | _addresses, **_common),
    st.builds(Target, scheme=st.just("dns"), authority=st.just("") | _labels | _addresses, name=_addresses),
    st.builds(Target, scheme=st.just("dns"), name=_labels, options=st.just({"srv": "true"})),
    st.builds(
        Target,
        scheme=st.just("static"),
        name=st.lists(_addresses, min_size=1, max_size=3, unique=True).map(",".join),
    ),
)


@given(_targets)
def test_is_read_as_it_is_written(target: Target) -> None:
    """``str`` of a target is read as the same target, whatever stands in its options."""
    assert parse_target(str(target)) == target


_pieces = st.sampled_from(
    ["consul", "dns", "static", "weft", "://", "/", ":", "?", "tag", "dc", "=", "&", "%"]
)


@given(st.lists(_pieces | st.text(max_size=5), max_size=12).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text does anything else, and what is read is written and read the same."""
    try:
        target = parse_target(text)
    except ValidationError:
        return
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("grpc://10.0.0.7:50051", Endpoint(host="10.0.0.7", port=50051)),
        ("consul://orders?tag=v1", Target(scheme="consul", name="orders", tags=("v1",))),
        ("dns:///orders.internal:50051", Target(scheme="dns", name="orders.internal:50051")),
    ],
)
def test_reads_locations(url: str, expected: Endpoint | Target) -> None:
    """The endpoint of a registered service is an address, or a source of addresses."""
    assert parse_location(url) == expected


@pytest.mark.parametrize("url", ["orders", "static:///a:1", "weft://orders", "env://orders", "ftp://a:1"])
def test_refuses_other_locations(url: str) -> None:
    """A registered endpoint cannot point back at the registry, or into the server's environment."""
    with pytest.raises(ValidationError) as caught:
        parse_location(url, "service.endpoint")
    (violation,) = caught.value.violations
    assert (violation.field, violation.reason) == ("service.endpoint", Rule.ENDPOINT_SCHEME_UNSUPPORTED)
    assert "consul://" in violation.description
