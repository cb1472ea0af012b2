"""The concerns of every RPC of the server, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.trace import TracerProvider

from weft.core.errors import WeftError
from weft.mesh.serving import Concern, InterceptorChain
from weft.mesh.tracing.server import CallerDeadline, Tracing
from weft.server.interceptors.context import RequestContext
from weft.server.interceptors.errors import as_weft_error, stopping
from weft.server.interceptors.logs import CallLog

__all__ = ["ServerChain"]


class _ServerAnswers:
    """Answers with errors of ours, and logs defects."""

    def of(self, error: Exception, method: str) -> WeftError:
        """Return the error to answer with."""
        return as_weft_error(error, method)

    def stopping(self) -> WeftError:
        """Return the error that ends what is still open when the server stops."""
        return stopping()


class ServerChain(InterceptorChain):
    """Wraps every handler of the server.

    Args:
        concerns: From the outermost to the innermost; None: tracing, deadline,
            request context and the log of calls.
        provider: Where spans go; None follows the global provider of OpenTelemetry.
    """

    def __init__(
        self, concerns: Sequence[Concern] | None = None, provider: TracerProvider | None = None
    ) -> None:
        usual: tuple[Concern, ...] = (Tracing(provider), CallerDeadline(), RequestContext(), CallLog())
        super().__init__(usual if concerns is None else concerns, _ServerAnswers())
