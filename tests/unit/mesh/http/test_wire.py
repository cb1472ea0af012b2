"""Paths and headers: no value becomes more than a value."""

from __future__ import annotations

import string
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from weft.discovery.model import Endpoint
from weft.mesh.http.wire import header_faults, header_value, join_url, method_faults, path_faults

PREFIXES = st.sampled_from(["", "/", "/v1", "/v1/", "/a/b", "/ä"])


@given(PREFIXES, st.text(max_size=30), st.booleans())
def test_a_path_stays_below_that_of_its_endpoint(prefix: str, text: str, secure: bool) -> None:  # noqa: FBT001
    """What is not refused keeps host, port and scheme, and begins with the endpoint's path."""
    path = f"/{text}"
    if path_faults(path):
        return
    endpoint = Endpoint(host="127.0.0.1", port=8080, path=prefix, secure=secure)
    url = URL(join_url(endpoint, path))
    assert (url.scheme, url.host, url.port) == ("https" if secure else "http", "127.0.0.1", 8080)
    assert url.path.startswith(prefix.rstrip("/") + "/")
    assert url.fragment == ""
    assert url.user is None


@pytest.mark.parametrize(
    "host", ["a@127.0.0.1", "u:p@127.0.0.1", "127.0.0.1/x#", "127.0.0.1?", "::1]/x#", "a\\b", "a b", "a%2fb"]
)
def test_a_host_that_is_none_is_no_other_part_of_the_url(host: str) -> None:
    """It cannot name another host, a user or a path: there is no such host, or no such URL."""
    text = join_url(Endpoint(host=host, port=80, path="/v1"), "/x")
    try:
        url = URL(text)
    except ValueError:
        return
    assert (url.user, url.raw_path, url.port) == (None, "/v1/x", 80)
    assert url.host not in {"127.0.0.1", "::1"}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "orders.internal", "münchen.example", "a_b-c"])
def test_a_host_stays_itself(host: str) -> None:
    """Also one with letters of other alphabets."""
    assert URL(join_url(Endpoint(host=host, port=80), "/x")).host == host


@given(
    PREFIXES, st.lists(st.text(string.ascii_letters + string.digits + " äß+;@:&=", min_size=1), max_size=5)
)
def test_plain_segments_arrive_as_they_are(prefix: str, segments: list[str]) -> None:
    """Quoted on the wire, and the same when they are read."""
    path = "/" + "/".join(segments)
    assert path_faults(path) == []
    url = URL(join_url(Endpoint(host="::1", port=1, path=prefix), path))
    assert unquote(url.raw_path) == prefix.rstrip("/") + path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "?a=1",
        "http://elsewhere/",
        "/a/../b",
        "/..",
        "/./a",
        "/%2e%2e/admin",
        "/%2E./admin",
        "/a\\..\\b",
        "/a%2f..%2fb",
        "/a%5c..",
        "/a#b",
        "/a\r\nHost: b",
        "/a\0",
        "/a\ud800",
    ],
)
def test_paths_that_are_refused(path: str) -> None:
    """Those that could leave the endpoint's path, or the line."""
    assert path_faults(path)


@pytest.mark.parametrize(
    "path", ["/", "/...", "/a..b", "/.well-known/x", "/a?b=../..", "/a%20b", "//a", "/a:b@c"]
)
def test_paths_that_are_taken(path: str) -> None:
    """Dots in names and in queries are nothing special."""
    assert path_faults(path) == []


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=4))
def test_headers_that_are_taken_are_one_line_each(headers: dict[str, str]) -> None:
    """Whatever is not refused cannot end a line, and has no name twice."""
    if header_faults(headers):
        return
    for name, value in headers.items():
        line = f"{name}: {value}"
        assert line.isascii()
        assert len(line.splitlines()) == 1
        assert ":" not in name
    assert len({name.lower() for name in headers}) == len(headers)


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "\0", "\x7f", "ä", 7, None, b"x"])
def test_values_that_are_refused(value: object) -> None:
    """A header is one line of ASCII text."""
    assert [fault.field for fault in header_faults({"x": value})] == ["headers.x"]


@pytest.mark.parametrize(
    "name", ["Connection", "content-length", "Transfer-Encoding", "TE", "upgrade", "Expect"]
)
def test_headers_of_the_connection_are_refused(name: str) -> None:
    """They would say where a request ends."""
    assert header_faults({name: "x"})


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", "a\r", 7])
def test_names_that_are_refused(name: object) -> None:
    """A name is a token."""
    assert [fault.field for fault in header_faults({name: "x"})] == ["headers"]


def test_tabs_and_odd_tokens_are_taken() -> None:
    """As the standard says."""
    assert header_faults({"x-!#$%&'*+.^_`|~": "a\tb ~", "Host": "example.org"}) == []


@given(st.text())
def test_a_value_of_the_context_is_one_line(value: str) -> None:
    """It loses what cannot be printed."""
    assert len(header_value(value).splitlines()) <= 1


def test_methods() -> None:
    """Seven are known."""
    assert not any(
        method_faults(name) for name in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH")
    )
    assert all(method_faults(name) for name in ("", "TRACE", "CONNECT", "get", "GET ", "GET / HTTP/1.1\r\n"))
