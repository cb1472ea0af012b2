"""The one way out: deadline, metadata, errors and retries of every call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast
from uuid import uuid4

import grpc.aio

from weft.client._transport.channel import Way
from weft.client._transport.forks import check_process, connected, disconnected
from weft.client._transport.retries import RetryPolicies
from weft.client._transport.traced import EARLIER_ATTEMPTS
from weft.core.clock import Clock
from weft.core.context import CallContext
from weft.core.errors import CallCancelledError, DeadlineExceededError, ServiceUnavailableError, WeftError
from weft.core.metadata import EXECUTION_ID, REQUEST_ID, STATUS_DETAILS
from weft.mesh.policies.retry import RandomSource, RetryPolicy, call_with_retry
from weft.mesh.rpc import error_from_rpc

if TYPE_CHECKING:
    from weft.client._transport.mesh import MeshClient

Q = TypeVar("Q")
A = TypeVar("A")

Metadata: TypeAlias = tuple[tuple[str, str], ...]

_PEER: Final = "weft"
_EXECUTION: Final = "execution_id"
_MAX_HEADER_CHARS: Final = 256
_LONGEST_SECONDS: Final = 100 * 365 * 86_400.0
"""gRPC counts nanoseconds since 1970: a deadline after 2262 is over at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How long a call may take."""

    span: timedelta | None
    """None: no limit."""
    in_all: bool = False
    """Whether it covers all attempts together, rather than each one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfig:
    """What all calls of one client have in common."""

    timeout: timedelta
    """How long one attempt may take, unless the call says otherwise."""
    retry: RetryPolicies
    """How often each kind of call is tried."""
    clock: Clock
    """Where waits come from."""
    chance: RandomSource | None = None
    """Where jitter comes from; None: the random module."""


