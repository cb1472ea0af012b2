"""Where spans go while tracing is measured: through the queue in use, to an exporter that drops them."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

from weft.mesh.tracing.export import SpanQueue

__all__ = ["contrib_provider", "weft_provider"]


class _Dropped(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - dropped
        return SpanExportResult.SUCCESS


def weft_provider(*, sampled: bool) -> TracerProvider:
    """Return a provider as Weft sets one up; it samples every new trace or none, and follows the caller."""
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON if sampled else ALWAYS_OFF))
    provider.add_span_processor(SpanQueue(_Dropped()))
    return provider


def contrib_provider() -> TracerProvider:
    """Return a provider as the SDK sets one up, which samples every trace."""
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON))
    provider.add_span_processor(BatchSpanProcessor(_Dropped()))
    return provider
