"""How the process logs: set up once, by the composition root only."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from weft.core.context import current_log_context
from weft.mesh.departures import Departures
from weft.mesh.tracing.context import current_ids

__all__ = ["configure_logging"]


_MEANINGFUL: Final = frozenset({"exc_info", "stack_info"})
"""Keys that the formatter acts upon; a caller's own value of that name is left out."""


def configure_logging(level: str, log_format: str) -> None:
    """Write log lines to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``console``, ``json``, or ``auto``: console on a terminal.
    """
    to_console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.PositionalArgumentsFormatter(),
        _add_context,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if to_console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    handler.addFilter(Departures())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("weft").setLevel(level.upper())


def _add_context(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add what travels with the call or execution that the line belongs to."""
    for key, value in {**current_log_context(), **current_ids()}.items():
        if key not in _MEANINGFUL:
            event.setdefault(key, value)
    return event
