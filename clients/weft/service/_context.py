"""What a running action knows about its call."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from weft.core.clock import Clock, SystemClock
from weft.core.context import bind_log_context

__all__ = ["ActionContext", "activate", "current_context"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionContext:
    """Which call of an action is running, for whom, and for how long."""

    service: str
    """Name of the service."""
    action: str
    """Name of the action."""
    execution_id: str = ""
    """Id of the execution; empty for a direct call."""
    workflow_id: str = ""
    """Id of the workflow; empty for a direct call."""
    step_id: str = ""
    """The step's id in the workflow; empty for a direct call."""
    attempt: int = 1
    """1, 2, … A higher one means that an earlier attempt may have had effects."""
    idempotency_key: str = ""
    """The same for every attempt of one step of one execution."""
    project_id: str = ""
    """The caller's project."""
    request_id: str = ""
    """The caller's id of the request that caused this call."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Further values that travel with the execution."""
    deadline: datetime | None = None
    """When the caller stops waiting, in UTC; none when it waits for ever."""
    clock: Clock = field(default_factory=SystemClock, repr=False, compare=False)
    """Where ``remaining`` takes the time from."""
    cancellation: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)
    """Set when the caller gave up."""

    @property
    def remaining(self) -> timedelta | None:
        """How long the caller still waits; none when it waits for ever."""
        if self.deadline is None:
            return None
        return max(self.deadline - self.clock.now(), timedelta())

    @property
    def cancelled(self) -> bool:
        """Whether the caller gave up.

        An async action is cancelled as a task. A plain function runs on in its
        thread: ask this from time to time, and return.
        """
        return self.cancellation.is_set()

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs to ``weft.service.<name>``, with the ids of the call as extra fields."""
        return _CallLogger(logging.getLogger(f"weft.service.{self.service}"), self.ids())

    def ids(self) -> dict[str, str]:
        """Return the ids that are set, by their names here."""
        known = {
            "service": self.service,
            "action": self.action,
            "execution_id": self.execution_id,
            "workflow_id": self.workflow_id,
            "step_id": self.step_id,
            "attempt": str(self.attempt),
            "idempotency_key": self.idempotency_key,
            "project_id": self.project_id,
            "request_id": self.request_id,
        }
        return {name: value for name, value in known.items() if value}


class _CallLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the ids of the call to what a line brings itself."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}


_current: ContextVar[ActionContext] = ContextVar("weft_action_context")


def current_context() -> ActionContext:
    """Return the context of the action that is running.

    Raises:
        LookupError: No action is running here.
    """
    try:
        return _current.get()
    except LookupError:
        raise LookupError("no action is running here: current_context() works inside of one") from None


@contextmanager
def activate(context: ActionContext) -> Iterator[None]:
    """Make a context the current one of the block, and of its log lines."""
    token = _current.set(context)
    try:
        with bind_log_context(**{**context.values, **context.ids()}):
            yield
    finally:
        _current.reset(token)
