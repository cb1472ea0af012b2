"""URLs of endpoints: what is refused, because it would lead somewhere else than it says."""

from __future__ import annotations

import pytest

from weft.core.errors import ValidationError
from weft.discovery.endpoint import parse_endpoint


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://a.internal:0", "between 1 and 65535"),
        ("https://a.internal:00/x", "between 1 and 65535"),
        ("grpc://a.internal:0", "between 1 and 65535"),
        ("grpc://a.internal", "has no port"),
        ("http://:80", "has no host"),
        ("http://:secret@a.internal", "must not have credentials"),
        ("http://@a.internal", "must not have credentials"),
        ("http://user@a.internal", "must not have credentials"),
        ("http://user:se/cret@a.internal", "must not have credentials"),
        ("http://a.internal:x", "is no URL with a host and a port"),
        ("http://[::1", "is no URL with a host and a port"),
    ],
)
def test_is_refused(url: str, words: str) -> None:
    """Port 0 is no default port, and credentials do not vanish."""
    with pytest.raises(ValidationError, match=words):
        parse_endpoint(url)
