"""Where a Weft server is: one address, or a target under which its instances are found."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.discovery.target import SCHEMES, Target, parse_target

__all__ = ["parse_server"]

_ADDRESS_SCHEMES: Final = ("grpc", "http")


def parse_server(text: str, field: str = "target") -> str | Target:
    """Return ``host:port``, or the target that is written.

    Args:
        text: ``host:port``, ``grpc://host:port``, ``http://host:port/…``, or a target
            with its scheme, such as ``consul://weft-execution``.
        field: What faults are reported under.

    Raises:
        ValidationError: It is none of these.
    """
    text = text.strip()
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme in SCHEMES:
        return parse_target(text, field)
    return _address(text, field)


def _address(text: str, field: str) -> str:
    if "@" in text:
        raise _fault(field, "must not have credentials")
    try:
        parts = urlsplit(text if "://" in text else f"grpc://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:  # of a port, or of brackets
        if "range" in str(error):
            raise _fault(field, f"the port of {text[:80]!r} must be between 1 and 65535") from None
        raise _fault(field, f"{text[:80]!r} is not of the form host:port; IPv6 stands in [ ]") from None
    if parts.scheme not in _ADDRESS_SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in (*_ADDRESS_SCHEMES, *SCHEMES))
        raise _fault(field, f"{parts.scheme}:// is not spoken here; use {known} or none")
    if not host or not port:
        raise _fault(field, f"{text[:80]!r} is not of the form host:port")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _fault(field: str, description: str) -> ValidationError:
    return ValidationError([Violation(field, description, Rule.INVALID)])
