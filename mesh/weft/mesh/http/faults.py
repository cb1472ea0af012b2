"""How an HTTP exchange can end without an answer; callers turn these into errors of their own."""

from __future__ import annotations

from enum import StrEnum, unique

__all__ = ["BrokenError", "HttpFault", "NotConnectedError", "Phase", "TimedOutError", "TooLargeError"]


@unique
class Phase(StrEnum):
    """What an exchange waits for."""

    CONNECT = "connect"
    WRITE = "write"
    READ = "read"
    TOTAL = "total"


class HttpFault(Exception):  # noqa: N818 - the base of four ends, none of which is raised as such
    """No answer, or none that can be used."""


class NotConnectedError(HttpFault):
    """No connection could be made: certainly nothing was processed."""


class BrokenError(HttpFault):
    """The connection broke after the request was begun: it may have been processed.

    Args:
        message: For a person.
        idle: Whether it was a connection of an earlier exchange that broke before any answer.
    """

    def __init__(self, message: str, *, idle: bool = False) -> None:
        super().__init__(message)
        self.idle = idle


class TimedOutError(HttpFault):
    """A time limit passed; the request may have been processed.

    Args:
        phase: Which limit.
        seconds: How long it was.
    """

    def __init__(self, phase: Phase, seconds: float) -> None:
        super().__init__(f"{_TOOK_TOO_LONG[phase]} within {seconds:g} s")
        self.phase = phase
        self.seconds = seconds


class TooLargeError(HttpFault):
    """The body of the answer has more bytes than the caller takes.

    Args:
        limit: How many those are.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer has more than {limit:,} bytes")
        self.limit = limit


_TOOK_TOO_LONG = {
    Phase.CONNECT: "no connection",
    Phase.WRITE: "the peer took no bytes of the request",
    Phase.READ: "the peer sent no bytes of an answer",
    Phase.TOTAL: "no complete answer",
}
