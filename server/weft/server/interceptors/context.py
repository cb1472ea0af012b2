"""Gives every call a request id, and every log line of it the same one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

from weft.core.context import bind_log_context
from weft.core.errors import WeftError
from weft.core.metadata import PROJECT_ID, REQUEST_ID
from weft.core.names import new_id
from weft.server.interceptors._adapter import Call

__all__ = ["RequestContext"]

_MAX_LENGTH: Final = 128


class RequestContext:
    """Binds ``request_id`` and ``project_id`` of the metadata to the call's log lines."""

    def on_start(self, call: Call) -> AbstractContextManager[None]:
        """Bind the ids; make a request id when the caller sent none."""
        values = {"request_id": call.metadata.get(REQUEST_ID, "")[:_MAX_LENGTH] or new_id("req")}
        project = call.metadata.get(PROJECT_ID, "")[:_MAX_LENGTH]
        if project:
            values["project_id"] = project
        bound = bind_log_context(**values)
        bound.__enter__()
        return bound

    def on_end(self, call: Call, token: AbstractContextManager[None], error: WeftError | None) -> None:
        """Unbind them."""
        token.__exit__(None, None, None)
