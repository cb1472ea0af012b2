"""Log lines of a provider that is a program of its own."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from weft.core.context import current_log_context
from weft.mesh.departures import Departures
from weft.mesh.tracing.context import current_ids

__all__ = ["log_to_stderr"]

_IDS: Final = ("execution_id", "step_id", "request_id", "trace_id", "span_id")
"""What is shown of the running call, as far as it has them."""


def log_to_stderr() -> None:
    """Write log lines from INFO on to stderr, unless logging is configured already."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(Departures())
    root.addHandler(handler)
    if root.level == logging.WARNING:  # as Python leaves it
        root.setLevel(logging.INFO)


class _Formatter(logging.Formatter):
    """Adds the zone to the time, and the ids of the running call to the message."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002 - the method of the base
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the method of the base
        context = {**current_log_context(), **current_ids()}
        ids = " ".join(f"{name}={context[name]}" for name in _IDS if context.get(name))
        line = super().formatMessage(record)
        return f"{line} ({ids})" if ids else line
