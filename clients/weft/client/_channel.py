"""Where the server is: target addresses and the channel to one."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import grpc.aio

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.mesh.rpc import CHANNEL_OPTIONS

_OPTIONS: Final = (
    *CHANNEL_OPTIONS,
    # The library's own pauses between connection attempts grow to two minutes;
    # a retry within one answers from memory, though the server is long back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

_SCHEMES: Final = ("grpc", "http")


def parse_target(target: str) -> str:
    """Return ``host:port`` of ``host:port``, ``grpc://host:port`` or ``http://host:port/…``.

    Raises:
        ValidationError: It is none of these.
    """
    text = target.strip()
    try:
        parts = urlsplit(text if "://" in text else f"grpc://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _fault(f"{target[:80]!r} is no address: {error}") from None
    if parts.scheme not in _SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise _fault(f"{parts.scheme}:// is not spoken here; use {known} or none")
    if not host or not port or parts.username is not None:
        raise _fault(f"{target[:80]!r} is not of the form host:port")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_channel(target: str) -> grpc.aio.Channel:
    """Return a channel, on the running loop."""
    return grpc.aio.insecure_channel(parse_target(target), options=_OPTIONS)


def _fault(description: str) -> ValidationError:
    return ValidationError([Violation("target", description, Rule.INVALID)])
