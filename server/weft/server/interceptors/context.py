"""Gives every call a request id, and every log line of it the same one."""

from __future__ import annotations

from typing import Final

from weft.core.context import set_log_context
from weft.core.errors import WeftError
from weft.core.metadata import PROJECT_ID, REQUEST_ID
from weft.core.names import new_id
from weft.server.interceptors._adapter import Call

__all__ = ["RequestContext"]

_MAX_LENGTH: Final = 128


class RequestContext:
    """Binds ``request_id`` and ``project_id`` of the metadata to the call's log lines.

    Nothing is unbound at the end: each call runs in a task, and so in a context, of its own.
    """

    def on_start(self, call: Call) -> None:
        """Bind the ids; make a request id when the caller sent none."""
        values = {"request_id": call.metadata.get(REQUEST_ID, "")[:_MAX_LENGTH] or new_id("req")}
        project = call.metadata.get(PROJECT_ID, "")[:_MAX_LENGTH]
        if project:
            values["project_id"] = project
        set_log_context(**values)

    def on_end(self, call: Call, token: None, error: WeftError | None) -> None:
        """Nothing."""
