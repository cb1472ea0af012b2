"""Services that nobody here has generated code for: their descriptors, and servers of them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import status_pb2
from grpc_reflection.v1alpha import reflection_pb2

from weft.mesh.dynamic.codec import MessageCodec
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.reflection_server import REFLECTION_SERVICES, add_reflection

KINDS = """
syntax = "proto3";
package kinds.v1;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

// A colour.
enum Color { COLOR_UNSPECIFIED = 0; RED = 1; GREEN = 2; }

// Everything that proto3 has.
message Everything {
  // An integer of 32 bits.
  int32 small = 1;
  sint64 large = 2;
  uint32 unsigned_small = 3;
  fixed64 unsigned_large = 4;
  float single = 5;
  double twice = 6;
  bool yes = 7;
  string text = 8;
  bytes data = 9;
  Color color = 10;
  optional string maybe_text = 11;
  repeated int64 many_numbers = 12;
  repeated string texts = 13;
  repeated Color colors = 14;
  map<string, string> labels = 15;
  map<int32, Leaf> leaves_by_number = 16;
  map<bool, double> by_truth = 17;
  Everything inner = 18;
  repeated Leaf leaves = 19;
  oneof choice {
    // Take a text.
    string by_text = 20;
    Leaf by_leaf = 21;
    int32 by_number = 22;
  }
  google.protobuf.Timestamp at = 30;
  google.protobuf.Duration lasts = 31;
  google.protobuf.FieldMask mask = 32;
  google.protobuf.Struct struct_value = 33;
  google.protobuf.Value any_json = 34;
  google.protobuf.ListValue list_value = 35;
  google.protobuf.Any anything = 36;
  google.protobuf.Int64Value wrapped_number = 37;
  google.protobuf.StringValue wrapped_text = 38;
  google.protobuf.BoolValue wrapped_yes = 39;
  google.protobuf.BytesValue wrapped_data = 40;
  google.protobuf.Empty nothing = 41;
  google.protobuf.NullValue null_value = 42;
  repeated google.protobuf.Value many_json = 43;
  map<string, google.protobuf.Timestamp> times = 44;
  repeated google.protobuf.DoubleValue wrapped_many = 45;
}

message Leaf { string name = 1; int32 size_in_cm = 2; }

message Node { string id = 1; repeated Node children = 2; Tree tree = 3; }
message Tree { Node root = 1; }

