"""Keys of gRPC metadata and HTTP headers that Weft reads or writes."""

from __future__ import annotations

__all__ = [
    "ATTEMPT",
    "EXECUTION_ID",
    "IDEMPOTENCY_KEY",
    "MAX_METADATA_BYTES",
    "PROJECT_ID",
    "REQUEST_ID",
    "STATUS_DETAILS",
    "STEP_ID",
    "TIMEOUT",
]

REQUEST_ID = "x-request-id"
"""The caller's id of a request; made by the first server that misses it."""

PROJECT_ID = "x-project-id"

EXECUTION_ID = "weft-execution-id"
"""Id of the execution that a call belongs to, or that it started."""

STEP_ID = "weft-step-id"
ATTEMPT = "weft-attempt"
IDEMPOTENCY_KEY = "idempotency-key"

TIMEOUT = "weft-timeout-ms"
"""Milliseconds that an HTTP action has left; gRPC has ``grpc-timeout``."""

STATUS_DETAILS = "grpc-status-details-bin"

MAX_METADATA_BYTES = 7_168
"""What the details of an error stay below: from 8 KB on, gRPC refuses at random (measured)."""
