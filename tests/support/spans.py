"""Spans kept in memory, and the process's provider while a test runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind


class Spans:
    """What was recorded, by a provider of its own."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler or ParentBased(ALWAYS_ON), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def of(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.all if span.kind is kind]

    def one(self, name: str, kind: SpanKind | None = None) -> ReadableSpan:
        found = [span for span in self.all if span.name == name and kind in {None, span.kind}]
        assert len(found) == 1, f"{name}: {[(span.name, span.kind) for span in self.all]}"
        return found[0]

    async def wait_for(self, count: int) -> tuple[ReadableSpan, ...]:
        """Wait until so many spans have ended: a server's end may come after the caller has its answer."""
        async with asyncio.timeout(10):
            while len(self.all) < count:  # noqa: ASYNC110 - the exporter keeps spans; it tells nobody
                await asyncio.sleep(0.005)
        return self.all

    async def wait_for_one(self, name: str, kind: SpanKind | None = None) -> ReadableSpan:
        """Wait until the span of that name has ended."""
        wanted = {None, kind}
        async with asyncio.timeout(10):
            while not any(it.name == name and {None, it.kind} >= wanted for it in self.all):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)
        return self.one(name, kind)

    def clear(self) -> None:
        self._exporter.clear()


@contextmanager
def global_spans(sampler: Sampler | None = None) -> Iterator[Spans]:
    """Make a provider the process's own for the block."""
    spans = Spans(sampler)
    before = trace._TRACER_PROVIDER
    trace._TRACER_PROVIDER = spans.provider
    try:
        yield spans
    finally:
        trace._TRACER_PROVIDER = before


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def is_below(span: ReadableSpan, parent: ReadableSpan) -> bool:
    return span.parent is not None and span.parent.span_id == span_id(parent)
