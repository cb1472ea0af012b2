"""Keys of gRPC metadata and HTTP headers that Weft reads or writes."""

from __future__ import annotations

__all__ = [
    "ATTEMPT",
    "BAGGAGE",
    "EXECUTION_ID",
    "IDEMPOTENCY_KEY",
    "MAX_METADATA_BYTES",
    "PROJECT_ID",
    "REQUEST_ID",
    "STATUS_DETAILS",
    "STEP_ID",
    "TIMEOUT",
    "TRACEPARENT",
    "TRACESTATE",
    "TRACE_ID",
]

REQUEST_ID = "x-request-id"
"""The caller's id of a request; made by the first server that misses it."""

TRACE_ID = "x-trace-id"
"""Id of the trace of a call: 32 hex digits; followed when there is no ``traceparent``, always answered."""

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
BAGGAGE = "baggage"
"""The headers of W3C Trace Context and W3C Baggage."""

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
