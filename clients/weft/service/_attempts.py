"""Heartbeats of actions that were called by themselves: to the server that the instance is registered at."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any, Final

import grpc.aio

from weft.api.common.v1 import payload_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.execution.v1 import execution_service_pb2_grpc
from weft.core.errors import CallCancelledError, WeftError
from weft.core.reasons import Reason
from weft.mesh.rpc import error_from_rpc

__all__ = ["AttemptLine", "Attempts"]

_log = logging.getLogger("weft.service")

_RPC_TIMEOUT: Final = timedelta(seconds=5)


class Attempts:
    """Where the heartbeats of unary calls go; nowhere before there is a server."""

    def __init__(self) -> None:
        self._stub: Any = None

    def use(self, channel: grpc.aio.Channel | None) -> None:
        """Take the channel to the server, or take note that there is none any more."""
        self._stub = None if channel is None else execution_service_pb2_grpc.ExecutionServiceStub(channel)

    async def heartbeat(self, token: str, details: bytes) -> bool:
        """Tell that an attempt is alive; return whether it should stop.

        What cannot be told is left: the next heartbeat says it again.
        """
        if self._stub is None:
            return False
        request = pb.HeartbeatAttemptRequest(attempt_token=token)
        if details:
            request.details.CopyFrom(payload_pb2.Payload(json=details))
        try:
            answer = await self._stub.HeartbeatAttempt(request, timeout=_RPC_TIMEOUT.total_seconds())
        except grpc.aio.AioRpcError as rpc_error:
            error: WeftError = error_from_rpc(rpc_error, "execution")
            _log.debug("a heartbeat was not taken: %s", error)
            return error.reason == Reason.ATTEMPT_STALE
        return bool(answer.cancel_requested)


class AttemptLine:
    """The heartbeats of one call that runs in the current task: one under way, of the others the newest.

    Args:
        attempts: Where they go.
        token: Of the attempt; without one nobody is told.
    """

    __slots__ = ("_attempts", "_newest", "_running", "_sending", "_stopped", "_token")

    def __init__(self, attempts: Attempts, token: str) -> None:
        self._attempts = attempts
        self._token = token
        self._running = asyncio.current_task()
        self._newest: bytes | None = None
        self._sending: asyncio.Task[None] | None = None
        self._stopped = False

    def beat(self, details: bytes) -> None:
        """Send a heartbeat, as soon as the one before it was taken."""
        if not self._token:
            return
        self._newest = details or self._newest or b""
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    def check_stopped(self) -> None:
        """Say so when the call was cancelled because the engine wants it to stop.

        Raises:
            CallCancelledError: It was.
        """
        if self._stopped and self._running is not None:
            self._running.uncancel()
            raise CallCancelledError("the engine gave the attempt up")

    def close(self) -> None:
        """Send nothing further: the call has ended."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self) -> None:
        while self._newest is not None:
            details, self._newest = self._newest, None
            if await self._attempts.heartbeat(self._token, details) and self._running is not None:
                self._stopped = True
                self._running.cancel()
                break
        self._sending = None
