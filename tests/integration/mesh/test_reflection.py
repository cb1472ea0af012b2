"""Descriptors read from servers: honest ones of every kind, those that refuse, and hostile ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as pb

from tests.support.dynamic import connected_to, files, reflecting, serving_handlers
from weft.core.errors import PreconditionError
from weft.core.reasons import Reason
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.dynamic.reflection import ReflectionLimits, list_services, read_descriptors
from weft.mesh.reflection_server import REFLECTION_SERVICES

pytestmark = pytest.mark.integration

LIMITS = ReflectionLimits(timeout=timedelta(seconds=1), max_bytes=200_000, max_files=50, max_services=20)
SERVICES = ("kinds.v1.Teller", "old.v1.Carts")
FILE_OF = {"kinds.v1.Teller": "kinds.proto", "old.v1.Carts": "old.proto"}


def listing(*names: str) -> pb.ServerReflectionResponse:
    services = [pb.ServiceResponse(name=name) for name in names]
    return pb.ServerReflectionResponse(list_services_response=pb.ListServiceResponse(service=services))


def sending(*listed: FileDescriptorProto | bytes) -> pb.ServerReflectionResponse:
    data = [file if isinstance(file, bytes) else file.SerializeToString() for file in listed]
    return pb.ServerReflectionResponse(
        file_descriptor_response=pb.FileDescriptorResponse(file_descriptor_proto=data)
    )


def refusing(code: int, message: str = "no") -> pb.ServerReflectionResponse:
    return pb.ServerReflectionResponse(
        error_response=pb.ErrorResponse(error_code=code, error_message=message)
    )


async def one_file_at_a_time(request: pb.ServerReflectionRequest, _: Any) -> pb.ServerReflectionResponse:
    """Answer as sparsely as the protocol allows: never what is imported."""
    if request.HasField("list_services"):
        return listing(*SERVICES)
    name = request.file_by_filename or FILE_OF.get(request.file_containing_symbol, "")
    return sending(files()[name]) if name in files() else refusing(5)


async def read(answer: Any, names: Iterable[str] = REFLECTION_SERVICES, **options: Any) -> ServiceDescriptors:
    async with serving_handlers(*reflecting(answer, names)) as port, connected_to(port) as channel:
        return await read_descriptors(channel, "shop", limits=LIMITS, **options)


async def why_not(answer: Any, **options: Any) -> str:
    with pytest.raises(PreconditionError) as caught:
        await read(answer, **options)
    assert caught.value.reason == Reason.DESCRIPTORS_UNAVAILABLE
    assert "give a descriptor set" in caught.value.metadata["hint"]
    assert caught.value.metadata["peer"] == "shop"
    return caught.value.message


async def test_a_server_of_the_library_is_read() -> None:
    """Which sends each file with all that it imports, under both names."""
    async with serving_handlers(reflect=SERVICES) as port, connected_to(port) as channel:
        assert await list_services(channel) == (*REFLECTION_SERVICES, *SERVICES)
        found = await read_descriptors(channel)
        assert found.services == SERVICES
        itself = await read_descriptors(channel, services=REFLECTION_SERVICES)
        assert itself.services == REFLECTION_SERVICES


@pytest.mark.parametrize("names", [REFLECTION_SERVICES, REFLECTION_SERVICES[:1], REFLECTION_SERVICES[1:]])
async def test_v1_and_v1alpha_are_spoken(names: tuple[str, ...]) -> None:
    """Whichever the server has; also when it sends each file alone."""
    found = await read(one_file_at_a_time, names)
    assert found.services == SERVICES
    assert found.method("Ask").output.full_name == "old.v1.Query"


async def test_only_the_services_asked_for_are_read() -> None:
    """One that the server does not have is an error that names it."""
    assert (await read(one_file_at_a_time, services=["old.v1.Carts"])).services == ("old.v1.Carts",)
    assert "no usable descriptors of a.B" in await why_not(one_file_at_a_time, services=["a.B"])


async def test_files_may_come_in_any_order_and_again() -> None:
    """A server that sends everything it has, in disorder, whatever it is asked."""

    async def answer(request: pb.ServerReflectionRequest, _: Any) -> pb.ServerReflectionResponse:
        if request.HasField("list_services"):
            return listing(*SERVICES)
        return sending(*reversed(list(files().values())), *files().values())

    assert (await read(answer)).services == SERVICES


async def test_services_without_descriptors_are_left_out() -> None:
    """The rest can be called."""

    async def answer(request: pb.ServerReflectionRequest, context: Any) -> pb.ServerReflectionResponse:
        if request.HasField("list_services"):
            return listing("no.Where", *SERVICES)
        return await one_file_at_a_time(request, context)

    assert (await read(answer)).services == SERVICES


async def test_an_import_that_the_server_does_not_have_may_not_be_needed() -> None:
    """Such as one that brings options only."""

    async def answer(request: pb.ServerReflectionRequest, _: Any) -> pb.ServerReflectionResponse:
        if request.HasField("list_services"):
            return listing("a.S")
        if request.file_containing_symbol:
            file = FileDescriptorProto(name="a.proto", package="a", dependency=["options.proto"])
            file.service.add(name="S")
            return sending(file)
        return refusing(5)

    assert (await read(answer)).services == ("a.S",)


async def test_a_server_may_end_the_stream_after_each_answer() -> None:
    """It is opened again."""

    async def info(requests: Any, context: Any) -> Any:
        async for request in requests:
            yield await one_file_at_a_time(request, context)
            return

    handler: Any = grpc.stream_stream_rpc_method_handler(
        info, pb.ServerReflectionRequest.FromString, pb.ServerReflectionResponse.SerializeToString
    )
    served = grpc.method_handlers_generic_handler(REFLECTION_SERVICES[1], {"ServerReflectionInfo": handler})
    async with serving_handlers(served) as port, connected_to(port) as channel:
        assert (await read_descriptors(channel, limits=LIMITS)).services == SERVICES


async def test_a_server_without_reflection_says_so() -> None:
    """And what to do about it."""
    async with serving_handlers() as port, connected_to(port) as channel:
        with pytest.raises(PreconditionError, match="does not serve reflection; switch") as caught:
            await read_descriptors(channel)
    assert caught.value.reason == Reason.DESCRIPTORS_UNAVAILABLE


async def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    """At once, not when the time is over."""
    async with connected_to(9) as channel:
        with pytest.raises(PreconditionError, match="cannot be reached"):
            await read_descriptors(channel, limits=ReflectionLimits(timeout=timedelta(seconds=20)))


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "UNAUTHENTICATED", "INTERNAL"])
async def test_a_refusal_is_told(code: str) -> None:
    """As the status of the RPC, and as an answer."""

    async def abort(_: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode[code], "not you")

    async def answer(*_: Any) -> pb.ServerReflectionResponse:
        return refusing(grpc.StatusCode[code].value[0], "not you")

    for way in (abort, answer):
        assert f"refused it: {code}, not you" in await why_not(way)


def endless() -> Any:
    """Answer every question with a new file that imports another new one."""
    count = 0

    async def answer(request: pb.ServerReflectionRequest, _: Any) -> pb.ServerReflectionResponse:
        nonlocal count
        if request.HasField("list_services"):
            return listing("a.S")
        count += 1
        return sending(FileDescriptorProto(name=f"f{count}.proto", dependency=[f"f{count + 1}x.proto"]))

    return answer


async def _hang(*_: Any) -> None:
    await asyncio.Event().wait()


def constant(value: Any, *names: str) -> Any:
    async def answer(request: pb.ServerReflectionRequest, _: Any) -> Any:
        return (
            listing(*(names or ("a.S",))) if request.HasField("list_services") and names != ("",) else value
        )

    return answer


CIRCLE = (
    FileDescriptorProto(name="a.proto", package="a", dependency=["b.proto"]),
    FileDescriptorProto(name="b.proto", package="a", dependency=["a.proto"]),
)
MANY = tuple(FileDescriptorProto(name=f"{number}.proto") for number in range(99))
LARGE = FileDescriptorProto(name="a.proto", package="p" * 300_000)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_hang, "did not answer within 1 s"),
        (constant(b"\xff\xff", ""), "answered nonsense"),
        (constant(pb.ServerReflectionResponse(), ""), "asked for its services, it answers something else"),
        (constant(b"\xff\xff"), "answered nonsense"),
        (constant(listing("a.S")), "asked for a file, it answers something else"),
        (constant(sending(b"\xff\xff")), "no FileDescriptorProto"),
        (constant(sending(FileDescriptorProto())), "a file without a name"),
        (constant(sending(*CIRCLE)), "its files import each other"),
        (constant(sending(LARGE)), "more than 200,000 bytes"),
        (constant(sending(), *(f"a.S{n}" for n in range(50))), "more than 20 services"),
        (constant(sending(*MANY)), "more than 50 files"),
        (endless(), "nonsense|no usable descriptors"),
        (constant(sending(FileDescriptorProto(name="a.proto"))), "no usable descriptors of a.S"),
    ],
    ids=["silent", "garbage", "empty", "garbage file", "wrong kind", "no file", "no name", "circle", "large",
         "many services", "many files", "endless", "other file"],
)  # fmt: skip
async def test_a_hostile_server_gets_one_clear_answer(answer: Any, said: str) -> None:
    """DESCRIPTORS_UNAVAILABLE within the limits, whatever it does."""
    async with asyncio.timeout(10):
        message = await why_not(answer)
    assert any(text in message for text in said.split("|")), message
