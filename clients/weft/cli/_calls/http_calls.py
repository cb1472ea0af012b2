"""HTTP by name at the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from weft.cli._base import output
from weft.cli._base.inputs import read_value
from weft.cli._base.session import Settings
from weft.cli._base.sources import fault
from weft.core.reasons import Rule

if TYPE_CHECKING:
    from weft.client.mesh import HttpResponse, MeshClient

__all__ = ["HttpCall"]

_DATA_IN_QUERY: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """What a command line says of a request."""

    target: str
    """Which service."""
    verb: str
    """Such as ``GET``."""
    path: str
    """Below the instance's own."""
    data: list[str] = field(default_factory=list)
    """What is sent, as it was written."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further ones."""
    timeout: timedelta | None = None
    """What the call may take."""

    async def make(self, mesh: MeshClient, settings: Settings) -> None:
        """Send the request, and print the answer: JSON as such, text as it is.

        Raises:
            WeftError: What a status other than 2xx means.
        """
        verb = self.verb.upper()
        value = self._value()
        in_query = verb in _DATA_IN_QUERY
        if in_query and value is not None and not isinstance(value, dict):
            raise fault("data", "must be an object of plain values: it becomes the query", Rule.INVALID)
        answer = await mesh.http.request(
            self.target,
            verb,
            self.path if self.path.startswith("/") else f"/{self.path}",
            None if in_query else value,
            {"accept": "application/json", **self.headers},
            params=value if in_query else None,
            timeout=self.timeout,
        )
        answer.raise_for_status()
        _show(settings, answer)

    def _value(self) -> Any:
        if len(self.data) > 1:
            raise fault("data", "is given more than once, and a request has one body", Rule.INVALID)
        return read_value(self.data[0], "data") if self.data else None


def _show(settings: Settings, answer: HttpResponse) -> None:
    if "json" in answer.headers.get("content-type", ""):
        output.pretty(settings, answer.json())
    elif not settings.for_people:
        output.document(settings, {"status": answer.status, "text": answer.text()})
    elif answer.body:
        output.line(settings, "", answer.text().rstrip("\n"))
