"""Sends spans away in the background, within bounds: what is traced never waits for who collects.

The processor of the SDK does most of this, but its stop may take 30 s, and a
collector that is down fills the log.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import TraceFlags

__all__ = ["LastWords", "QueueLimits", "SpanQueue", "quietly"]

_log = logging.getLogger("weft.tracing")

_QUIET: Final = 60.0
"""Seconds between log lines about spans that were lost."""

_EXPORTERS: Final = ("opentelemetry.exporter", "opentelemetry.sdk.trace.export", "opentelemetry.sdk.metrics")
"""Loggers of the libraries that send; each failure is a line of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How much is kept and sent at once."""

    size: int = 2_048
    """Spans that wait; what comes on top is dropped, and counted."""
    batch: int = 512
    """Spans of one request to the collector."""
    delay: timedelta = timedelta(seconds=5)
    """How long a span waits for others at most."""


class SpanQueue(SpanProcessor):
    """A bounded queue of ended spans, and a thread that sends them.

    Attributes:
        dropped: How many spans found the queue full.
        lost: How many were handed to the exporter and not delivered.
        sent: How many were delivered.

    Args:
        exporter: Delivers a batch; only the thread calls it.
        limits: How much is kept and sent at once.
    """

    def __init__(self, exporter: SpanExporter, limits: QueueLimits | None = None) -> None:
        self._exporter = exporter
        self._limits = limits or QueueLimits()
        self._waiting: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closing = False
        self._quiet_until = 0.0
        self.dropped = 0
        self.lost = 0
        self.sent = 0
        self._thread = threading.Thread(target=self._work, name="weft-span-export", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, or drop it when the queue is full; never waits."""
        context = span.context
        if context is None or not context.trace_flags & TraceFlags.SAMPLED:
            return
        waiting = self._waiting
        if self._closing or len(waiting) >= self._limits.size:
            self.dropped += 1
            return
        waiting.append(span)
        if len(waiting) == self._limits.batch:
            self._wake.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits, and tell whether that was done in time."""
        end = time.monotonic() + timeout_millis / 1_000
        while True:
            self._idle.clear()
            self._wake.set()
            if not self._idle.wait(max(0.0, end - time.monotonic())):
                return False
            if not self._waiting:
                return True

    def shutdown(self) -> None:
        """Send what waits, for 2 s at most."""
        self.close(timedelta(seconds=2))

    def close(self, bound: timedelta) -> None:
        """Send what waits and end, within a bound: what is not sent by then is lost.

        Args:
            bound: How long this may take in all.
        """
        if self._closing:
            return
        end = time.monotonic() + bound.total_seconds()
        self._closing = True
        self._wake.set()
        self._thread.join(max(0.0, end - time.monotonic()))
        left = len(self._waiting)
        self._waiting.clear()
        # In a thread of its own: an exporter that hangs in a request may hang here as well.
        closing = threading.Thread(target=self._close_exporter, name="weft-span-close", daemon=True)
        closing.start()
        closing.join(max(0.05, min(0.5, end - time.monotonic())))
        missing = self.dropped + self.lost + left
        if missing:
            _log.warning("%d spans were not delivered to the collector", missing)

    def _close_exporter(self) -> None:
        with contextlib.suppress(Exception):  # it is over, whatever it says
            self._exporter.shutdown()

    def _work(self) -> None:
        with quietly() as said:
            while not self._closing:
                self._wake.wait(self._limits.delay.total_seconds())
                self._wake.clear()
                self._send_all(said)
            self._send_all(said)

    def _send_all(self, said: LastWords) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._limits.batch))]
            if self._send(batch):
                self.sent += len(batch)
            else:
                self.lost += len(batch)
                self._complain(said.text)
        self._idle.set()

    def _send(self, batch: list[ReadableSpan]) -> bool:
        try:
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as error:  # whatever an exporter raises must not end the thread
            _log.debug("the exporter failed", exc_info=error)
            return False

    def _complain(self, why: str) -> None:
        now = time.monotonic()
        if now < self._quiet_until or self._closing:
            return
        self._quiet_until = now + _QUIET
        _log.warning(
            "traces cannot be exported: %s (%d spans lost, %d dropped so far; said once a minute)",
            why or "no reason given",
            self.lost,
            self.dropped,
        )


class LastWords(logging.Filter):
    """Keeps what an exporter says, instead of letting every line of it into the log."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a line."""
        self.text = record.getMessage()[:300]
        return False


@contextlib.contextmanager
def quietly() -> Iterator[LastWords]:
    """Keep what the libraries that send would log; give the last of it."""
    words = LastWords()
    found = [
        logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and name.startswith(_EXPORTERS)
    ]
    for logger in found:
        logger.addFilter(words)
    try:
        yield words
    finally:
        for logger in found:
            logger.removeFilter(words)
