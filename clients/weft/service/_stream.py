"""One engine's stream: reads what is to be run, runs each in a task of its own, writes what comes of it."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Any, Final, TypeAlias

import grpc.aio
from google.rpc import status_pb2

from weft.api.action.v1 import action_service_pb2 as pb
from weft.core.context import set_deadline
from weft.core.errors import (
    CallCancelledError,
    DeadlineExceededError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.metadata import BAGGAGE, TRACEPARENT, TRACESTATE
from weft.core.payload import loads
from weft.core.reasons import Rule
from weft.core.status import to_status
from weft.mesh.dispatch.limits import Window
from weft.mesh.grpc_actions import METHOD
from weft.mesh.serving import Call, Metadata
from weft.mesh.tracing.server import Tracing
from weft.service._answers import Answers
from weft.service._calls import Calls
from weft.service._runner import Runner

__all__ = ["WINDOW", "ActionStream"]

_log = logging.getLogger("weft.service")

_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

WINDOW: Final = Window(invocations=4_096, input_bytes=32 * 1024 * 1024)
"""What one engine may have open here."""

_LATE: Final = DeadlineExceededError("Deadline Exceeded")
_BROKEN: Final = CallCancelledError("the connection to the engine broke")

_MOST_WAITING_BYTES: Final = 8 * 1024 * 1024
"""Of results that the engine does not read; above it nothing more is read from it."""


class _Running:
    """An invocation that runs."""

    __slots__ = ("begun", "ended_by", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.ended_by: WeftError | None = None
        """Why it was cancelled, when it was."""

    def cancel(self, why: WeftError) -> None:
        """Stop it; one that has not begun looks for itself."""
        self.ended_by = self.ended_by or why
        if self.begun and self.task is not None:
            self.task.cancel()


class ActionStream:
    """A RunActions call at the provider's end.

    Args:
        context: Of the call.
        runner: Runs the actions.
        calls: Counts what runs.
        tracing: Happens around each.
        window: How much the engine may have open.
    """

    def __init__(
        self,
        context: _Context,
        runner: Runner,
        calls: Calls,
        tracing: Tracing,
        window: Window = WINDOW,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context
        self._runner = runner
        self._calls = calls
        self._tracing = tracing
        self._window = window
        self._answers = Answers(window)
        self._running: dict[int, _Running] = {}
        self._open_bytes = 0
        self._wake = asyncio.Event()
        self._wake.set()
        self._room = asyncio.Event()
        self._room.set()
        self._read_all = False
        self._finishing = False
        self._failure: WeftError | None = None

    async def serve(self) -> None:
        """Run until the engine has nothing more, or the host ends.

        Raises:
            ValidationError: The engine broke the contract.
        """
        reading = self._loop.create_task(self._read())
        try:
            await self._write()
        finally:
            reading.cancel()
            for running in self._running.values():
                if running.task is not None:
                    running.task.cancel()

    def drain(self) -> None:
        """Tell the engine to send nothing more."""
        self._answers.drain()
        self._wake.set()

    def finish(self) -> None:
        """End once everything is said, also when the engine does not."""
        self._finishing = True
        self._wake.set()

    async def _read(self) -> None:
        try:
            while (request := await self._context.read()) is not grpc.aio.EOF:
                self._take(request)
                await self._room.wait()
        except WeftError as error:
            self._failure = error
        finally:
            self._read_all = True
            self._wake.set()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._failure is not None:
                raise self._failure
            while (message := self._answers.take()) is not None:
                if self._answers.waiting_bytes <= _MOST_WAITING_BYTES:
                    self._room.set()
                await self._context.write(message)
            if not self._running and (self._read_all or self._finishing):
                return

    def _take(self, request: pb.RunActionsRequest | None) -> None:
        if request is None:  # what grpc.aio makes of bytes that are no such message
            raise _violation("", "is no RunActionsRequest")
        for invocation in request.invocations:
            self._begin(invocation)
        for cancellation in request.cancellations:
            running = self._running.get(cancellation.id)
            if running is not None:
                running.cancel(CallCancelledError(f"the engine gave it up: {cancellation.reason}"))
        for refusal in request.refusals:
            _log.warning(
                "a result came too late and was not recorded: %s (attempt %s)",
                refusal.reason,
                refusal.attempt_token or "of a direct call",
            )

    def _begin(self, invocation: pb.ActionInvocation) -> None:
        number = invocation.id
        if number in self._running:
            raise _violation("invocations.id", f"{number} is used already")
        window, size = self._window, len(invocation.input)
        if len(self._running) >= window.invocations:
            raise _violation("invocations", f"more than {window.invocations} are open")
        if self._running and self._open_bytes + size > window.input_bytes:
            raise _violation("invocations.input", f"more than {window.input_bytes} bytes are open")
        self._open_bytes += size
        running = self._running[number] = _Running()
        running.task = self._loop.create_task(self._run(invocation, running))

    async def _run(self, invocation: pb.ActionInvocation, running: _Running) -> None:
        number = invocation.id
        # Traced as an RPC of its own: whoever reads traces looks for the action, not for how it came.
        call = Call(METHOD, self._context, _headers(invocation))
        ending = self._tracing.on_start(call)
        error: WeftError | None = None
        try:
            error = await self._answer(invocation, running)
        except Exception as defect:  # it fails this invocation, and not all that run beside it
            _log.exception("invocation %d", number)
            call.exception = defect
            error = WeftError(f"{type(defect).__name__}: {defect}")
            self._answers.fail(number, _bare(error))
        finally:
            del self._running[number]
            self._open_bytes -= len(invocation.input)
            if self._answers.waiting_bytes > _MOST_WAITING_BYTES:
                self._room.clear()
            self._wake.set()
            if ending is not None:
                ending(call, error)

    async def _answer(self, invocation: pb.ActionInvocation, running: _Running) -> WeftError | None:
        """Run an invocation and answer it; return why it failed, when it did."""
        number = invocation.id
        remaining = _remaining(invocation)
        timer = None
        if remaining is not None:
            set_deadline(time.monotonic() + remaining)
            timer = self._loop.call_later(remaining, running.cancel, _LATE)
        try:
            if running.ended_by is None:
                running.begun = True
                self._answers.succeed(number, await self._output(invocation, remaining))
                return None
        except WeftError as error:
            self._answers.fail(number, to_status(error))
            return error
        except asyncio.CancelledError:  # by whoever says so below, or with the stream
            pass
        finally:
            if timer is not None:
                timer.cancel()
        why = running.ended_by or _BROKEN
        self._answers.fail(number, _bare(why))
        return why

    async def _output(self, invocation: pb.ActionInvocation, remaining: float | None) -> bytes | None:
        with self._calls.enter():
            action = self._runner.find(invocation.service, invocation.action)
            value = loads(invocation.input, "input")
            beat = partial(self._beat, invocation.id)
            return await self._runner.run(
                action, value, invocation.invocation, invocation.context, remaining, beat
            )

    def _beat(self, number: int, details: bytes) -> None:
        self._answers.beat(number, details)
        self._wake.set()


def _headers(invocation: pb.ActionInvocation) -> Metadata:
    parent = ((TRACEPARENT, invocation.traceparent),) if invocation.traceparent else ()
    if not (invocation.tracestate or invocation.baggage):
        return parent
    rest = ((TRACESTATE, invocation.tracestate), (BAGGAGE, invocation.baggage))
    return (*parent, *((key, value) for key, value in rest if value))


def _remaining(invocation: pb.ActionInvocation) -> float | None:
    if not invocation.HasField("remaining"):
        return None
    given = invocation.remaining
    return max(0.0, given.seconds + given.nanos / 1e9)


def _bare(error: WeftError) -> status_pb2.Status:
    """Return a status without details, such as gRPC makes itself of a call that has no answer."""
    return status_pb2.Status(code=int(error.code), message=to_status(error).message)


def _violation(field: str, text: str) -> ValidationError:
    return ValidationError([Violation(field, text, Rule.INVALID)])
