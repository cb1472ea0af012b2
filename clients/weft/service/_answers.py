"""What a provider has to say on one stream: a state machine that knows neither gRPC nor time."""

from __future__ import annotations

from collections import deque
from typing import Final

from google.rpc import status_pb2

from weft.api.action.v1 import action_service_pb2 as pb
from weft.mesh.dispatch.limits import BATCH_BYTES, Window

__all__ = ["Answers"]

_FRAME: Final = 64
"""About what an id and the tags around it take."""

_Result = tuple[int, bytes | status_pb2.Status | None, int]


class Answers:
    """Results and heartbeats that wait to be sent; of each invocation only the newest heartbeat.

    Args:
        window: How much the engine may have open; the first message says so.
    """

    def __init__(self, window: Window) -> None:
        self._window: Window | None = window
        self._draining = False
        self._results: deque[_Result] = deque()
        self._beats: dict[int, bytes] = {}
        self._bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """How much the results take that wait."""
        return self._bytes

    def succeed(self, number: int, output: bytes | None) -> None:
        """Answer an invocation with its output; None: it is pending."""
        self._add(number, output, _FRAME + len(output or b""))

    def fail(self, number: int, status: status_pb2.Status) -> None:
        """Answer an invocation with a failure."""
        self._add(number, status, _FRAME + status.ByteSize())

    def beat(self, number: int, details: bytes) -> None:
        """Tell that an invocation is alive; details that are empty leave those that wait."""
        self._beats[number] = details or self._beats.get(number, b"")

    def drain(self) -> None:
        """Tell that no further invocation is taken."""
        self._draining = True

    def take(self) -> pb.RunActionsResponse | None:
        """Take what goes into one message; None when there is nothing to say."""
        if not (self._results or self._beats or self._window or self._draining):
            return None
        message = pb.RunActionsResponse(draining=self._draining)
        self._draining = False
        if self._window is not None:
            message.window.invocations = self._window.invocations
            message.window.input_bytes = self._window.input_bytes
            self._window = None
        self._take_beats(message, self._take_results(message))
        return message

    def _add(self, number: int, outcome: bytes | status_pb2.Status | None, size: int) -> None:
        self._beats.pop(number, None)
        self._bytes += size
        self._results.append((number, outcome, size))

    def _take_results(self, message: pb.RunActionsResponse) -> int:
        """Move results into a message, and return how many bytes they take."""
        results, add = self._results, message.results.add
        taken = 0
        while results and (not taken or taken + results[0][2] <= BATCH_BYTES):
            number, outcome, size = results.popleft()
            taken += size
            result = add()
            result.id = number
            if isinstance(outcome, bytes):
                result.output = outcome
            elif outcome is None:
                result.pending = True
            else:
                result.code, result.message = outcome.code, outcome.message
                result.details.extend(outcome.details)
        self._bytes -= taken
        return taken

    def _take_beats(self, message: pb.RunActionsResponse, taken: int) -> None:
        while self._beats and taken <= BATCH_BYTES:
            number = next(iter(self._beats))
            details = self._beats.pop(number)
            taken += _FRAME + len(details)
            message.heartbeats.add(id=number, details=details)
