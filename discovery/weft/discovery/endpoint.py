"""Addresses and endpoint URLs: which are supported, and what they mean."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.discovery.model import Endpoint, Protocol

__all__ = ["dial_target", "is_dialable", "is_host", "parse_address", "parse_endpoint"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_LENGTH = 2_048
_MAX_HOST = 253
_NO_CREDENTIALS = "must not have credentials, a query or a fragment"
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_ADDRESS = re.compile(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<name>[^\[\]:]*)):(?P<port>[0-9]{1,5})", re.ASCII)


def is_host(text: str) -> bool:
    """Tell whether a text is a host name or an IP address, and so cannot change what is dialled."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        named = all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdecimal()
        return named and len(text) <= _MAX_HOST
    return "%" not in text  # a zone may be any text


def is_dialable(host: str) -> bool:
    """Tell whether a host is none of the IP addresses that are nobody's: unspecified or multicast."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    return not (address.is_unspecified or address.is_multicast)


def parse_address(text: str, field: str = "address") -> tuple[str, int]:
    """Read ``host:port``, with an IPv6 address in brackets.

    Raises:
        ValidationError: It is something else.
    """
    found = _ADDRESS.fullmatch(text)
    shown = repr(text[:80])
    if found is None:
        raise _fault(field, f"{shown} is no host:port, such as 10.0.0.7:50051 or [::1]:50051", Rule.INVALID)
    host = found["six"] or found["name"] or ""
    if not is_host(host) or bool(found["six"]) != (":" in host):
        raise _fault(field, f"{shown} has neither a host name nor an IP address", Rule.INVALID)
    port = int(found["port"])
    if not 1 <= port <= 65_535:
        raise _fault(field, f"the port of {shown} must be between 1 and 65535", Rule.OUT_OF_RANGE)
    return host, port


def dial_target(address: str) -> str:
    """Return what gRPC is to dial for ``host:port``: no name can choose another scheme, such as ``unix:``."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return f"ipv{ipaddress.ip_address(host).version}:{address}"
    except ValueError:
        return f"dns:///{address}"


def parse_endpoint(url: str, field: str = "endpoint") -> Endpoint:
    """Read ``grpc://host:port``, ``http://host[:port][/path]`` or ``https://…``.

    Raises:
        ValidationError: Another scheme, or no address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # it would quote what may be a password
        why = _NO_CREDENTIALS if "@" in url else "is no URL with a host and a port"
        raise _fault(field, why, Rule.INVALID) from None
    if len(url) > _MAX_LENGTH:
        raise _fault(field, f"is longer than {_MAX_LENGTH:,} characters", Rule.TOO_LONG)
    if parts.scheme not in {"grpc", "http", "https"}:
        raise _fault(
            field,
            f"scheme {parts.scheme[:40]!r} is not supported; use grpc://, http:// or https://",
            Rule.ENDPOINT_SCHEME_UNSUPPORTED,
        )
    port = _DEFAULT_PORTS.get(parts.scheme) if port is None else port
    if not host or port is None:
        raise _fault(field, "has no host" if not host else "has no port", Rule.INVALID)
    if not port:
        raise _fault(field, "the port must be between 1 and 65535", Rule.OUT_OF_RANGE)
    if not is_host(host):
        raise _fault(field, f"{host[:80]!r} is neither a host name nor an IP address", Rule.INVALID)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise _fault(field, _NO_CREDENTIALS, Rule.INVALID)
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
