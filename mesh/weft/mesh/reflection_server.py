"""Reflection served under both of its names: what a gRPC server offers, told to whoever asks.

Newer tools ask for v1 first and some ask for nothing else; older ones know only
v1alpha. The messages are the same, so one servicer answers both.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
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
        self._given: Any = reflection.aio.ReflectionServicer(names, pool=pool)
        self._own: Any = reflection.aio.ReflectionServicer((), pool=_own_pool())

    async def answer(
        self, requests: AsyncIterable[reflection_pb2.ServerReflectionRequest], context: Any
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        async for response in self._given.ServerReflectionInfo(requests, context):
            if response.HasField("error_response"):
                again = self._own.ServerReflectionInfo(_only(response.original_request), context)
                async for other in again:
                    yield other
            else:
                yield response


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