class Caller:
    """Makes calls on one channel, which it opens on first use.

    Args:
        target: Address of the server, or a target of the mesh.
        config: What all calls have in common.
        mesh: Looks targets up.
    """

    def __init__(self, target: str, config: CallConfig, mesh: MeshClient | None = None) -> None:
        self._way = Way(target, mesh)
        self._target = self._way.target
        self._config = config
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def target(self) -> str:
        """``host:port`` of the server, or the target."""
        return self._target

    @property
    def retry(self) -> RetryPolicies:
        """The policies by kind of call."""
        return self._config.retry

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel; a client may be made before a loop runs, a channel may not."""
        return self._way.channel

    async def close(self) -> None:
        """End all calls and the connection."""
        self._closed = True
        await self._way.close()
        disconnected(self)

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Q, A],
        request: Q,
        policy: RetryPolicy,
        *,
        context: CallContext | None = None,
        limit: Limit | None = None,
    ) -> A:
        """Call, and call again as the policy says.

        What was accepted is waited for as a watch does, counted from the last attempt that was
        accepted: waiting for an execution outlives any number of restarts.

        Raises:
            WeftError: What the server answered, or why it did not. Its metadata have the ``execution_id``
                that any attempt was told; and the ``request_id``, where it is not known what was done.
        """
        self._check_open()
        clock, metadata = self._config.clock, _metadata(context)
        limit = limit or Limit(span=self._config.timeout)
        started = clock.monotonic()
        earlier, accepted = 0, ""

        async def attempt() -> A:
            nonlocal earlier, accepted
            seconds = _seconds_left(limit, clock.monotonic() - started)
            token = EARLIER_ATTEMPTS.set(earlier) if earlier else None
            earlier += 1
            try:
                with _rpc_errors(self._target, seconds):
                    return await method(request, timeout=seconds, metadata=metadata)
            except WeftError as error:
                accepted = error.metadata.get(_EXECUTION, accepted)
                raise
            finally:
                if token is not None:
                    EARLIER_ATTEMPTS.reset(token)

        try:
            return await call_with_retry(
                attempt, policy, clock, self._config.chance, _was_accepted, self.retry.watch
            )
        except WeftError as error:
            if accepted:
                error.metadata.setdefault(_EXECUTION, accepted)
            request_id = getattr(request, "request_id", "")
            if request_id and isinstance(error, (ServiceUnavailableError, DeadlineExceededError)):
                error.metadata.setdefault("request_id", request_id)
            raise

    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Q, A], next_request: Callable[[], Q]
    ) -> AsyncGenerator[A, None]:
        """Yield messages; when the server becomes unavailable, ask it again.

        The retry policy counts from the last message, so that a long watch
        outlives any number of restarts.

        Args:
            method: What to call, without a deadline.
            next_request: Makes the request that goes on from the last message.
        """
        self._check_open()
        call: grpc.aio.UnaryStreamCall[Q, A] | None = None

        async def next_message() -> A | None:
            nonlocal call
            try:
                with _rpc_errors(self._target):
                    call = call or method(next_request())
                    message = await call.read()
            except WeftError:
                call = None
                raise
            return None if message is grpc.aio.EOF else cast("A", message)

        try:
            while (message := await self._retried_read(next_message)) is not None:
                yield message
        finally:
            if call is not None:
                call.cancel()

    async def download(
        self, method: grpc.aio.UnaryStreamMultiCallable[Q, A], request: Q
    ) -> AsyncGenerator[A, None]:
        """Yield the messages of a stream that has an end; one that breaks off is not begun again."""
        self._check_open()
        call = method(request)
        try:
            while True:
                with _rpc_errors(self._target):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return
                yield cast("A", message)
        finally:
            call.cancel()

    async def upload(self, method: grpc.aio.StreamUnaryMultiCallable[Q, A], requests: AsyncIterator[Q]) -> A:
        """Send a stream and return the answer; one that breaks off is not sent again.

        What the requests themselves raise is raised here: gRPC only ends the call then, without a word.
        """
        self._check_open()
        faults: list[Exception] = []

        async def sent() -> AsyncGenerator[Q, None]:
            try:
                async for request in requests:
                    yield request
            except Exception as fault:
                faults.append(fault)
                raise

        try:
            with _rpc_errors(self._target):
                return await method(sent())
        except WeftError:
            if faults:
                raise faults[0] from None
            raise

    async def _retried_read(self, read: Callable[[], Awaitable[A]]) -> A:
        config = self._config
        return await call_with_retry(read, config.retry.watch, config.clock, config.chance)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this client is closed")
        check_process()
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            connected(self)
        elif self._loop is not loop:
            raise RuntimeError(
                "this client belongs to another event loop: make one in each, as in each asyncio.run"
            )


def _was_accepted(error: WeftError) -> bool:
    """Tell whether the server had taken an execution on, and said so, before the call failed."""
    return _EXECUTION in error.metadata


def new_request_id() -> str:
    """Return the key that all attempts of one mutation share."""
    return str(uuid4())


def _seconds_left(limit: Limit, elapsed: float) -> float | None:
    if limit.span is None:
        return None
    seconds = min(limit.span.total_seconds(), _LONGEST_SECONDS)
    return max(seconds - (elapsed if limit.in_all else 0), 0)


def _metadata(context: CallContext | None) -> Metadata:
    """Put the request id into the header, when a header can hold it."""
    text = context.request_id if context else ""
    fits = text.isascii() and text.isprintable() and text == text.strip()
    return ((REQUEST_ID, text),) if text and fits and len(text) <= _MAX_HEADER_CHARS else ()


@contextmanager
def _rpc_errors(target: str, seconds: float | None = None) -> Iterator[None]:
    """Raise what the server meant by the failure of an RPC, or what we make of its silence."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        found = _converted(error)
        if seconds is not None and _ran_out_here(error):
            text = f"{target} did not answer within {seconds:g} s"
            found = DeadlineExceededError(text, metadata=found.metadata)
        raise found from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled the caller: its channel was closed under the call.
        raise CallCancelledError("the client was closed during the call") from None


def _ran_out_here(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether gRPC itself ended the call at its deadline; its text then says how, not what."""
    told = any(key == STATUS_DETAILS for key, _ in error.trailing_metadata() or ())
    return not told and "deadline exceeded" in (error.details() or "").lower()


def _converted(error: grpc.aio.AioRpcError) -> WeftError:
    """Rebuild the error; one of an execution that was accepted says its id."""
    found = error_from_rpc(error, _PEER)
    for key, value in error.initial_metadata() or ():
        if key == EXECUTION_ID and isinstance(value, str):
            found.metadata.setdefault(_EXECUTION, value)
    return found