// Tells things.
service Teller {
  // Gives back what it gets.
  rpc Echo(Everything) returns (Everything) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Count(Leaf) returns (stream Leaf);
  rpc Gather(stream Leaf) returns (Everything);
  rpc Chat(stream Leaf) returns (stream Leaf) { option idempotency_level = IDEMPOTENT; }
  rpc Now(google.protobuf.Empty) returns (google.protobuf.Timestamp);
  rpc Fail(Leaf) returns (Leaf);
  rpc Grow(Node) returns (Tree);
}
"""
"""Every kind of field, and every shape of RPC."""

OLD = """
syntax = "proto2";
package old.v1;
import "shop/shared.proto";
message Query {
  required string must_have = 1;
  optional int32 count = 2 [default = 7];
  optional group Part = 3 { optional string text = 1; }
  optional Level level = 4;
  extensions 100 to 199;
}
enum Level { LOW = 1; HIGH = 2; }
extend Query { optional string extra = 100; }
service Carts { rpc Count(Query) returns (shop.Money); rpc Ask(Query) returns (Query); }
"""
"""What only proto2 has; imports another file."""

SHARED = """
syntax = "proto3";
package shop;
message Money { int64 cents = 1; string currency = 2; }
service Carts { rpc Get(Money) returns (Money); }
"""

SOURCES = {"kinds.proto": KINDS, "old.proto": OLD, "shop/shared.proto": SHARED}


@cache
def descriptor_set() -> bytes:
    """The FileDescriptorSet of all of them, with comments."""
    protoc: Any = import_module("grpc_tools.protoc")  # has no types
    with tempfile.TemporaryDirectory() as folder:
        for name, text in SOURCES.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        out = Path(folder, "set.binpb")
        google = str(resources.files("grpc_tools") / "_proto")
        status = protoc.main(
            ["protoc", f"-I{folder}", f"-I{google}", "--include_imports", "--include_source_info",
             f"--descriptor_set_out={out}", *SOURCES]
        )  # fmt: skip
        assert status == 0
        return out.read_bytes()


@cache
def descriptors() -> ServiceDescriptors:
    return ServiceDescriptors.from_set(descriptor_set())


def files() -> dict[str, FileDescriptorProto]:
    return {file.name: file for file in FileDescriptorSet.FromString(descriptor_set()).file}


def pool() -> DescriptorPool:
    return descriptors().pool


class Teller:
    """Serves ``kinds.v1.Teller`` with messages made at run time."""

    def __init__(self) -> None:
        self.port = 0
        self.metadata: dict[str, Any] = {}
        self.details: list[Any] = []
        self._codec = MessageCodec(descriptors())

    def handler(self) -> grpc.GenericRpcHandler:
        made: dict[str, Any] = {}
        for method in descriptors().methods(["kinds.v1.Teller"]):
            shape = {
                (False, False): grpc.unary_unary_rpc_method_handler,
                (False, True): grpc.unary_stream_rpc_method_handler,
                (True, False): grpc.stream_unary_rpc_method_handler,
                (True, True): grpc.stream_stream_rpc_method_handler,
            }[method.client_streaming, method.server_streaming]
            made[method.name] = shape(
                getattr(self, method.name.lower()),
                request_deserializer=partial(self._codec.decode, method.input),
                response_serializer=partial(self._codec.encode, method.output),
            )
        return grpc.method_handlers_generic_handler("kinds.v1.Teller", made)

    async def echo(self, value: dict[str, Any], context: Any) -> dict[str, Any]:
        self.metadata = dict(context.invocation_metadata())
        return value

    async def count(self, value: dict[str, Any], _: Any) -> AsyncIterator[dict[str, Any]]:
        for number in range(value["size_in_cm"]):
            yield {"name": value["name"], "size_in_cm": number}

    async def gather(self, values: Any, _: Any) -> dict[str, Any]:
        return {"leaves": [value async for value in values]}

    async def chat(self, values: Any, _: Any) -> AsyncIterator[dict[str, Any]]:
        async for value in values:
            yield {**value, "name": value["name"].upper()}

    async def now(self, *_: Any) -> dict[str, Any]:
        return {"value": "2026-01-31T08:00:00Z"}

    async def fail(self, value: dict[str, Any], context: Any) -> dict[str, Any]:
        if value["name"] == "HANG":
            await asyncio.Event().wait()
        if self.details:
            packed = status_pb2.Status(code=grpc.StatusCode[value["name"]].value[0], message="as you like it")
            for detail in self.details:
                packed.details.add().Pack(detail)
            context.set_trailing_metadata((("grpc-status-details-bin", packed.SerializeToString()),))
        await context.abort(grpc.StatusCode[value["name"]], "as you like it")
        raise AssertionError

    async def grow(self, value: dict[str, Any], _: Any) -> dict[str, Any]:
        return {"root": value}


def _serialized(value: Any) -> bytes:
    data: bytes = value if isinstance(value, bytes) else value.SerializeToString()
    return data


def reflecting(answer: Any, names: Iterable[str] = REFLECTION_SERVICES) -> list[grpc.GenericRpcHandler]:
    """Serve reflection by a function of a request and the context, under some of its names."""

    async def info(requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield await answer(request, context)

    handler: Any = grpc.stream_stream_rpc_method_handler(
        info,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=_serialized,
    )
    return [grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}) for name in names]


@asynccontextmanager
async def serving_handlers(*handlers: Any, reflect: Iterable[str] = ()) -> AsyncIterator[int]:
    """Serve handlers, with honest reflection of these services; yields the port."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers(tuple(handlers))
    listed = tuple(reflect)
    if listed:
        add_reflection(listed, server, pool())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@asynccontextmanager
async def connected_to(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
