"""Addresses and headers, so that no value can become more than a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from weft.core.errors import Violation
from weft.core.reasons import Rule
from weft.discovery.model import Endpoint

__all__ = ["METHODS", "header_faults", "header_value", "join_url", "method_faults", "path_faults"]

METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"})

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_NO_HOST: Final = re.compile(r"[^\w.:-]+")
_OWN: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to the connection: whoever sets them can tear requests apart."""


def join_url(endpoint: Endpoint, path: str) -> str:
    """Return the URL of a path at an endpoint, below the endpoint's own path.

    A host that is none stays one that cannot be found: it does not become another part of the URL.
    """
    scheme = "https" if endpoint.secure else "http"
    host = _NO_HOST.sub(lambda odd: quote(odd[0], safe=""), endpoint.host)
    authority = f"[{host}]" if ":" in host else host
    return f"{scheme}://{authority}:{endpoint.port}{endpoint.path.rstrip('/')}{path}"


def header_value(value: str) -> str:
    """Keep a header on one line, whatever the caller put into its context."""
    return "".join(character for character in value if character.isprintable())


def method_faults(method: str) -> list[Violation]:
    """Say what is wrong with a method."""
    if method in METHODS:
        return []
    return [_fault("method", f"{method!r} is none of {', '.join(sorted(METHODS))}")]


def path_faults(path: str, field: str = "path") -> list[Violation]:
    """Say what is wrong with a path; it may carry a query."""
    faults = []
    if not path.startswith("/"):
        faults.append(_fault(field, f"{path!r} does not start with /"))
    if not path.isprintable():
        faults.append(_fault(field, f"{path!r} has characters that cannot be printed"))
    if "#" in path:
        faults.append(_fault(field, "a fragment (#) never travels; write %23 for the character"))
    segments = re.split(r"[/\\]", unquote(path.partition("?")[0]))
    if {".", ".."} & set(segments):
        faults.append(_fault(field, f"{path!r} has a segment . or .., which could leave the endpoint's path"))
    return faults


def header_faults(headers: Mapping[Any, Any]) -> list[Violation]:
    """Say everything that is wrong with headers."""
    faults, seen = [], set()
    for name, value in headers.items():
        where = f"headers.{name}"
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            faults.append(_fault("headers", f"{name!r} is no name of a header"))
            continue
        if name.lower() in _OWN:
            faults.append(_fault(where, "belongs to the connection and cannot be set"))
        if name.lower() in seen:
            faults.append(_fault(where, "stands there twice", Rule.DUPLICATE))
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            faults.append(_fault(where, "must be text of printable ASCII characters, on one line"))
        seen.add(name.lower())
    return faults


def _fault(field: str, description: str, rule: Rule = Rule.INVALID) -> Violation:
    return Violation(field, description, rule)
