"""Endpoint URLs of services: which are supported, and what they mean."""

from __future__ import annotations

from urllib.parse import urlsplit

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.discovery.model import Endpoint, Protocol

__all__ = ["parse_endpoint"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_LENGTH = 2_048


def parse_endpoint(url: str, field: str = "endpoint") -> Endpoint:
    """Read ``grpc://host:port``, ``http://host[:port][/path]`` or ``https://…``.

    Raises:
        ValidationError: Another scheme, or no address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _fault(field, f"is no URL: {error}", Rule.INVALID) from None
    if len(url) > _MAX_LENGTH:
        raise _fault(field, f"is longer than {_MAX_LENGTH:,} characters", Rule.TOO_LONG)
    if parts.scheme not in {"grpc", "http", "https"}:
        raise _fault(
            field,
            f"scheme {parts.scheme[:40]!r} is not supported; use grpc://, http:// or https://",
            Rule.ENDPOINT_SCHEME_UNSUPPORTED,
        )
    port = port or _DEFAULT_PORTS.get(parts.scheme)
    if not host or not port:
        raise _fault(field, "has no host" if not host else "has no port", Rule.INVALID)
    if parts.username or parts.query or parts.fragment:
        raise _fault(field, "must not have credentials, a query or a fragment", Rule.INVALID)
    is_grpc = parts.scheme == "grpc"
    if is_grpc and parts.path not in {"", "/"}:
        raise _fault(field, "a grpc:// endpoint has no path", Rule.INVALID)
    return Endpoint(
        host=host,
        port=port,
        protocol=Protocol.GRPC if is_grpc else Protocol.HTTP,
        secure=parts.scheme == "https",
        path="" if is_grpc else parts.path.rstrip("/"),
    )


def _fault(field: str, description: str, rule: Rule) -> ValidationError:
    return ValidationError([Violation(field, description, rule)])
