"""A number that an enum does not have never means "all" or the default: it is a fault of its field."""

from __future__ import annotations

import pytest
from google.protobuf.message_factory import GetMessageClass

from tests.support.wire import METHODS, Wire
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.errors import Code
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

# Filters, states, policies and kinds of payload, as the contracts have them.
FIELDS = [
    (method.name, field.name)
    for method in METHODS.values()
    for field in method.input_type.fields
    if field.enum_type is not None
]


@pytest.mark.parametrize(("method", "field"), FIELDS, ids=map("-".join, FIELDS))
async def test_an_unknown_number_is_refused(wire: Wire, method: str, field: str) -> None:
    """Whichever RPC and field; it is listed among the other faults."""
    request = GetMessageClass(METHODS[method].input_type)(**{field: 99})
    refusal = await wire.refusal(method, request)
    assert refusal.kind == (Code.INVALID_ARGUMENT, Reason.VALIDATION_FAILED)
    assert (field, Rule.INVALID) in refusal.violations


async def test_an_unknown_number_within_an_instance_is_refused(wire: Wire) -> None:
    """Its protocol and its health would else be taken for GRPC and PASSING."""
    request = pb.RegisterInstanceRequest(
        service="s",
        instance=registry_pb2.Instance(host="h", port=1, protocol=3, health=9),  # type: ignore[arg-type]  # the point
    )
    refusal = await wire.refusal("RegisterInstance", request)
    assert sorted(refusal.violations) == [
        ("instance.health", Rule.INVALID),
        ("instance.protocol", Rule.INVALID),
    ]


async def test_an_output_only_field_is_ignored_whatever_it_says(wire: Wire) -> None:
    """A service as a newer server showed it may be sent back."""
    service = registry_pb2.Service(name="newer", state=99)  # type: ignore[arg-type]  # the point
    stored = (await wire.registry.RegisterService(pb.RegisterServiceRequest(service=service))).service
    assert stored.state == registry_pb2.SERVICE_STATE_ACTIVE
