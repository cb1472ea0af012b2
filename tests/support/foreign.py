"""Providers that are not ours: an ActionService written by hand, and a plain HTTP server.

Run as a module it is a provider in a process of its own, so that it can be killed::

    python -m tests.support.foreign

It prints its port, and a line for every call that arrives.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from aiohttp import web
from google.protobuf import any_pb2, struct_pb2
from google.rpc import error_details_pb2, status_pb2

from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.common.v1 import payload_pb2
from weft.core.payload import to_struct

_SERVICE = "weft.api.action.v1.ActionService"
_TEN_MB = 10_000_000


def _json(text: bytes) -> bytes:
    return pb.InvokeActionResponse(output=payload_pb2.Payload(json=text)).SerializeToString()


def _struct(struct: struct_pb2.Struct) -> bytes:
    return pb.InvokeActionResponse(output=payload_pb2.Payload(struct=struct)).SerializeToString()


def _not_a_number() -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct["total"] = float("nan")
    return struct


_PENDING = pb.InvokeActionResponse(pending=True).SerializeToString()

ANSWERS: dict[str, bytes] = {
    "good": _json(b'{"total": 3}'),
    "good-struct": _struct(to_struct({"total": 3})),
    "forbidden": _json(b'{"total": "three"}'),
    "forbidden-struct": _struct(to_struct({"total": 2.5})),
    "nothing": b"",
    "array": _json(b"[1]"),
    "no-json": _json(b"three"),
    "no-utf8": _json(b'{"total": "\xff"}'),
    "nan": _json(b'{"total": NaN}'),
    "nan-struct": _struct(_not_a_number()),
    "deep": _json(b'{"total": ' + b"[" * 32 + b"]" * 32 + b"}"),
    "large": _json(b'{"total": 3, "x": "' + b"x" * 1_048_576 + b'"}'),
    "huge": _json(b'{"total": 3, "x": "' + b"x" * _TEN_MB + b'"}'),
    "garbage": b"\xff\xff\xff",
    "pending": pb.InvokeActionResponse(pending=True).SerializeToString(),
    "both": _json(b'{"total": 3}') + pb.InvokeActionResponse(pending=True).SerializeToString(),
    "both-struct": _struct(to_struct({"total": 3}))
    + pb.InvokeActionResponse(pending=True).SerializeToString(),
}
"""What each action of these names answers, whatever it is asked."""


async def _invoke(data: bytes, context: Any) -> bytes:
    action = pb.InvokeActionRequest.FromString(data).action
    if action in ANSWERS:
        return ANSWERS[action]
    if action == "hang":
        await asyncio.Event().wait()
    if action == "raise":
        raise RuntimeError("something broke in here")
    if action.startswith("bare-"):
        await context.abort(grpc.StatusCode[action.removeprefix("bare-").upper()], "no details")
    if action in GARBLED:
        context.set_trailing_metadata((("grpc-status-details-bin", GARBLED[action]),))
        await context.abort(grpc.StatusCode.INTERNAL, "look at the details")
    await _refuse(context, *REFUSALS[action])
    raise AssertionError(action)


def _details(type_name: str, value: bytes) -> bytes:
    packed = any_pb2.Any(type_url=f"type.googleapis.com/google.rpc.{type_name}", value=value)
    data: bytes = status_pb2.Status(code=9, message="garbled", details=[packed]).SerializeToString()
    return data


GARBLED: dict[str, bytes] = {
    "garbled-status": b"\xff\xff",
    "garbled-info": _details("ErrorInfo", b"\xff\xff"),
    "garbled-wait": _details("RetryInfo", b"\x0a\x0a\x08" + b"\xff" * 8 + b"\x7f"),
}
"""Details of a refusal that nobody can read."""


REFUSALS: dict[str, tuple[int, str, str]] = {
    "business": (5, "CUSTOMER_UNKNOWN", "no such customer"),
    "internal": (13, "MY_DEFECT", "a defect of the provider's own"),
    "unknown": (2, "WHO_KNOWS", "who knows"),
    "ok": (0, "FINE", "says that it is fine, but is an error"),
    "odd-code": (77, "ODD", "a code that does not exist"),
    "wordy": (9, "WORDY", "ü" * 1_200),
}
"""Code, reason and message of a refusal with details."""


async def _refuse(context: Any, code: int, reason: str, message: str) -> None:
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="example.org", metadata={"who": "me"}))
    status = status_pb2.Status(code=code, message=message, details=[packed])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(grpc.StatusCode.INTERNAL, message[:100])


@asynccontextmanager
async def grpc_provider(invoke: Any = _invoke, port: int = 0) -> AsyncIterator[int]:
    """Serve ActionService without any help of ours; yields the port."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handler: Any = grpc.unary_unary_rpc_method_handler(invoke)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {"InvokeAction": handler}),)
    )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def _answer_http(request: web.Request) -> web.StreamResponse:
    action = request.match_info["action"]
    if action == "good":
        value = await request.json()
        return web.json_response({"total": 3, "was": value, "key": request.headers["idempotency-key"]})
    if action in HTTP_ANSWERS:
        status, body = HTTP_ANSWERS[action]
        return web.Response(status=status, body=body, content_type="application/json")
    if action == "hang":
        await asyncio.Event().wait()
    if action == "raise":
        raise web.HTTPInternalServerError(text="boom")
    if action == "cut":
        return await _cut(request)
    if action == "redirect":
        raise web.HTTPFound("http://127.0.0.1:9/elsewhere")
    raise web.HTTPNotFound


HTTP_ANSWERS: dict[str, tuple[int, bytes]] = {
    "forbidden": (200, b'{"total": "three"}'),
    "array": (200, b"[1]"),
    "no-json": (200, b"<html>"),
    "no-utf8": (200, b'{"total": "\xff"}'),
    "large": (200, b'{"total": 3, "x": "' + b"x" * 1_048_576 + b'"}'),
    "huge": (200, b'{"total": 3, "x": "' + b"x" * _TEN_MB + b'"}'),
    "business": (404, b'{"error": {"reason": "CUSTOMER_UNKNOWN", "message": "no such customer"}}'),
    "flat": (409, b'{"reason": null, "message": "taken"}'),
    "quota": (429, b"slow down"),
    "busy": (503, b"come back later"),
    "gateway": (502, b""),
    "late": (504, b""),
    "teapot": (418, b"\xff\xfe"),
}


async def _cut(request: web.Request) -> web.StreamResponse:
    """Promise more than is sent, and hang up."""
    response = web.StreamResponse(headers={"content-length": "100"})
    await response.prepare(request)
    await response.write(b'{"total"')
    assert request.transport is not None
    request.transport.abort()
    return response


@asynccontextmanager
async def http_provider() -> AsyncIterator[int]:
    """Serve actions as plain HTTP, below ``/v1`` as well; yields the port."""
    application = web.Application()
    application.router.add_post("/{action}", _answer_http)
    application.router.add_post("/v1/{action}", _answer_http)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _hang_and_tell(data: bytes, context: Any) -> bytes:
    _tell(pb.InvokeActionRequest.FromString(data).action)
    await asyncio.Event().wait()
    return b""


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _main() -> None:
    async with grpc_provider(_hang_and_tell) as port:
        _tell(str(port))
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
