"""One stream to one instance, at the engine's end: what is to be run goes out, results come back."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio

from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.action.v1 import action_service_pb2_grpc
from weft.core.errors import Code, ServiceUnavailableError, WeftError
from weft.core.metadata import TRACEPARENT
from weft.core.reasons import Reason
from weft.mesh.actions import ActionCall, UnreachableError, action_timeout
from weft.mesh.dispatch.ledger import Entry, Ledger
from weft.mesh.dispatch.limits import DispatchConfig, Window
from weft.mesh.dispatch.messages import Outgoing, call_size, request_message
from weft.mesh.tracing.port import Metadata

__all__ = ["EngineStream"]

_log = logging.getLogger("weft.mesh")

_GONE: Final = frozenset({Code.CANCELLED, Code.DEADLINE_EXCEEDED})
"""How a provider says that an invocation which was given up has ended: no result that anybody misses."""


class EngineStream:
    """A RunActions call that is kept open.

    Args:
        channel: Connected to the instance.
        address: Of the instance, for messages.
        config: Patience and bounds.
        on_end: Called once, when it has ended.

    Attributes:
        opened: Done when the instance has greeted (True), or will not (False).
        usable: Whether an invocation may be given to it now.
        draining: Whether the instance has said that it takes no more.
        code: How it ended; None while it has not.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        address: str,
        config: DispatchConfig,
        on_end: Callable[[EngineStream], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[bool] = self._loop.create_future()
        self.usable = False
        self.draining = False
        self.code: grpc.StatusCode | None = None
        self._channel = channel
        self._address = address
        self._config = config
        self._on_end = on_end
        self._details = ""
        self._ledger: Ledger[Outgoing] = Ledger()
        self._wake = asyncio.Event()
        self._leaving = False
        self._ended = False
        self._silence: grpc.StatusCode | None = None
        self._seen = 0
        self._call: Any = None
        # It is nobody's call: it has neither the deadline nor the trace of the one that needed it first.
        self._task = self._loop.create_task(self._run(), context=Context())
        self._timer = self._loop.call_later(config.open_timeout.total_seconds(), self._not_greeted)

    async def run(
        self, call: ActionCall, headers: Metadata, deadline: float, timeout: float
    ) -> pb.ActionResult:
        """Run an action and return its result, which may be a failure.

        Args:
            call: What to run.
            headers: Its trace context.
            deadline: Moment of the loop until when it may take.
            timeout: What a late one is told that it was given.

        Raises:
            UnreachableError: It was certainly not sent.
            ServiceUnavailableError: ACTION_UNAVAILABLE: the stream broke after it was sent.
            DeadlineExceededError: ACTION_TIMEOUT.
        """
        if not self.usable:
            raise UnreachableError(call.service, f"{self._address} is stopping; call another instance")
        if self._ledger.waiting >= self._config.most_waiting:
            raise UnreachableError(call.service, f"too many calls wait for {call.service} at {self._address}")
        loop = self._loop
        future: asyncio.Future[pb.ActionResult] = loop.create_future()
        entry = Entry(Outgoing(call, headers, deadline, future), call_size(call), call.attempt_token)
        self._ledger.add(entry)
        self._wake.set()
        timer = loop.call_at(deadline, self._expire, entry, timeout)
        try:
            return await future
        except asyncio.CancelledError:
            self._give_up(entry, Reason.CANCELLED)
            raise
        finally:
            timer.cancel()

    def leave(self) -> None:
        """Take nothing further, and end when all that was sent is answered."""
        self.usable = False
        self._leaving = True
        self._wake.set()

    async def close(self) -> None:
        """End at once; what is open fails."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._end()  # it had perhaps not begun

    async def _run(self) -> None:
        stub: Any = action_service_pb2_grpc.ActionServiceStub(self._channel)
        # A stream that lives for hours is no span; what it carries has spans of its own.
        parent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
        writing: asyncio.Task[None] | None = None
        try:
            self._call = stub.RunActions(metadata=((TRACEPARENT, parent),))
            writing = self._loop.create_task(self._write())
            await self._read()
        finally:
            if writing is not None:
                writing.cancel()
                self._call.cancel()
            self._end()

    async def _read(self) -> None:
        code, details = grpc.StatusCode.CANCELLED, "the connection was closed"
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                if message is None:  # what grpc.aio makes of bytes that are no such message
                    code, details = (
                        grpc.StatusCode.INTERNAL,
                        "the provider sent no RunActionsResponse",
                    )
                    return
                self._take(message)
            code, details = grpc.StatusCode.OK, "the provider ended the stream"
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details() or ""
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # else the channel was closed, and not we
        finally:
            self.code, self._details = self._silence or code, details

    async def _write(self) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the reader sees the end, and why
            while True:
                await self._wake.wait()
                self._wake.clear()
                while (batch := self._ledger.take()) is not None:
                    message, unsayable = request_message(batch, self._loop.time())
                    for entry, error in unsayable:
                        self._ledger.answer(entry.id)
                        _fail(entry, error)
                    for entry in batch.invocations:
                        _tell(entry.value.call, entry.value.call.given)
                    await self._call.write(message)
                if self._leaving and not self._ledger.open:
                    await self._call.done_writing()
                    return

    def _take(self, message: pb.RunActionsResponse) -> None:
        if message.HasField("window"):
            self._greet(message.window)
        for beat in message.heartbeats:
            self._beat(beat)
        for result in message.results:
            self._answer(result)
        if message.draining and not self.draining:
            self.draining = True
            self.leave()
            self._withdraw(f"{self._address} is stopping; call another instance")
        self._wake.set()

    def _greet(self, window: pb.StreamWindow) -> None:
        self._ledger.window = Window(invocations=window.invocations, input_bytes=window.input_bytes)
        if not self.opened.done():
            self.opened.set_result(True)
            self.usable = True
            self._timer.cancel()
            self._watch()

    def _answer(self, result: pb.ActionResult) -> None:
        entry = self._ledger.answer(result.id)
        if entry is None:
            _log.debug("%s answered invocation %d, which is not open", self._address, result.id)
        elif not entry.given_up and not entry.value.future.done():
            entry.value.future.set_result(result)
        elif result.code not in _GONE:
            self._ledger.refuse(entry)

    def _beat(self, beat: pb.ActionHeartbeat) -> None:
        entry = self._ledger.find(beat.id)
        if entry is None or entry.given_up or entry.value.call.on_heartbeat is None:
            return
        _tell(entry.value.call, partial(entry.value.call.on_heartbeat, beat.details))

    def _expire(self, entry: Entry[Outgoing], timeout: float) -> None:
        self._give_up(entry, Reason.DEADLINE_EXCEEDED)
        _fail(entry, action_timeout(entry.value.call, timeout))

    def _give_up(self, entry: Entry[Outgoing], reason: Reason) -> None:
        self._ledger.give_up(entry, reason)
        self._wake.set()

    def _not_greeted(self) -> None:
        _log.debug("%s did not greet on a stream of actions", self._address)
        self._silence = grpc.StatusCode.DEADLINE_EXCEEDED
        self._task.cancel()

    def _watch(self) -> None:
        self._seen = self._ledger.added
        self._timer = self._loop.call_later(self._config.idle.total_seconds(), self._look)

    def _look(self) -> None:
        """Leave when nothing was added, and nothing is open, for as long as a stream may be idle."""
        ledger = self._ledger
        if ledger.added == self._seen and not ledger.open and not ledger.waiting:
            self.leave()
        else:
            self._watch()

    def _withdraw(self, why: str) -> None:
        for entry in self._ledger.withdraw():
            _fail(entry, UnreachableError(entry.value.call.service, why))

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self.usable = False
        self._timer.cancel()
        self._withdraw(f"the stream to {self._address} ended before the call was sent")
        for entry in self._ledger.close():
            _fail(entry, self._broken(entry.value.call))
        if not self.opened.done():
            self.opened.set_result(False)
        self._on_end(self)

    def _broken(self, call: ActionCall) -> WeftError:
        where = f"{call.service}.{call.action} at {self._address}"
        words = f": {self._details}" if self._details else ""
        return ServiceUnavailableError(
            call.service,
            f"the connection to {where} broke during the call{words}",
            reason=Reason.ACTION_UNAVAILABLE,
            metadata=call.names(),
        )


def _tell(call: ActionCall, beat: Callable[[], None]) -> None:
    try:
        beat()
    except Exception:  # it must not end the stream for everybody
        _log.exception("a heartbeat of %s could not be taken", call.action)


def _fail(entry: Entry[Outgoing], error: Exception) -> None:
    if not entry.value.future.done():
        entry.value.future.set_exception(error)
