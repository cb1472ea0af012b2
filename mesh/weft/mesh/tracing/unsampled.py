"""Traces that nobody records: passed on as they came, and read only when somebody asks.

Most calls of a busy system are not sampled. What is read, made up and written
for each of them costs more than it seems to in a loop of its own, because in a
real call none of that code is in the processor's cache (measured: 37 us a call
to read one header that takes 2 us in a loop).
"""

from __future__ import annotations

import re
from random import getrandbits
from typing import Final

from opentelemetry.sdk.trace.sampling import Sampler, TraceIdRatioBased
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
)

__all__ = ["Dropping", "Unsampled", "unsampled"]

_SPAN: Final = slice(36, 52)
_TRACE: Final = slice(3, 35)
_FLAGS: Final = slice(53, 55)
_HEADER: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[02]", re.ASCII)
"""A ``traceparent`` that is not sampled."""

_BITS: Final = 192
"""Of a trace id and a span id. An id of 0, which no reader takes, is as likely as two that are alike."""
_LOW: Final = (1 << 64) - 1
"""The part of a trace id that a ratio is compared with."""


class Unsampled(NonRecordingSpan):
    """A span of elsewhere, or of nobody, whose trace is not sampled.

    Attributes:
        header: It, as a ``traceparent`` header.
    """

    def __init__(self, header: str) -> None:
        self._context = INVALID_SPAN_CONTEXT  # all that the base's own does
        self.header = header

    def ids(self) -> tuple[str, str]:
        """Return its ids of trace and span, in hexadecimal digits."""
        return self.header[_TRACE], self.header[_SPAN]

    def get_span_context(self) -> SpanContext:
        """Return its ids, which are read now."""
        if self._context is INVALID_SPAN_CONTEXT:
            trace_id, span_id = self.ids()
            self._context = SpanContext(
                int(trace_id, 16),
                int(span_id, 16),
                is_remote=True,
                trace_flags=TraceFlags(int(self.header[_FLAGS], 16)),
            )
        return self._context


def unsampled(header: str) -> Unsampled | None:
    """Return what a ``traceparent`` header names, when that is well-formed and not sampled."""
    return Unsampled(header) if _HEADER.fullmatch(header) else None


class Dropping:
    """What a sampler leaves out for certain, known without asking it for each call.

    Only the samplers of OpenTelemetry itself are understood, by how they describe
    themselves; any other one is asked each time.

    Args:
        sampler: Whose decisions these are.
    """

    _ROOT: Final = re.compile(
        r"(?:ParentBased\{root:)?(?:(AlwaysOffSampler)|(AlwaysOnSampler)|TraceIdRatioBased\{([0-9.e-]+)\})"
        r"(?:,remoteParentSampled:.*,remoteParentNotSampled:AlwaysOffSampler,"
        r"localParentSampled:.*,localParentNotSampled:AlwaysOffSampler\})?"
    )

    def __init__(self, sampler: Sampler) -> None:
        description = sampler.get_description()
        match = self._ROOT.fullmatch(description)
        self.follows_parent = match is not None and (description.startswith("Parent") or bool(match[1]))
        """Whether a span is never sampled when its parent is not."""
        self.drops_roots = False
        """Whether a span without a parent may be left out for certain."""
        self._bound = 0
        if match is not None and (match[1] or match[3]):
            self.drops_roots = True
            self._bound = 0 if match[1] else TraceIdRatioBased.get_bound_for_rate(float(match[3]))

    def root(self) -> str:
        """Begin a trace; return its ``traceparent``, or nothing when it is, or may be, sampled."""
        ids = getrandbits(_BITS)
        if ids & _LOW < self._bound or not self.drops_roots:
            return ""
        digits = f"{ids:048x}"
        return f"00-{digits[16:]}-{digits[:16]}-02"
