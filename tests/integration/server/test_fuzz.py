"""Random bytes and random messages: the answer is a clear one, whatever arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.wire import SERVICES, Wire, take_apart
from tests.support.world import World, populated

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

METHODS = [method for service in SERVICES for method in service.methods]
PATHS = {method.name: f"/{method.containing_service.full_name}/{method.name}" for method in METHODS}
KNOWN = ("texts", "shouting", "idle", "asleep", "count", "shout", "texts-1", "*", "name", "steps", "")
"""Texts by which a random message sometimes means something that is there."""
HARMLESS = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""What the caller brings about itself, by the short time it gives."""

examples = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with populated() as world:
        yield world


async def send(wire: Wire, method: str, data: bytes, patience: float = 0.05) -> str:
    """Send bytes as a request; return OK or the code of a status in good form.

    A stream has ``patience`` seconds for its first message.
    """
    channel: Any = wire.channel
    path = PATHS[method]
    try:
        if next(m for m in METHODS if m.name == method).server_streaming:
            call = channel.unary_stream(path)(data, timeout=patience)
            await anext(aiter(call))
            call.cancel()
        else:
            await channel.unary_unary(path)(data, timeout=5)
    except grpc.aio.AioRpcError as error:
        if error.code() in HARMLESS:
            return error.code().name
        return take_apart(error).code.name
    except StopAsyncIteration:
        pass
    return "OK"


# Fixed examples of what random bytes seldom are: cut off, endless, deep, of another type.
BROKEN = [
    b"\xff",
    b"\x0a",
    b"\x0a\xff\xff\xff\xff\x7f",
    b"\x0a\x02\xff\xfe",
    b"\x0b" * 200,
    b"\x0a\x80\x01" + b"\x0a" * 128,
    b"\x00\x00",
]


@pytest.mark.parametrize("method", sorted(PATHS))
async def test_bytes_that_are_no_request_are_an_invalid_argument(world: World, method: str) -> None:
    """What does not parse is refused by us, with details: VALIDATION_FAILED."""
    answers = [await send(world.wire, method, data, patience=5) for data in BROKEN]
    assert answers[0] == "INVALID_ARGUMENT"
    assert set(answers) <= {"INVALID_ARGUMENT", "NOT_FOUND", "OK", "FAILED_PRECONDITION"}
    assert await world.is_well()


@examples
@given(data=st.binary(max_size=200))
async def test_random_bytes_never_break_anything(world: World, data: bytes) -> None:
    """No method answers UNKNOWN or INTERNAL, or without details."""
    await asyncio.gather(*(send(world.wire, method, data) for method in PATHS))


def texts() -> st.SearchStrategy[str]:
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    return st.one_of(st.sampled_from(KNOWN), anything, st.just("x" * 9_000), st.just("${ input.a }"))


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_STRING:
        return texts()
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.one_of(st.binary(max_size=50), st.sampled_from([b'{"text": "a"}', b"[" * 99, b"{}"]))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return st.floats()
    if field.type == FieldDescriptor.TYPE_INT64:
        return st.one_of(st.integers(-2, 5), st.integers(-(2**63), 2**63 - 1))
    return st.one_of(st.integers(-2, 5), st.integers(-(2**31), 2**31 - 1))


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 5) -> Message:
    """Make a message of a type, with each field set or not."""
    message: Any = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.message_type is not None and depth == 0:
            continue
        if not draw(st.booleans()):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            fill_map(draw, getattr(message, field.name), field.message_type, depth)
        elif field.is_repeated:
            made = messages(field.message_type, depth - 1) if field.message_type else scalars(field)
            getattr(message, field.name).extend(draw(st.lists(made, max_size=3)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(messages(field.message_type, depth - 1)))
        else:
            setattr(message, field.name, draw(scalars(field)))
    return message  # type: ignore[no-any-return] # GetMessageClass is untyped


def fill_map(draw: st.DrawFn, target: Any, entry: Descriptor, depth: int) -> None:
    value = entry.fields_by_name["value"]
    for key in draw(st.lists(texts(), max_size=2)):
        if value.message_type is not None:
            target[key].CopyFrom(draw(messages(value.message_type, depth - 1)))
        else:
            target[key] = draw(scalars(value))


@examples
@given(data=st.data())
async def test_random_messages_never_break_anything(world: World, data: st.DataObject) -> None:
    """Messages of the right type with random content, sometimes naming what is there."""
    method = data.draw(st.sampled_from(METHODS))
    request = data.draw(messages(method.input_type))
    await send(world.wire, method.name, request.SerializeToString())


async def test_the_server_is_well_afterwards(world: World) -> None:
    """After all of that an innocent call is answered."""
    services = await world.wire.call("ListServices", _request("ListServices"))
    assert services.total_size >= 0
    health = await world.wire.call("GetIntegrationHealth", _request("GetIntegrationHealth"))
    assert len(health.dependencies) == 2


def _request(method: str) -> Any:
    (descriptor,) = [m.input_type for m in METHODS if m.name == method]
    return message_factory.GetMessageClass(descriptor)()
