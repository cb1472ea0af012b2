"""What all calls of one channel have in common, and one attempt of a call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import ref

import grpc
import grpc.aio

from weft.core.clock import Clock
from weft.core.context import current_deadline
from weft.mesh._calls.method import Method
from weft.mesh._calls.outcome import FAULTS, now
from weft.mesh._calls.sent import Sent
from weft.mesh.balancing import Node
from weft.mesh.call_options import CallOptions
from weft.mesh.pool import ChannelPool, Connection
from weft.mesh.request_streams import keep_status
from weft.mesh.route import Route
from weft.mesh.tracing.port import NO_TRACING, CallTracer

__all__ = ["Attempt", "Origin"]

_OK = grpc.StatusCode.OK
_CANCELLED = grpc.StatusCode.CANCELLED
_PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"


def _no_route() -> Route | None:
    return None


class Origin:
    """What all calls of one channel have in common.

    Args:
        open_route: Returns the route of the channel's target.
        pool: The connections.
        options: Deadlines and retries.
        tracer: What happens around each attempt.
        clock: For deadlines and waits.
        chance: For jitter.
    """

    def __init__(
        self,
        open_route: Callable[[], Route],
        pool: ChannelPool,
        options: CallOptions,
        tracer: CallTracer,
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self.pool = pool
        self.options = options
        self.tracer = tracer
        self.traced = tracer is not NO_TRACING
        self.clock = clock
        self.chance = chance
        self.monotonic = clock.monotonic
        self.hash_key = options.hash_key.lower()  # as metadata is written
        self.active: set[Any] = set()
        """The calls that have not ended."""
        self.waiting: set[asyncio.Task[None]] = set()
        """What waits for an instance to be connected, without a call."""
        self.closed = False
        self._open_route = open_route
        self._route: Callable[[], Route | None] = _no_route

    def route(self) -> Route:
        """Return the route, which is opened anew when it was closed as idle.

        Raises:
            UsageError: The channel is closed.
        """
        if self.closed:
            raise grpc.aio.UsageError("Channel is closed.")
        route = self._route()
        if route is None or route.closed:
            route = self._open_route()
            self._route = ref(
                route
            )  # the mesh holds it, and a channel that nobody uses not what it once knew
        return route

    def wait(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin to wait for a connection; ends with the channel at the latest."""
        task = asyncio.create_task(work)
        self.waiting.add(task)
        task.add_done_callback(self.waiting.discard)
        return task

    def deadline(self, moment: float, timeout: float | None, default: float | None) -> float | None:
        """Return when a call of this moment ends at the latest: never later than the call it is made for."""
        if timeout is None:
            timeout = default
        end = None if timeout is None else moment + timeout
        inherited = current_deadline()
        if inherited is None:
            return end
        return inherited if end is None else min(end, inherited)

    def close(self) -> None:
        """Take no new calls, and cancel those that run."""
        self.refuse()
        for call in list(self.active):
            call.cancel()
        self.active.clear()

    def refuse(self) -> None:
        """Take no new calls, and wait for no connection any more."""
        self.closed = True
        for task in self.waiting:
            task.cancel()

    def key(self, metadata: Any) -> str:
        """Return what keeps a call together with others."""
        for key, value in metadata or ():
            if key == self.hash_key:
                return value if isinstance(value, str) else value.hex()
        return ""


class Attempt:
    """One call at one instance, from its start to its end."""

    __slots__ = ("_connection", "_node", "_origin", "_over", "_owner", "_route", "_span", "_started")

    def __init__(
        self, origin: Origin, route: Route, node: Node, connection: Connection, owner: Any, started: float
    ) -> None:
        self._origin = origin
        self._route = route
        self._node = node
        self._connection = connection
        self._owner = owner
        self._span: Any = None
        self._over = False
        self._started = started
        route.running += 1

    def start(
        self,
        method: Method,
        request: Any,
        deadline: float | None,
        metadata: Any,
        credentials: grpc.CallCredentials | None,
        compression: grpc.Compression | None,
        number: int,
    ) -> Any:
        """Start the call; it does not wait for ready, because that would tie it to this instance.

        Raises:
            Exception: Whatever the plain channel refuses; then nothing was started.
        """
        origin = self._origin
        if number > 1:
            metadata = (*(metadata or ()), (_PREVIOUS_ATTEMPTS, str(number - 1)))
        try:
            if origin.traced:
                self._span, entries = origin.tracer.start(
                    method.name,
                    tuple(metadata) if metadata else (),
                    service=self._route.service,
                    endpoint=self._node.endpoint,
                    attempt=number,
                    balancer=self._route.policy,
                )
                metadata = Sent(entries)
            call = method.on(self._connection)(
                request,
                timeout=None if deadline is None else max(0.0, deadline - self._started),
                metadata=metadata,
                credentials=credentials,
                compression=compression,
            )
        except BaseException:
            self._end(None, _CANCELLED, "not started")
            raise
        if not method.replayable:
            keep_status(call)
        call.add_done_callback(self._ended)
        return call

    def _ended(self, call: Any) -> None:
        if self._over:  # grpc.aio may say so twice
            return
        code: grpc.StatusCode = now(call.code())
        if code is _OK:
            self._end(False, code, None)
        else:
            self._end(None if code is _CANCELLED else code in FAULTS, code, now(call.details()))
        owner, self._owner = self._owner, None  # no cycle may keep what is not needed any more
        if owner is not None:
            owner.attempt_ended(call, code, self._node)
        else:
            self._origin.active.discard(call)

    def _end(self, failed: bool | None, code: grpc.StatusCode, details: str | None) -> None:  # noqa: FBT001 - inner
        self._over = True
        origin, route = self._origin, self._route
        moment = origin.monotonic()
        route.running -= 1
        route.last_used = moment
        route.done(self._node, failed, moment - self._started, moment)
        origin.pool.give_back(self._connection, moment)
        if self._span is not None:
            origin.tracer.end(self._span, code.value[0], details)
