"""One log line per call: failures always, successes when asked for."""

from __future__ import annotations

import logging
from time import perf_counter

from weft.core.errors import Code, WeftError
from weft.mesh.serving import Call, End
from weft.server.failpoints import failpoint

__all__ = ["CallLog"]

_log = logging.getLogger("weft.server.rpc")


class CallLog:
    """Logs how calls end: successes at DEBUG, failures at INFO, defects of ours at ERROR."""

    def on_start(self, call: Call) -> End:
        """Write the line when the call ends."""
        return _write


def _write(call: Call, error: WeftError | None) -> None:
    failpoint("reply.before")
    level = _level(error)
    if not _log.isEnabledFor(level):
        return
    _log.log(
        level,
        "%s",
        call.method,
        extra={
            "method": call.method,
            "code": error.code.name if error else "OK",
            "reason": str(error.reason) if error else "",
            "duration_ms": round((perf_counter() - call.started) * 1_000, 3),
        },
    )


def _level(error: WeftError | None) -> int:
    if error is None or error.code is Code.CANCELLED:
        return logging.DEBUG
    if error.code is Code.INTERNAL:
        return logging.ERROR
    return logging.INFO
