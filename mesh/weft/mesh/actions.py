"""The port through which an action is called, whatever it speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from datetime import timedelta
from typing import Protocol

import grpc.aio

from weft.core.context import CallContext
from weft.core.errors import DeadlineExceededError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.core.values import dataclass
from weft.core.version import VersionRange
from weft.discovery.model import Endpoint

__all__ = [
    "ActionCall",
    "ActionReply",
    "ActionTransport",
    "MethodInvoker",
    "UnreachableError",
    "action_timeout",
]


class MethodInvoker(Protocol):
    """Makes the RPCs behind the actions of a foreign service, whose messages it knows."""

    async def invoke(
        self,
        channel: grpc.aio.Channel,
        grpc_method: str,
        endpoint: Endpoint,
        call: ActionCall,
        timeout: float,
        *,
        headers: tuple[tuple[str, str | bytes], ...] = (),
    ) -> bytes:
        """Make the RPC, and return the JSON text of its output: see ``ActionTransport.invoke``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCall:
    """One call of one action: everything that the provider gets to know."""

    service: str
    """Name of the service."""
    action: str
    """Name of the action."""
    input: bytes
    """JSON text of the input object."""
    context: CallContext = field(default_factory=CallContext)
    """What travels with the call."""
    execution_id: str = ""
    """The execution it belongs to; empty for a direct call."""
    workflow_id: str = ""
    """The workflow of that execution."""
    step_id: str = ""
    """The step of that workflow."""
    attempt: int = 1
    """1, 2, …"""
    idempotency_key: str = ""
    """The same for every attempt of one step of one execution."""
    versions: VersionRange = field(default_factory=VersionRange)
    """Which versions of the service may be called."""
    grpc_method: str = ""
    """The RPC behind the action, such as ``shop.v1.Carts/GetCart``; empty: it is called as an action."""
    invoker: MethodInvoker | None = None
    """Makes that RPC; it knows the service's messages."""
    attempt_token: str = ""
    """Names the attempt to whoever started it, in heartbeats and in outcomes that come later; opaque."""
    heartbeat_timeout: timedelta | None = None
    """How long a sign of life may be awaited; None: none is expected."""
    heartbeat_details: bytes = b""
    """JSON text of what the attempt before told last, for this one to go on from there."""
    on_heartbeat: Callable[[bytes], None] | None = field(default=None, repr=False, compare=False)
    """Is told of each sign of life that a transport sees, with its details: JSON text, or nothing.
    Where one is awaited, the first comes when the call is given to an instance."""

    def given(self) -> None:
        """Take note that an instance is given it now: from here on somebody can be silent."""
        if self.heartbeat_timeout is not None and self.on_heartbeat is not None:
            self.on_heartbeat(b"")

    def names(self) -> dict[str, str]:
        """Return what an error of this call tells in its metadata."""
        return {"service": self.service, "action": self.action}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionReply:
    """What an action answered."""

    output: bytes
    """JSON text, as the provider sent it."""
    instance_id: str
    """Who ran it; empty for a bare endpoint."""
    pending: bool = False
    """Whether there is no output yet: the outcome will be reported later, with the attempt token."""


class UnreachableError(ServiceUnavailableError):
    """No connection could be made, so the call was certainly not processed."""

    default_reason = Reason.ACTION_UNAVAILABLE


def action_timeout(call: ActionCall, timeout: float) -> DeadlineExceededError:
    """Say that an action took too long."""
    return DeadlineExceededError(
        f"{call.service}.{call.action} did not answer within {timeout:.3g} s",
        reason=Reason.ACTION_TIMEOUT,
        metadata=call.names(),
    )


class ActionTransport(Protocol):
    """Carries calls to endpoints of one protocol."""

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes | None:
        """Run an action at an endpoint and return the JSON text of its output; None when it is pending.

        ``call.given()`` is called when it is sent, and not while it waits to be.

        Cancelling it cancels the action, as far as it can be told.

        Args:
            endpoint: Where.
            call: What.
            timeout: Seconds that it may take, connecting included.

        Raises:
            UnreachableError: Not connected; another endpoint may be tried.
            ServiceUnavailableError: ACTION_UNAVAILABLE: the connection broke; the action may have run.
            DeadlineExceededError: ACTION_TIMEOUT.
            ExhaustedError: ACTION_OUTPUT_TOO_LARGE.
            WeftError: What the action itself answered.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
