"""Calls whose requests are a stream that the server may end before it has all of them."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeVar

__all__ = ["keep_status"]

CallT = TypeVar("CallT")

_INNER: Final = "_cython_call"
_PATIENCE: Final = 1.0
"""Seconds that a status may take after a request could not be written any more."""


def keep_status(call: CallT) -> CallT:
    """Let a call end with what its server says, also when a request cannot be written any more.

    ``grpc.aio`` takes a request that comes after the end for a fault of its own: in
    up to every second such call "Internal error from Core" replaces the status
    that the server gave (grpc/grpc issue 36066, open in 1.85). There is no public way
    around it. A call that is built in another way stays as it is.

    Args:
        call: Just started by a plain channel, with a stream of requests.
    """
    inner = getattr(call, _INNER, None)
    if hasattr(inner, "set_internal_error") and hasattr(inner, "done"):
        patient = _PatientCall(inner)
        setattr(call, _INNER, patient)
        call.add_done_callback(patient.settled)  # type: ignore[attr-defined]  # a call of grpc.aio has it
    return call


class _PatientCall:
    """The inside of a call, which waits for the server's word before it says that something is wrong."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._timer: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def set_internal_error(self, text: str) -> None:
        """Take note that a request could not be written; the status mostly is there, or on its way."""
        if self._timer is None and not self._inner.done():
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._give_up, text)

    def settled(self, _: Any) -> None:
        """Wait no more: a timer holds the call, and gRPC keeps a connection while anybody holds a call."""
        if self._timer is not None:
            self._timer.cancel()

    def _give_up(self, text: str) -> None:
        if not self._inner.done():
            self._inner.set_internal_error(text)
