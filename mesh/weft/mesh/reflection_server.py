"""Reflection served under both of its names: what a gRPC server offers, told to whoever asks.

Newer tools ask for v1 first and some ask for nothing else; older ones know only
v1alpha. The messages are the same, so one servicer answers both.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

__all__ = ["REFLECTION_SERVICES", "add_reflection"]

REFLECTION_SERVICES: Final = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
"""Full names of the reflection service, the newest first."""


def add_reflection(
    service_names: Iterable[str], server: grpc.aio.Server, pool: DescriptorPool | None = None
) -> None:
    """Serve the descriptors of services under grpc.reflection.v1 and v1alpha.

    Args:
        service_names: Full names of the services to list; reflection itself is added.
        server: Not started yet.
        pool: Where their descriptors are; by default those of the generated code.
    """
    handler: Any = grpc.stream_stream_rpc_method_handler(
        _Servicer((*service_names, *REFLECTION_SERVICES), pool).answer,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
            for name in REFLECTION_SERVICES
        )
    )


class _Servicer:
    """Answers from the pool, and knows the files of reflection itself: no generated code brings v1."""

    def __init__(self, names: Iterable[str], pool: DescriptorPool | None) -> None:
        own = _own_pool()
        self._pools: tuple[tuple[Any, DescriptorPool], ...] = (
            (reflection.aio.ReflectionServicer(names, pool=pool), Default() if pool is None else pool),
            (reflection.aio.ReflectionServicer((), pool=own), own),
        )

    async def answer(
        self, requests: AsyncIterable[reflection_pb2.ServerReflectionRequest], context: Any
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        async for request in requests:
            yield await self._answer(request, context)

    async def _answer(
        self, request: reflection_pb2.ServerReflectionRequest, context: Any
    ) -> reflection_pb2.ServerReflectionResponse:
        """Answer from the first pool that can; that there is nothing is for the last one to say."""
        response = reflection_pb2.ServerReflectionResponse()
        for servicer, pool in self._pools:
            asked = _of_the_service(request, pool)
            (response,) = [it async for it in servicer.ServerReflectionInfo(_only(asked), context)]
            if not response.HasField("error_response"):
                break
        response.original_request.CopyFrom(request)
        return response


def _of_the_service(
    request: reflection_pb2.ServerReflectionRequest, pool: DescriptorPool
) -> reflection_pb2.ServerReflectionRequest:
    """Ask for the service where a method is asked for: protobuf's pool finds all symbols but methods."""
    service, _, method = request.file_containing_symbol.rpartition(".")
    with suppress(KeyError):
        if method in pool.FindServiceByName(service).methods_by_name:
            return reflection_pb2.ServerReflectionRequest(host=request.host, file_containing_symbol=service)
    return request


async def _only(
    request: reflection_pb2.ServerReflectionRequest,
) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
    yield request


def _own_pool() -> DescriptorPool:
    """Return a pool of its own: in the common one the file of v1 would collide with generated code of it."""
    newer, older = (name.rpartition(".")[0] for name in REFLECTION_SERVICES)
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = "grpc/reflection/v1/reflection.proto"
    file.package = newer
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(older, newer)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(older, newer)
        method.output_type = method.output_type.replace(older, newer)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    pool.AddSerializedFile(reflection_pb2.DESCRIPTOR.serialized_pb)
    return pool
