"""What an exception means to a caller."""

from __future__ import annotations

import logging
from datetime import timedelta

from weft.core.errors import InternalError, ServiceUnavailableError, WeftError
from weft.core.names import new_id
from weft.core.reasons import Reason

__all__ = ["as_weft_error", "stopping"]

_log = logging.getLogger("weft.server.rpc")


def as_weft_error(error: Exception, method: str) -> WeftError:
    """Return the error to answer with; a defect is logged in full and answered without details."""
    if isinstance(error, WeftError):
        return error
    error_id = new_id("err")
    _log.error("%s: a defect (%s)", method, error_id, exc_info=error)
    return InternalError(
        f"a defect of the server; its log has the details under {error_id}",
        metadata={"error_id": error_id},
    )


def stopping() -> ServiceUnavailableError:
    """Return the error that ends what is still open when the server stops."""
    return ServiceUnavailableError(
        "weft",
        "the server is stopping",
        reason=Reason.SERVER_DRAINING,
        retry_after=timedelta(seconds=1),
    )
