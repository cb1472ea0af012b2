"""What a running action knows about its call."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Final

from weft.core.clock import Clock, SystemClock
from weft.core.context import bind_log_context
from weft.core.payload import JsonObject, dumps, loads
from weft.core.values import dataclass
from weft.service._heartbeats import MAX_DETAILS_BYTES, NO_HEARTBEATS, HeartbeatPort

__all__ = ["ActionContext", "Cancellation", "activate", "current_context"]

_events_lock: Final = threading.Lock()


class Cancellation:
    """Whether the caller gave up; the ``threading.Event`` behind it is made for who waits for that."""

    __slots__ = ("_event", "_set")

    def __init__(self) -> None:
        self._set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        """Tell whether the caller gave up."""
        return self._set

    def set(self) -> None:
        """Take note that the caller gave up."""
        self._set = True
        if self._event is not None:
            self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in a thread until the caller gives up, at most so many seconds; tell whether it did."""
        with _events_lock:
            event = self._event = self._event or threading.Event()
        return self._set or event.wait(timeout)


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
    attempt_token: str = ""
    """Names this attempt to the engine, for an outcome that comes later; empty for a direct call."""
    heartbeat_timeout: timedelta | None = None
    """How long the engine waits for a heartbeat before it takes this attempt for lost; None: for ever."""
    deadline: datetime | None = None
    """When the caller stops waiting, in UTC; none when it waits for ever."""
    clock: Clock = field(default_factory=SystemClock, repr=False, compare=False)
    """Where ``remaining`` takes the time from."""
    cancellation: Cancellation = field(default_factory=Cancellation, repr=False, compare=False)
    """Set when the caller gave up."""
    heartbeats: HeartbeatPort = field(default=NO_HEARTBEATS, repr=False, compare=False)
    """Where heartbeats go, and what the attempt before told."""

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
    def heartbeat_details(self) -> JsonObject | None:
        """What the last heartbeat of the attempt before told, so that work can go on from there."""
        return loads(self.heartbeats.previous, "heartbeat_details") if self.heartbeats.previous else None

    def heartbeat(self, details: Mapping[str, Any] | None = None) -> None:
        """Say that the action is alive, and how far it is.

        It waits for nothing, so call it as often as you like, also from a thread:
        what is sent is the newest, every third of ``heartbeat_timeout`` (without
        one: every 5 s) at most.

        Args:
            details: Kept with the execution, and given to the next attempt as its
                ``heartbeat_details``; at most 64 KiB of JSON. None keeps what was
                told before.

        Raises:
            ValidationError: The details have no JSON form, or are too large.
        """
        told = b"" if details is None else dumps(details, "details", limit=MAX_DETAILS_BYTES)
        self.heartbeats.beat(told)

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
