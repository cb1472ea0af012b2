"""Callers that leave before their answer: gRPC logs an error with a stack for some of them."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["Departures"]

_LOGGER: Final = "grpc._cython.cygrpc"
_NOBODY_THERE: Final = "ExecuteBatchError"
"""Raised inside of grpc.aio when the connection of a call is gone as something is sent on it."""


class Departures(logging.Filter):
    """Leaves out what grpc.aio logs when it could not send an answer, as nobody is there any more.

    That is nothing wrong with the server, and nothing that anybody could do something about. Whether it
    is noticed so late is a matter of microseconds: mostly such a call is cancelled, without a word.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be shown."""
        kind = record.exc_info[0] if record.exc_info else None
        return record.name != _LOGGER or kind is None or kind.__name__ != _NOBODY_THERE
