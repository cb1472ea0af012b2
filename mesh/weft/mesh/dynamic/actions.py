"""The actions of a gRPC service, made of its methods, or listed by itself."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import grpc.aio
import orjson
from google.protobuf.descriptor import Descriptor

from weft.api.action.v1 import action_service_pb2, action_service_pb2_grpc
from weft.api.common.v1 import payload_pb2
from weft.api.registry.v1 import registry_pb2
from weft.core.errors import PreconditionError, ValidationError, Violation
from weft.core.names import ACTION_NAME, closest
from weft.core.payload import JsonObject, from_payload
from weft.core.reasons import Reason, Rule
from weft.mesh.dynamic.descriptors import Method, ServiceDescriptors
from weft.mesh.dynamic.effort import Effort
from weft.mesh.dynamic.schema import input_schema, output_schema
from weft.mesh.reflection_server import REFLECTION_SERVICES
from weft.mesh.rpc import error_from_rpc

__all__ = ["ACTION_SERVICE", "MAX_ACTIONS", "DerivedAction", "derive_actions", "list_actions"]

ACTION_SERVICE: Final = "weft.api.action.v1.ActionService"
"""The service through which a provider lists and runs actions itself."""

MAX_ACTIONS: Final = 256
"""Of one service."""

_EXCLUDED: Final = frozenset(
    {*REFLECTION_SERVICES, "grpc.health.v1.Health", "grpc.channelz.v1.Channelz", ACTION_SERVICE}
)
_GOOGLE: Final = "google."
"""Packages whose services are declared by files that others import; who serves one has to name it."""
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
_MAX_DESCRIPTION: Final = 2_000
_MAX_SCHEMA_BYTES: Final = 2 * 1024 * 1024
"""Of all schemas of a service: with its descriptors it must fit into one message of gRPC, 4 MiB."""
_PAGE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedAction:
    """One action, as it can be registered."""

    name: str
    """Unique among them."""
    description: str = ""
    """What the source says about the method."""
    input_schema: JsonObject | None = None
    """JSON Schema of the input; none takes any object."""
    output_schema: JsonObject | None = None
    """JSON Schema of the output."""
    idempotent: bool = False
    """Whether running it twice has the effect of once."""
    timeout: timedelta | None = None
    """How long one call may take by default."""
    grpc_method: str = ""
    """The RPC behind it, such as ``shop.v1.Carts/GetCart``; empty: it is run by ActionService."""
    compensation: str = ""
    """Which of them undoes what it did; empty: none."""


def derive_actions(
    descriptors: ServiceDescriptors,
    grpc_services: Iterable[str] = (),
    *,
    field: str = "grpc_services",
    effort: Effort | None = None,
) -> list[DerivedAction]:
    """Make an action of every method.

    Its name is the method's; where two services have a method of that name,
    ``Service.Method``; where that is not unique either, the method's full name. A
    stream of requests is read from the input's ``requests``, a stream of responses
    is gathered in the output's ``responses``.

    It computes; of many large messages for seconds. Run it in a thread where others
    wait. Schemas that would take longer, or make the service larger than 2 MiB, say
    only that there is an object.

    Args:
        descriptors: What there is.
        grpc_services: Full names of the services to take; by default all, without
            health, reflection, channelz, ActionService and those of Google.
        field: How faults name ``grpc_services``.
        effort: What may be spent on the schemas.

    Raises:
        ValidationError: A service is not there, or there are over 256 methods.
        PreconditionError: DESCRIPTORS_UNAVAILABLE: there is nothing to call.
    """
    services = _chosen(descriptors, tuple(grpc_services), field)
    methods = descriptors.methods(services) if services else []
    if not methods:
        raise PreconditionError(
            "there is no method to make an action of", reason=Reason.DESCRIPTORS_UNAVAILABLE
        )
    if len(methods) > MAX_ACTIONS:
        text = f"{len(methods):,} methods are over the limit of {MAX_ACTIONS} actions; name fewer services"
        raise ValidationError([Violation(field, text, Rule.TOO_MANY)])
    schemas = _Schemas(descriptors, effort or Effort())
    return [
        DerivedAction(
            name=name,
            description=descriptors.comment(f"{method.service}.{method.name}")[:_MAX_DESCRIPTION],
            input_schema=schemas.of(input_schema, method.input, stream=method.client_streaming),
            output_schema=schemas.of(output_schema, method.output, stream=method.server_streaming),
            idempotent=method.idempotent,
            grpc_method=method.full_name,
        )
        for method, name in zip(methods, _names(methods), strict=True)
    ]


class _Schemas:
    """Makes each schema once, as methods of one service share messages, and all of them within bounds."""

    def __init__(self, descriptors: ServiceDescriptors, effort: Effort) -> None:
        self._descriptors = descriptors
        self._effort = effort
        self._bytes_left = _MAX_SCHEMA_BYTES
        self._made: dict[tuple[Any, ...], tuple[JsonObject, int]] = {}

    def of(self, make: Callable[..., JsonObject], kind: Descriptor, *, stream: bool) -> JsonObject:
        key = (make, kind.full_name, stream)
        if key not in self._made:
            schema = make(self._descriptors, kind, stream=stream, effort=self._effort)
            self._made[key] = (schema, len(orjson.dumps(schema)))
        schema, size = self._made[key]
        if size > self._bytes_left:
            return {"type": "object"}
        self._bytes_left -= size
        return schema


def _chosen(descriptors: ServiceDescriptors, wanted: Sequence[str], field: str) -> list[str]:
    known = descriptors.services
    if not wanted:
        return [name for name in known if name not in _EXCLUDED and not name.startswith(_GOOGLE)]
    faults = [
        Violation(
            f"{field}[{number}]",
            f"no gRPC service {name[:200]!r}; {closest(name, list(known)) or 'there are none'}",
            Rule.SERVICE_UNKNOWN,
        )
        for number, name in enumerate(wanted)
        if name not in known
    ]
    if faults:
        raise ValidationError(faults)
    return list(dict.fromkeys(wanted))


def _names(methods: Sequence[Method]) -> list[str]:
    """Return the shortest name of each that no other has."""
    choices = [
        [_valid(method.name), _valid(f"{short}.{method.name}"), _valid(f"{method.service}.{method.name}")]
        for method in methods
        for short in (method.service.rpartition(".")[2],)
    ]
    counts = [Counter(names[length] for names in choices) for length in range(3)]
    found: list[str] = []
    for number, names in enumerate(choices):
        unique = [name for length, name in enumerate(names) if counts[length][name] == 1]
        name = unique[0] if unique else names[2]
        found.append(name if name not in found else f"{name[:120]}-{number}")
    return found


def _valid(name: str) -> str:
    """Make a name fit for an action: of two that become the same, one is numbered."""
    name = _NOT_IN_A_NAME.sub("_", name)
    if not name[:1].isalpha():
        name = f"m{name}"
    name = name if len(name) <= 128 else f"m{name[-127:]}"
    assert ACTION_NAME.fullmatch(name)
    return name


async def list_actions(
    channel: grpc.aio.Channel, peer: str = "the server", *, timeout: timedelta = timedelta(seconds=10)
) -> list[DerivedAction]:
    """Ask a server that has ActionService which actions it runs.

    Raises:
        ValidationError: A schema is no JSON object, or there are over 256 actions.
        WeftError: The call failed, or took too long.
    """
    stub: action_service_pb2_grpc.ActionServiceAsyncStub
    stub = action_service_pb2_grpc.ActionServiceStub(channel)
    found: list[DerivedAction] = []
    token = ""
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            while True:
                request = action_service_pb2.ListActionsRequest(
                    page_size=_PAGE, page_token=token, payload_kind=payload_pb2.PAYLOAD_KIND_JSON
                )
                page = await stub.ListActions(request, timeout=timeout.total_seconds())
                for action in _read(page, peer):
                    found.append(_listed(action, f"actions[{len(found)}]"))
                if len(found) > MAX_ACTIONS:
                    text = f"{peer} lists more than {MAX_ACTIONS} actions"
                    raise ValidationError([Violation("actions", text, Rule.TOO_MANY)])
                if not page.next_page_token or page.next_page_token == token:
                    return found
                token = page.next_page_token
    except grpc.aio.AioRpcError as error:
        raise error_from_rpc(error, peer) from None
    except TimeoutError:
        raise _unlisted(peer, f"did not list its actions within {timeout.total_seconds():g} s") from None


def _read(page: action_service_pb2.ListActionsResponse | None, peer: str) -> Iterable[registry_pb2.Action]:
    if page is None:  # what grpc.aio makes of bytes that are no such message
        raise _unlisted(peer, "answers what is no ListActionsResponse")
    if page.next_page_token and not page.actions:
        raise _unlisted(peer, "lists its actions in empty pages")
    return page.actions


def _listed(action: registry_pb2.Action, path: str) -> DerivedAction:
    return DerivedAction(
        name=action.name,
        description=action.description,
        input_schema=_schema(action, "input_schema", path),
        output_schema=_schema(action, "output_schema", path),
        idempotent=action.idempotent,
        timeout=action.timeout.ToTimedelta() if action.HasField("timeout") else None,
        grpc_method=action.grpc_method,
        compensation=action.compensation,
    )


def _schema(action: registry_pb2.Action, name: str, path: str) -> JsonObject | None:
    payload: payload_pb2.Payload = getattr(action, name)
    is_set = payload.WhichOneof("kind") is not None
    return from_payload(payload, f"{path}.{name}") if is_set else None


def _unlisted(peer: str, why: str) -> PreconditionError:
    return PreconditionError(f"{peer} {why}", reason=Reason.DESCRIPTORS_UNAVAILABLE, metadata={"peer": peer})
