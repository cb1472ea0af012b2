"""Gives every call a request id, and every log line of it the same one."""

from __future__ import annotations

from typing import Final

from weft.core.context import set_log_context
from weft.core.metadata import PROJECT_ID, REQUEST_ID, TRACE_ID
from weft.core.names import new_id
from weft.mesh.serving import Call
from weft.mesh.tracing.context import current_ids

__all__ = ["RequestContext"]

_MAX_LENGTH: Final = 128


class RequestContext:
    """Binds ``request_id`` and ``project_id`` of the metadata to the call's log lines.

    The ids of request and trace go back to the caller in the trailing metadata, whatever the status is.
    """

    def on_start(self, call: Call) -> None:
        """Bind the ids; make a request id when the caller sent none that can be sent back."""
        request_id = _sendable(call.metadata.get(REQUEST_ID, "")) or new_id("req")
        values = {"request_id": request_id}
        trace_id = current_ids().get("trace_id", "")
        answered = (
            ((REQUEST_ID, request_id), (TRACE_ID, trace_id)) if trace_id else ((REQUEST_ID, request_id),)
        )
        call.context.set_trailing_metadata(answered)
        project = _sendable(call.metadata.get(PROJECT_ID, ""))
        if project:
            values["project_id"] = project
        set_log_context(**values)


def _sendable(text: str) -> str:
    """Keep what gRPC takes as metadata: it lets more of it in than out, and a reply that it refuses fails."""
    if text.isascii() and text.isprintable() and len(text) <= _MAX_LENGTH:
        return text.strip()
    return "".join(character for character in text[:_MAX_LENGTH] if " " <= character <= "~").strip()
