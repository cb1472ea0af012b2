"""RPCs by name at the command line: which there are, what they take, and calls of them."""

from __future__ import annotations

import asyncio
import base64
import binascii
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from weft.cli._base import output
from weft.cli._base.session import Settings
from weft.cli._calls.requests import one_request, requests
from weft.core.errors import DeadlineExceededError, ValidationError, Violation
from weft.core.reasons import Rule

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    from weft.client.mesh import MeshClient, ServiceDescriptors
    from weft.mesh.dynamic.descriptors import Method

__all__ = ["GrpcCall"]

_SHAPES: Final = {
    (False, False): "unary",
    (False, True): "server stream",
    (True, False): "client stream",
    (True, True): "both stream",
}
_LEAST: Final = timedelta(milliseconds=1)
"""What is left for a call at least, so that it ends by its own limit."""
_HIDDEN: Final = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")
"""Services that every server may have; they are called by their full names."""
_SCALARS: Final = dict(
    enumerate(
        (
            *("double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group"),
            *("message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64"),
        ),
        start=1,
    )
)
"""The types of fields as they are written, by the numbers that descriptors have for them."""
_ACTIONS: Final = "weft.api.action.v1.ActionService"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcCall:
    """What a command line says of a gRPC service, and of a method of it."""

    target: str
    """Which service."""
    method: str = ""
    """Which of its methods; empty for a list of them."""
    data: list[str] = field(default_factory=list)
    """Requests, as they were written."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Sent along."""
    timeout: timedelta | None = None
    """What the call may take."""
    descriptor_set: bytes = b""
    """Given by hand; empty: the service is asked."""

    async def list(self, mesh: MeshClient, settings: Settings) -> None:
        """Show every method, but those that all servers have."""
        known = await self._descriptors(mesh)
        methods = [it for it in known.methods() if not it.service.startswith(_HIDDEN)]
        if not settings.for_people:
            output.document(settings, {"items": [_plain(known, it) for it in methods]})
            return
        rows = [
            (
                it.full_name,
                _shape(it),
                _members(it.input),
                _members(it.output),
                known.comment(it.full_name.replace("/", ".")),
            )
            for it in methods
        ]
        titles = ("METHOD", "SHAPE", "TAKES", "ANSWERS", "DESCRIPTION")
        output.table(settings, titles, rows, whole=titles[:2], spare=("DESCRIPTION", "ANSWERS", "TAKES"))
        if not rows:
            output.note("Nothing found.")
        elif {it.service for it in methods} == {_ACTIONS}:
            name = self.target.rpartition("/")[2].partition("?")[0]
            output.note(f"It serves actions: `weft services get {name}` shows them.")

    async def describe(self, mesh: MeshClient, settings: Settings) -> None:
        """Show one method, with the schemas of what it takes and answers."""
        from weft.mesh.dynamic.schema import input_schema, output_schema  # noqa: PLC0415 - for this alone

        known = await self._descriptors(mesh)
        method = known.method(self.method)
        found = {
            **_plain(known, method),
            "input_schema": input_schema(known, method.input),
            "output_schema": output_schema(known, method.output),
        }
        output.pretty(settings, found)

    async def make(self, mesh: MeshClient, settings: Settings) -> None:
        """Call the method, and print what it answers: a document, or one a line of a stream."""
        started = monotonic()
        metadata = _metadata(self.metadata)
        method = (await self._descriptors(mesh)).method(self.method)
        request = requests(self.data) if method.client_streaming else one_request(self.data)
        passed = timedelta(seconds=monotonic() - started)
        left = max(self.timeout - passed, _LEAST) if self.timeout else None
        options: dict[str, Any] = {"timeout": left, "metadata": metadata}
        name = method.full_name
        if not method.server_streaming:
            output.pretty(settings, await mesh.call_service(self.target, name, request, **options))
            return
        async with aclosing(mesh.stream_service(self.target, name, request, **options)) as answers:
            async for answer in answers:
                output.stream_item(settings, answer)

    async def _descriptors(self, mesh: MeshClient) -> ServiceDescriptors:
        if self.descriptor_set:
            mesh.use_descriptors(self.target, self.descriptor_set)
        try:
            async with asyncio.timeout(self.timeout.total_seconds() if self.timeout else None):
                return await mesh.describe(self.target)
        except TimeoutError:
            text = f"the descriptors of {self.target} were not read in time"
            raise DeadlineExceededError(text, metadata={"service": self.target}) from None


def _shape(method: Method) -> str:
    return _SHAPES[method.client_streaming, method.server_streaming]


def _members(message: Descriptor) -> str:
    """Name the fields of a message with their types."""
    return ", ".join(f"{it.name}: {_kind(it)}" for it in message.fields) or "nothing"


def _kind(field: FieldDescriptor) -> str:
    named = field.message_type or field.enum_type
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        return f"map<{_kind(key)}, {_kind(value)}>"
    return (named.name if named else _SCALARS[field.type]) + ("[]" if field.is_repeated else "")


def _plain(known: ServiceDescriptors, method: Method) -> dict[str, Any]:
    return {
        "method": method.full_name,
        "shape": _shape(method),
        "input": method.input.full_name,
        "output": method.output.full_name,
        "idempotent": method.idempotent,
        "description": known.comment(method.full_name.replace("/", ".")),
    }


def _metadata(pairs: dict[str, str]) -> dict[str, str | bytes]:
    """Return what gRPC sends; a key that ends in ``-bin`` has bytes, written in base64."""
    from weft.mesh.dynamic.metadata import metadata_faults  # noqa: PLC0415 - loads gRPC

    found: dict[str, str | bytes] = {}
    faults: list[Violation] = []
    for name, text in pairs.items():
        key = name.lower()
        try:
            found[key] = base64.b64decode(text, validate=True) if key.endswith("-bin") else text
        except (binascii.Error, ValueError):
            faults.append(Violation("metadata", f"{key} has bytes: write them in base64", Rule.INVALID))
    if faults := [*faults, *metadata_faults(found.items())]:
        raise ValidationError(faults)
    return found
