"""How every gRPC channel of Weft is set up: limits and keepalive."""

from __future__ import annotations

from typing import Final

__all__ = ["CHANNEL_OPTIONS", "MAX_MESSAGE_BYTES"]

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Largest message that either end takes."""

CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)
"""Keepalive notices a dead peer in 40 s, on a silent stream too: grpcio 1.85 ignores a keepalive timeout
below its ping timeout, which is 60 s by default, and sends few pings when there is no data (measured).
Retries are the policies' business, not the library's; and calls inside a mesh do not go through the proxy
that the environment names for the web."""
