"""The four RPC shapes of a ``grpc.aio`` server folded into one: a concern sees a call start, and sees it end.

Handler types of grpc.aio are loose, so the casts of servers live here, and only here.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from weft.core.errors import CallCancelledError, ValidationError, Violation, WeftError
from weft.mesh.rpc import abort_with

__all__ = ["Answers", "Call", "Concern", "End", "InterceptorChain"]

_Context = grpc.aio.ServicerContext[Any, Any]
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
_Handler = Callable[[Any, _Context], Any]
_MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Call:
    """One running RPC.

    Args:
        method: Full name, such as ``/weft.api.registry.v1.RegistryService/GetService``.
        context: grpc.aio's own view of it.
        sent: The metadata as it came.

    Attributes:
        method: As given.
        context: As given.
        sent: As given.
        started: ``perf_counter`` at its start.
        exception: What escaped from the handler, once it ended so.
    """

    __slots__ = ("_texts", "context", "exception", "method", "sent", "started")

    def __init__(self, method: str, context: _Context, sent: Metadata) -> None:
        self.method = method
        self.context = context
        self.sent = sent
        self.started = perf_counter()
        self.exception: BaseException | None = None
        self._texts: dict[str, str] | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """What the caller sent, binary entries left out."""
        if self._texts is None:
            self._texts = {key: value for key, value in self.sent if isinstance(value, str)}
        return self._texts


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Bytes that are no request: they travel on into the handler, to be refused with a status of ours.

    What a deserializer raises, grpc.aio answers with UNKNOWN and no details.
    """

    why: str


End: TypeAlias = Callable[[Call, WeftError | None], None]
"""Sees a call end; the error is the one that the caller gets, where it is one of ours."""


class Concern(Protocol):
    """Something that happens around every call."""

    def on_start(self, call: Call) -> End | None:
        """See a call start; what it returns, if anything, sees it end, in the reverse order of the starts.

        Nothing that it sets in context variables needs to be undone: each call runs in a
        task, and so in a context, of its own.
        """
        ...


class Answers(Protocol):
    """How a server answers what its handlers raise."""

    def of(self, error: Exception, method: str) -> WeftError:
        """Return the error to answer with."""
        ...

    def stopping(self) -> WeftError:
        """Return the error that ends what is still open when the server stops."""
        ...


_arrived: ContextVar[Metadata | None] = ContextVar("weft_arrived_metadata", default=None)
"""The metadata as they came to the interceptor: each look at those of the context decodes them anew."""


class InterceptorChain(grpc.aio.ServerInterceptor):
    """Wraps every handler in the concerns, and turns what escapes into a status.

    Args:
        concerns: From the outermost to the innermost.
        answers: None leaves requests, exceptions and statuses exactly as they are.
    """

    def __init__(self, concerns: Sequence[Concern], answers: Answers | None = None) -> None:
        self._starts = tuple(concern.on_start for concern in concerns)
        self._answers = answers
        self._wrapped: dict[str, tuple[_MethodHandler, _MethodHandler]] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._ended: set[asyncio.Task[Any]] = set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_MethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _MethodHandler | None:
        """Return the wrapped handler of a method.

        It is wrapped once, but asked for each time: an interceptor further in may
        answer one call of a method with another handler, such as one that refuses.
        """
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(handler, method))
        _arrived.set(handler_call_details.invocation_metadata)  # the handler runs in this very task
        return known[1]

    def end_streams(self) -> None:
        """End every stream that is still open with UNAVAILABLE, SERVER_DRAINING.

        To cancel its task is not enough: grpc.aio then sends no status, and the
        server's own stop waits for the stream as long as its grace allows.
        """
        for task in list(self._streams):
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)
            task.cancel()

    def _wrap(self, handler: Any, method: str) -> _MethodHandler:
        shapes = {
            (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
            (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
            (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
            (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
        }
        attribute, make = shapes[handler.request_streaming, handler.response_streaming]
        inner, read = getattr(handler, attribute), handler.request_deserializer
        if self._answers is not None:
            inner = _refuse_unreadable(inner, streaming=handler.request_streaming)
            read = _tolerant(read)
        elif not _is_async(inner):
            return _as_handler(handler)  # it runs in a thread, out of reach of the concerns' context
        around = self._around_stream if handler.response_streaming else self._around_unary
        made: _MethodHandler = make(
            around(inner, method),
            request_deserializer=read,
            response_serializer=handler.response_serializer,
        )
        return made

    def _around_unary(self, inner: _Handler, method: str) -> _Handler:
        async def handle(request: Any, context: _Context) -> Any:
            call, ends = self._start(method, context)
            try:
                response = await inner(request, context)
            except BaseException as error:
                await self._fail(call, ends, error)
                raise
            if ends:
                _end(call, ends, None)
            return response

        return handle

    def _around_stream(self, inner: _Handler, method: str) -> _Handler:
        async def handle(request: Any, context: _Context) -> AsyncIterator[Any]:
            call, ends = self._start(method, context)
            task = asyncio.current_task()
            if task is not None:
                self._streams.add(task)
                task.add_done_callback(self._streams.discard)
            try:
                produced = inner(request, context)
                if inspect.isawaitable(produced):
                    await produced  # it writes to the context itself
                else:
                    async for response in produced:
                        yield response
            except BaseException as error:
                await self._fail(call, ends, error)
                raise
            _end(call, ends, None)

        return handle

    def _start(self, method: str, context: _Context) -> tuple[Call, list[End]]:
        sent = _arrived.get()
        call = Call(method, context, tuple(context.invocation_metadata() or ()) if sent is None else sent)
        ends: list[End] = []
        for start in self._starts:
            end = start(call)
            if end is not None:
                ends.append(end)
        return call, ends

    async def _fail(self, call: Call, ends: list[End], error: BaseException) -> None:
        """End a failed call: cancelled, aborted on purpose, or with a status of ours."""
        task = asyncio.current_task()
        call.exception = error
        answers = self._answers
        if answers is not None and task in self._ended and isinstance(error, asyncio.CancelledError):
            task.uncancel()
            error = answers.stopping()
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            _end(call, ends, CallCancelledError("the caller gave up"))
            raise error
        if answers is None or isinstance(error, grpc.aio.AbortError) or not isinstance(error, Exception):
            _end(call, ends, None)
            raise error
        ours = answers.of(error, call.method)
        _end(call, ends, ours)
        await abort_with(call.context, ours)


def _end(call: Call, ends: list[End], error: WeftError | None) -> None:
    for end in reversed(ends):
        end(call, error)


def _is_async(inner: Any) -> bool:
    """Tell whether grpc.aio would run a handler on the loop, rather than in a thread."""
    function = getattr(inner, "func", inner)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _as_handler(handler: Any) -> _MethodHandler:
    found: _MethodHandler = handler
    return found


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return _Unreadable(str(error))

    return read


def _refuse_unreadable(inner: _Handler, *, streaming: bool) -> _Handler:
    def handle(request: Any, context: _Context) -> Any:
        return inner(_all_readable(request) if streaming else _readable(request), context)

    return handle


async def _all_readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _readable(request)


def _readable(request: Any) -> Any:
    if isinstance(request, _Unreadable):
        raise ValidationError([Violation("", f"the request cannot be read: {request.why}")])
    return request
