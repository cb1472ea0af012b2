"""One execution is one trace: from its start, over every attempt of a step, to its end, also across restarts.

The span of the execution itself is only sent when it ends, which may be days and
several processes later. Its id is in the history from the start, so that what runs
in between hangs below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider

from weft.core import telemetry
from weft.core.context import set_deadline
from weft.core.metadata import BAGGAGE, TRACEPARENT, TRACESTATE
from weft.mesh.tracing.context import extract, wire_headers
from weft.mesh.tracing.spans import Attributes, Tracers, fail
from weft.server.execution.history.model import EventBody, Execution, ExecutionState, StepFailed, TraceLink
from weft.server.execution.history.place import Place
from weft.server.execution.history.run import Run

__all__ = ["ExecutionTraces"]

_IDS: Final = RandomIdGenerator()
_SCOPE: Final = InstrumentationScope(telemetry.SCOPE)


class ExecutionTraces:
    """Begins, continues and ends the traces of executions.

    Args:
        provider: Where spans go; None follows the global provider of OpenTelemetry.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracers = Tracers(provider)

    def begin(self) -> TraceLink:
        """Return what the history keeps of the current trace, or of a new one where there is none."""
        context = self._tracers.rooted("execution")
        caller = trace.get_current_span(context).get_span_context()
        own = SpanContext(
            caller.trace_id,
            _IDS.generate_span_id(),
            is_remote=False,
            trace_flags=caller.trace_flags,
            trace_state=caller.trace_state,
        )
        headers = dict(wire_headers(own, context))
        return TraceLink(
            traceparent=headers[TRACEPARENT],
            tracestate=headers.get(TRACESTATE, ""),
            baggage=headers.get(BAGGAGE, ""),
            caller_span_id=f"{caller.span_id:016x}",
        )

    @contextmanager
    def within(self, run: Run) -> Iterator[None]:
        """Run the block in the trace of an execution, and without the deadline of who started it."""
        set_deadline(None)
        attached = otel.attach(_context(run.trace))
        try:
            yield
        finally:
            otel.detach(attached)

    @property
    def records(self) -> bool:
        """Whether anything can be recorded."""
        return self._tracers.current() is not None

    @contextmanager
    def attempt(self, run: Run, place: Place) -> Iterator[Span]:
        """Run the block in the span of the attempt that is scheduled at a place."""
        context = otel.get_current()
        span = trace.get_current_span(context)
        if self._tracers.current() is None or not span.get_span_context().trace_flags.sampled:
            yield trace.INVALID_SPAN
            return
        started = self._tracers.start(
            f"step {place.path}", context, SpanKind.INTERNAL, _of_attempt(run, place)
        )
        attached = otel.attach(trace.set_span_in_context(started, context))
        try:
            yield started
        finally:
            otel.detach(attached)
            started.end()

    def recorded(self, span: Span, bodies: tuple[EventBody, ...]) -> None:
        """Mark the span of an attempt as failed, if that is what is to be recorded."""
        for body in bodies:
            if isinstance(body, StepFailed) and span.is_recording():
                span.set_attribute(telemetry.REASON, body.failure.reason)
                if body.instance_id:
                    span.set_attribute(telemetry.INSTANCE_ID, body.instance_id)
                # Not the message: it may quote values of the payload.
                fail(span, body.failure.reason)

    def ended(self, run: Run, execution: Execution) -> None:
        """Send the span of an execution that has ended, with its original start."""
        tracer = self._tracers.current()
        if not isinstance(tracer, SdkTracer):
            return
        own = trace.get_current_span(_context(run.trace)).get_span_context()
        if not own.is_valid or not own.trace_flags.sampled:
            return
        caller = SpanContext(own.trace_id, int(run.trace.caller_span_id or "0", 16), is_remote=True)
        tracer.span_processor.on_end(
            ReadableSpan(
                name=f"execution {execution.workflow_name}",
                context=SpanContext(
                    own.trace_id,
                    own.span_id,
                    is_remote=False,
                    trace_flags=own.trace_flags,
                    trace_state=own.trace_state,
                ),
                parent=caller if caller.is_valid else None,
                resource=tracer.resource,
                attributes=_of_execution(execution),
                kind=SpanKind.INTERNAL,
                status=_status(execution),
                start_time=_nanoseconds(execution.create_time),
                end_time=_nanoseconds(execution.end_time or execution.create_time),
                instrumentation_scope=_SCOPE,
            )
        )


def _context(link: TraceLink) -> Context:
    headers = ((TRACEPARENT, link.traceparent), (TRACESTATE, link.tracestate), (BAGGAGE, link.baggage))
    return extract(header for header in headers if header[1])


def _of_attempt(run: Run, place: Place) -> Attributes:
    known: Attributes = {
        telemetry.EXECUTION_ID: run.execution.id,
        telemetry.WORKFLOW_ID: run.execution.workflow_id,
        telemetry.WORKFLOW_NAME: run.execution.workflow_name,
        telemetry.STEP_ID: place.path,
        telemetry.ATTEMPT: place.attempt,
        telemetry.RETRY: place.attempt > 1,
    }
    planned = place.planned
    if planned is not None:
        known.update({telemetry.SERVICE: planned.step.service, telemetry.ACTION: planned.step.action})
    return known


def _of_execution(execution: Execution) -> Attributes:
    known: Attributes = {
        telemetry.EXECUTION_ID: execution.id,
        telemetry.EXECUTION_STATE: str(execution.state),
        telemetry.WORKFLOW_ID: execution.workflow_id,
        telemetry.WORKFLOW_NAME: execution.workflow_name,
        telemetry.WORKFLOW_VERSION: execution.workflow_version,
    }
    of_caller = {
        telemetry.REQUEST_ID: execution.context.request_id,
        telemetry.PROJECT_ID: execution.context.project_id,
        telemetry.REASON: execution.failure.reason if execution.failure else "",
    }
    return {**known, **{key: value for key, value in of_caller.items() if value}}


def _status(execution: Execution) -> Status:
    if execution.state in {ExecutionState.FAILED, ExecutionState.TIMED_OUT}:
        return Status(StatusCode.ERROR, execution.failure.reason if execution.failure else None)
    return Status(StatusCode.UNSET)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000
