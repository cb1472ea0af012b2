"""A unary echo over gRPC: the server process and the two ways to call it.

All servers run the same handler. ``raw`` is what grpc.aio gives; ``weft`` has
the interceptors and options of the Weft server; ``traced`` has Weft's tracing
only, ``contrib`` the instrumentation of the OpenTelemetry project.
"""

from __future__ import annotations

import argparse
from typing import Any, Final

import grpc
import grpc.aio
from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor

from benchmarks.loops import run
from benchmarks.serving import serve
from benchmarks.spans import contrib_provider, weft_provider
from weft.api.common.v1.payload_pb2 import Payload
from weft.mesh.rpc import SERVER_OPTIONS
from weft.mesh.tracing.interceptors import TracingServerInterceptor
from weft.server.interceptors import ServerChain
from weft.server.logs import configure_logging

__all__ = ["Echo", "contrib_client", "echo_method"]

Echo = grpc.aio.UnaryUnaryMultiCallable[Payload, Payload]

_SERVICE: Final = "weft.benchmarks.EchoService"


def echo_method(channel: grpc.aio.Channel) -> Echo:
    """Return the RPC on a channel."""
    method: Echo = channel.unary_unary(
        f"/{_SERVICE}/Echo",
        request_serializer=Payload.SerializeToString,
        response_deserializer=Payload.FromString,
    )
    return method


async def _echo(request: Payload, _: grpc.aio.ServicerContext[Any, Any]) -> Payload:
    return request


def contrib_client() -> list[Any]:
    """Return the client interceptors of OpenTelemetry's own instrumentation, with every call sampled."""
    made: list[Any] = aio_client_interceptors(  # type: ignore[no-untyped-call]  # it ships no types
        tracer_provider=contrib_provider()
    )
    return made


def _interceptors(stack: str) -> list[Any]:
    if stack == "traced":
        return [TracingServerInterceptor(weft_provider(sampled=True))]
    if stack == "contrib":
        provider = contrib_provider()
        return [aio_server_interceptor(tracer_provider=provider)]  # type: ignore[no-untyped-call]  # ships no types
    return []


def _server(stack: str) -> grpc.aio.Server:
    if stack == "weft":
        configure_logging("info", "json")
        server = grpc.aio.server(interceptors=(ServerChain(),), options=SERVER_OPTIONS)
    else:
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),), interceptors=_interceptors(stack))
    handler = grpc.unary_unary_rpc_method_handler(
        _echo, request_deserializer=Payload.FromString, response_serializer=Payload.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Echo": handler}),))
    return server


async def _serve(stack: str) -> None:
    await serve(_server(stack))


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="An echo server to measure.")
    parser.add_argument("stack", choices=("raw", "weft", "traced", "contrib"))
    run(_serve(parser.parse_args().stack))


if __name__ == "__main__":
    main()
