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

_LENGTH: Final = 55
_SPAN: Final = slice(36, 52)
_TRACE: Final = slice(3, 35)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_NOT_SAMPLED: Final = frozenset({"00", "02"})
_ALPHABET: Final = frozenset("0123456789abcdef-")
_DASHES: Final = 3
_HALF: Final = 64
_LOW: Final = (1 << _HALF) - 1


class Unsampled(NonRecordingSpan):
    """A span of elsewhere, or of nobody, whose trace is not sampled.

    Attributes:
        header: It, as a ``traceparent`` header.
    """

    def __init__(self, header: str) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)
        self.header = header

    def get_span_context(self) -> SpanContext:
        """Return its ids, which are read now."""
        if self._context is INVALID_SPAN_CONTEXT:
            header = self.header
            self._context = SpanContext(
                int(header[_TRACE], 16),
                int(header[_SPAN], 16),
                is_remote=True,
                trace_flags=TraceFlags(int(header[53:], 16)),
            )
        return self._context


def unsampled(header: str) -> Unsampled | None:
    """Return what a ``traceparent`` header names, when that is well-formed and not sampled."""
    if (
        len(header) == _LENGTH
        and header[53:] in _NOT_SAMPLED
        and header[:3] == "00-"
        and header[35] == header[52] == "-"
        and header.count("-") == _DASHES
        and _ALPHABET.issuperset(header)
        and header[_TRACE] != _NO_TRACE
        and header[_SPAN] != _NO_SPAN
    ):
        return Unsampled(header)
    return None


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
        self._bound: int | None = None
        if match is not None and (match[1] or match[3]):
            self._bound = 0 if match[1] else TraceIdRatioBased.get_bound_for_rate(float(match[3]))

    def root(self) -> str:
        """Begin a trace; return its ``traceparent``, or nothing when it is, or may be, sampled."""
        if self._bound is None:
            return ""
        low = getrandbits(_HALF)
        if low < self._bound:
            return ""
        return f"00-{getrandbits(_HALF):016x}{low or 1:016x}-{getrandbits(_HALF) or 1:016x}-02"
