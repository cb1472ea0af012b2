"""The trace of a command: its root is the command itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from weft.cli._base import output
from weft.cli._base.sources import fault
from weft.core.errors import WeftError
from weft.core.reasons import Rule
from weft.core.telemetry import REASON

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["check_limit", "traced"]

_NAME: Final = "weft"
"""What traces call this process, unless ``OTEL_SERVICE_NAME`` says otherwise."""

_SWITCHES: Final = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)


_LIMIT: Final = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"


@contextmanager
def traced(command: str, *, debug: bool) -> Iterator[None]:
    """Let everything that a command calls be one trace, where the ``OTEL_*`` settings or ``--debug`` say so.

    Args:
        command: Such as ``run``; the name of the span at its root.
        debug: Whether to say the id of the trace, which servers record then if they record any.

    Raises:
        ValidationError: A setting is wrong.
    """
    if not (debug or _is_on(os.environ)):
        yield
        return
    from opentelemetry import trace  # noqa: PLC0415 - slow to import, and few use it

    with _exporting(), _root(f"weft {command}") as span:
        if debug:
            output.note(f"Trace: {trace.format_trace_id(span.get_span_context().trace_id)}")
        yield


def check_limit(environ: Mapping[str, str]) -> None:
    """Refuse what OpenTelemetry reads while it is imported, and fails at: nothing of ours could say so then.

    Raises:
        ValidationError: Naming the variable.
    """
    value = environ.get(_LIMIT, "").strip()
    if value and value.lower() != "unset" and not (value.isascii() and value.isdecimal()):
        text = f"{_LIMIT}={value[:40]!r} is wrong: it must be a whole number"
        raise fault("environment", text, Rule.INVALID)


def _is_on(environ: Mapping[str, str]) -> bool:
    return any(environ.get(name, "none") not in {"", "none"} for name in _SWITCHES)


@contextmanager
def _exporting() -> Iterator[None]:
    """Export as the settings say."""
    from weft.mesh.tracing.settings import TracingSettingsError  # noqa: PLC0415 - slow to import
    from weft.mesh.tracing.setup import configure_tracing  # noqa: PLC0415 - slow to import

    software = ""
    with suppress(PackageNotFoundError):
        software = version("weft")
    try:  # stdout is for the result
        run = configure_tracing(os.environ, _NAME, service_version=software, console=sys.stderr)
    except TracingSettingsError as error:
        raise fault("environment", str(error), Rule.INVALID) from None
    try:
        yield
    finally:
        run.close()


@contextmanager
def _root(name: str) -> Iterator[Span]:
    """Be the root of a trace while the block runs."""
    from opentelemetry import context, trace  # noqa: PLC0415 - slow to import, and few use it
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415 - same

    provider = trace.get_tracer_provider()
    if not isinstance(provider, trace.ProxyTracerProvider):
        with provider.get_tracer(_NAME).start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                _note(span, error)
                raise
        return
    # Nothing is exported here: the servers, if they export, get a parent that is not.
    ids = RandomIdGenerator()
    known = trace.SpanContext(
        ids.generate_trace_id(),
        ids.generate_span_id(),
        is_remote=False,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    made = trace.NonRecordingSpan(known)
    token = context.attach(trace.set_span_in_context(made))
    try:
        yield made
    finally:
        context.detach(token)


def _note(span: Span, error: BaseException) -> None:
    """Say that the command failed, and for what reason; never the message, which may quote values."""
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - as above

    if isinstance(error, WeftError):
        span.set_attribute(REASON, str(error.reason))
    if getattr(error, "exit_code", 1):
        span.set_status(StatusCode.ERROR)
