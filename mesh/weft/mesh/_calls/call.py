"""A call as its caller sees it, whatever number of attempts it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

from weft.mesh._calls.method import Method
from weft.mesh._calls.origin import Attempt, Origin
from weft.mesh._calls.outcome import CANCELLED, Failure, Verdict, now, verdict
from weft.mesh._calls.placing import Placing, Tried, UnplacedError
from weft.mesh.balancing import Node
from weft.mesh.policies.retry import backoff
from weft.mesh.pool import Connection
from weft.mesh.route import Route

__all__ = ["MeshCall"]

T = TypeVar("T")


class MeshCall:
    """Holds the attempts of one call together.

    At any moment one of three holds: there is a current attempt, whose end is the
    call's unless another attempt follows; a task is seeking an instance for the
    next attempt; or the call has failed without one.

    A call that finds a connected instance at once never needs the task. What only
    some calls need is made when they do: most calls are short.
    """

    _current: Any = None
    _seeking: asyncio.Task[None] | None = None
    _failure: Failure | None = None
    _held: Node | None = None
    """Picked, for the seeking task to begin with."""
    _tried: Tried | None = None
    _attempts = 0
    _retries = 0
    _callbacks: tuple[Callable[[Any], None], ...] = ()
    _committed = False
    """Whether the caller has seen something of the current attempt."""

    def __init__(
        self,
        origin: Origin,
        route: Route,
        method: Method,
        request: Any,
        deadline: float | None,
        metadata: Any,
        credentials: grpc.CallCredentials | None,
        compression: grpc.Compression | None,
        waits: bool | None,  # noqa: FBT001 - as grpc.aio has it
    ) -> None:
        self._origin = origin
        self._route = route
        self._method = method
        self._request = request
        self._deadline = deadline
        self._metadata = metadata
        self._credentials = credentials
        self._compression = compression
        self._waits = waits

    def launch(self, node: Node, connection: Connection, moment: float) -> None:
        """Start an attempt at a connected instance, now."""
        self._attempts += 1
        self._seeking = None
        attempt = Attempt(self._origin, self._route, node, connection, self, moment)
        self._current = attempt.start(
            self._method,
            self._request,
            self._deadline,
            self._metadata,
            self._credentials,
            self._compression,
            self._attempts,
        )

    def seek(self, pause: float, node: Node | None = None) -> None:
        """Begin to look for an instance for the next attempt, with the one that was picked."""
        self._held = node
        self._seeking = asyncio.get_running_loop().create_task(self._find(pause))

    def done(self) -> bool:
        """Tell whether the call has ended."""
        if self._current is not None and self._seeking is None:
            return bool(self._current.done())
        return self._failure is not None

    def cancelled(self) -> bool:
        """Tell whether the call ended because it was cancelled."""
        if self._failure is not None:
            return self._failure.code is grpc.StatusCode.CANCELLED
        return self._seeking is None and self._current is not None and bool(self._current.cancelled())

    def cancel(self) -> bool:
        """Cancel the call; False when it has ended already."""
        if self.done():
            return False
        if self._seeking is None:
            return bool(self._current.cancel())
        self._seeking.cancel()
        self._fail(CANCELLED)
        return True

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back with this call when it has ended, at once if it has."""
        if self.done():
            callback(self)
        else:
            self._callbacks += (callback,)

    def time_remaining(self) -> float | None:
        """Return the seconds left; None where there is no deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - self._origin.monotonic())

    async def code(self) -> grpc.StatusCode:
        """Wait for the end and return its code."""
        return await self._at_end(lambda call: call.code(), lambda failure: failure.code)

    async def details(self) -> str:
        """Wait for the end and return its text."""
        return await self._at_end(lambda call: call.details(), lambda failure: failure.details)

    async def debug_error_string(self) -> str:
        """Wait for the end and return what gRPC says of it."""
        return await self._at_end(
            lambda call: call.debug_error_string(), lambda failure: f"made by the mesh: {failure.details}"
        )

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """Wait for the end and return the metadata that came with it."""
        return await self._at_end(
            lambda call: call.trailing_metadata(), lambda failure: grpc.aio.Metadata(*failure.metadata)
        )

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """Wait for the metadata that come before the response."""
        while True:
            await self._placed()
            if self._failure is not None:
                return grpc.aio.Metadata()
            call = self._current
            metadata: grpc.aio.Metadata = await call.initial_metadata()
            if self._counts(call):
                self._committed = self._committed or not call.done()
                return metadata

    async def wait_for_connection(self) -> None:
        """Wait until an instance has the call."""
        while True:
            await self._placed()
            self._raise_failure()
            call = self._current
            try:
                await call.wait_for_connection()
            except grpc.aio.AioRpcError:
                if self._counts(call):
                    raise
                continue
            if self._counts(call):
                return

    def attempt_ended(self, call: Any, code: grpc.StatusCode, node: Node) -> None:
        """Take note that an attempt has ended, and decide whether another one follows."""
        if call is not self._current or self._failure is not None:
            return
        if code is not grpc.StatusCode.OK and self._goes_on(call, code, node):
            return
        self._origin.active.discard(self)
        if self._callbacks:
            self._call_back()

    def _counts(self, call: Any) -> bool:
        """Tell whether that attempt is the one whose end is the call's."""
        return self._current is call and self._seeking is None

    async def _placed(self) -> None:
        """Wait until there is a current attempt, or none will be. Giving up waiting does not end the call."""
        while self._seeking is not None and self._failure is None:
            await asyncio.wait((self._seeking,))

    async def _taken(self) -> Any:
        """Return the current attempt. Giving up waiting cancels the call, as it does on a plain channel."""
        while self._seeking is not None and self._failure is None:
            try:
                await self._seeking
            except asyncio.CancelledError:
                self.cancel()  # a task that is cancelled before its first step cannot say so itself
                raise
        self._raise_failure()
        return self._current

    async def _at_end(self, read: Callable[[Any], Awaitable[T]], own: Callable[[Failure], T]) -> T:
        while True:
            await self._placed()
            if self._failure is not None:
                return own(self._failure)
            call = self._current
            found = await read(call)
            if self._counts(call):
                return found

    def _raise_failure(self) -> None:
        if self._failure is CANCELLED:
            raise asyncio.CancelledError
        if self._failure is not None:
            raise self._failure.error()

    def _goes_on(self, call: Any, code: grpc.StatusCode, node: Node) -> bool:
        """Begin another attempt, if one may follow."""
        if self._committed or not self._method.replayable or self._origin.closed:
            return False
        details: str = now(call.details()) or ""
        connected = self._origin.pool.state(node.endpoint) is grpc.ChannelConnectivity.READY
        ruling = verdict(
            code,
            details,
            now(call.trailing_metadata()),
            service=self._route.service,
            unconnected="" if connected else node.endpoint.address,
        )
        if ruling.refused:
            self._so_far().refuse(node, f"{node.endpoint.address} refused the call: {details}")
            self.seek(0.0)
            return True
        pause = self._retry_pause(ruling)
        if pause is None:
            return False
        self._so_far().avoid.add(node)
        self.seek(pause)
        return True

    def _retry_pause(self, ruling: Verdict) -> float | None:
        """Return how long to wait before a retry; None when there must be none."""
        policy = self._origin.options.retry
        if not (ruling.retryable and self._method.retried and self._retries < policy.max_retries):
            return None
        pause = ruling.pushback
        if pause is None:
            pause = backoff(policy, self._retries + 1, self._origin.chance)
        seconds = pause.total_seconds()
        moment = self._origin.monotonic()
        if self._deadline is not None and moment + seconds >= self._deadline:
            return None
        if not self._route.budget.retry(moment):
            return None
        self._retries += 1
        return seconds

    async def _find(self, pause: float) -> None:
        """Find an instance for the next attempt and start it; ends the call when there is none."""
        self._route.running += 1
        node, self._held = self._held, None
        try:
            if pause:
                await self._origin.clock.sleep(pause)
            node, connection = await self._place(node)
            self.launch(node, connection, self._origin.monotonic())
        except asyncio.CancelledError:
            self._fail(CANCELLED)
            raise
        except UnplacedError as error:
            self._fail(error.failure)
        except Exception as error:  # what a plain channel would have refused at once
            self._fail(Failure(grpc.StatusCode.UNKNOWN, str(error), cause=error))
        finally:
            self._route.running -= 1

    async def _place(self, node: Node | None) -> tuple[Node, Connection]:
        """Look for an instance; that none can be connected is retried as a failed attempt is."""
        while True:
            placing = Placing(
                self._origin,
                self._route,
                self._origin.key(self._metadata) if self._origin.hash_key else "",
                self._deadline,
                self._so_far(),
                waits=bool(self._waits),
            )
            try:
                return await placing.connected(node)
            except UnplacedError as error:
                ruling = Verdict(retryable=error.failure.code is grpc.StatusCode.UNAVAILABLE)
                pause = self._retry_pause(ruling)
                if pause is None:
                    raise
            node = None
            self._so_far().refused.clear()
            await self._origin.clock.sleep(pause)

    def _so_far(self) -> Tried:
        """Return what is known of the instances that were tried."""
        if self._tried is None:
            self._tried = Tried()
        return self._tried

    def _fail(self, failure: Failure) -> None:
        if self._failure is None:
            self._failure = failure
            if self._held is not None:
                self._route.done(self._held, None, 0.0)
            self._origin.active.discard(self)
            self._call_back()

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            callback(self)
