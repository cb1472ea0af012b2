"""What travels with an execution or a call: ids and values, by a context variable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = [
    "CallContext",
    "bind_log_context",
    "current_deadline",
    "current_log_context",
    "set_deadline",
    "set_log_context",
]

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What travels with an execution into every step, log line and span (A12)."""

    project_id: str = ""
    """The caller's project."""
    request_id: str = ""
    """The caller's id of the request that caused this work."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Further values."""

    def flat(self) -> dict[str, str]:
        """Return everything as one record, such as an expression or a log line sees it."""
        known = {"project_id": self.project_id, "request_id": self.request_id}
        return {**self.values, **{key: value for key, value in known.items() if value}}


_log_context: ContextVar[Mapping[str, str]] = ContextVar("weft_log_context", default=_EMPTY)


def current_log_context() -> Mapping[str, str]:
    """Return the values that log lines of the running task carry."""
    return _log_context.get()


def set_log_context(**values: str) -> None:
    """Add values to every log line that the rest of the running task, and what it starts, writes."""
    _log_context.set({**_log_context.get(), **values})


@contextmanager
def bind_log_context(**values: str) -> Iterator[None]:
    """Add values to every log line that the block, and what it starts, writes."""
    token = _log_context.set({**_log_context.get(), **values})
    try:
        yield
    finally:
        _log_context.reset(token)


_deadline: ContextVar[float | None] = ContextVar("weft_deadline", default=None)


def current_deadline() -> float | None:
    """Return when the caller of the running task stops waiting; None when nobody said.

    It is a moment of ``time.monotonic()``. Calls made from here may take less, never more.
    """
    return _deadline.get()


def set_deadline(moment: float | None) -> None:
    """Say when the caller stops waiting, for the rest of the running task and what it starts.

    Args:
        moment: In seconds of ``time.monotonic()``; None for an end that is open.
    """
    _deadline.set(moment)
