"""What a provider gets to know of a call, over gRPC and over HTTP, and what becomes of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from tests.support.foreign import grpc_provider
from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.common.v1 import payload_pb2
from weft.core.context import CallContext
from weft.core.errors import (
    ActionFailedError,
    Code,
    DeadlineExceededError,
    PreconditionError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.payload import to_struct
from weft.core.reasons import Reason
from weft.discovery.model import Endpoint, Protocol
from weft.mesh.actions import ActionCall, UnreachableError
from weft.mesh.grpc_actions import GrpcActionTransport
from weft.mesh.http import HttpPool
from weft.mesh.http_actions import HttpActionTransport

CALL = ActionCall(
    service="texts",
    action="shout",
    input=b'{"text":"hey"}',
    context=CallContext(project_id="p", request_id="r", values={"tier": "gold"}),
    execution_id="exe_1",
    workflow_id="wf_1",
    step_id="first",
    attempt=3,
    idempotency_key="exe_1/first",
)


@pytest.fixture
async def over_grpc() -> AsyncIterator[GrpcActionTransport]:
    transport = GrpcActionTransport()
    yield transport
    await transport.close()


@pytest.fixture
async def over_http() -> AsyncIterator[HttpActionTransport]:
    transport = HttpActionTransport()
    yield transport
    await transport.close()


async def test_a_grpc_provider_gets_everything(over_grpc: GrpcActionTransport) -> None:
    """Names, input as JSON text, context, invocation, and the time that is left as the deadline."""
    seen: list[tuple[pb.InvokeActionRequest, float]] = []

    async def invoke(data: bytes, context: Any) -> bytes:
        seen.append((pb.InvokeActionRequest.FromString(data), context.time_remaining()))
        return pb.InvokeActionResponse(output=payload_pb2.Payload(json=b'{"a":1}')).SerializeToString()

    async with grpc_provider(invoke) as port:
        assert await over_grpc.invoke(Endpoint(host="127.0.0.1", port=port), CALL, 7.0) == b'{"a":1}'
    ((request, left),) = seen
    assert (request.service, request.action, request.input.json) == ("texts", "shout", CALL.input)
    assert (request.context.project_id, request.context.request_id) == ("p", "r")
    assert dict(request.context.values) == {"tier": "gold"}
    invocation = request.invocation
    assert (invocation.execution_id, invocation.workflow_id, invocation.step_id) == ("exe_1", "wf_1", "first")
    assert (invocation.attempt, invocation.idempotency_key) == (3, "exe_1/first")
    assert 5 < left <= 7


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (payload_pb2.Payload(), b"{}"),
        (payload_pb2.Payload(json=b""), b"{}"),
        (payload_pb2.Payload(json=b' {"a": 1}'), b' {"a": 1}'),
        (payload_pb2.Payload(struct=to_struct({})), b"{}"),
        (payload_pb2.Payload(struct=to_struct({"a": 1, "b": [1.5]})), b'{"a":1,"b":[1.5]}'),
    ],
    ids=["unset", "empty", "text", "empty struct", "struct"],
)
async def test_an_output_in_either_kind_is_text(
    over_grpc: GrpcActionTransport, output: payload_pb2.Payload, text: bytes
) -> None:
    """Text is passed on as it was sent: whether it is an object is checked where the schema is."""

    async def invoke(data: bytes, context: Any) -> bytes:
        return pb.InvokeActionResponse(output=output).SerializeToString()

    async with grpc_provider(invoke) as port:
        endpoint = Endpoint(host="127.0.0.1", port=port)
        answer = await over_grpc.invoke(endpoint, CALL, 5.0) or b""
    assert sorted(answer) == sorted(text)


async def test_cancelling_a_call_cancels_the_action(over_grpc: GrpcActionTransport) -> None:
    """The provider is told that nobody waits any more."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def invoke(data: bytes, context: Any) -> bytes:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return b""

    async with asyncio.timeout(5), grpc_provider(invoke) as port:
        call = asyncio.create_task(over_grpc.invoke(Endpoint(host="127.0.0.1", port=port), CALL, 5.0))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await stopped.wait()


class HttpProvider:
    """A plain HTTP server that answers as told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"{}"
        self.headers: dict[str, str] = {}
        self.pause = 0.0
        self.requests: list[tuple[str, CIMultiDict[str], bytes]] = []
        self.endpoint = Endpoint(host="127.0.0.1", port=1)

    async def answer(self, request: web.Request) -> web.Response:
        headers = CIMultiDict(request.headers)
        self.requests.append((request.path, headers, await request.read()))
        await asyncio.sleep(self.pause)
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    def below(self, path: str) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=self.endpoint.port, protocol=Protocol.HTTP, path=path)


@pytest.fixture
async def provider() -> AsyncIterator[HttpProvider]:
    made = HttpProvider()
    application = web.Application()
    application.router.add_post("/{path:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.endpoint = Endpoint(host="127.0.0.1", port=runner.addresses[0][1], protocol=Protocol.HTTP)
    yield made
    await runner.cleanup()


async def test_an_http_provider_gets_everything(
    over_http: HttpActionTransport, provider: HttpProvider
) -> None:
    """The path, the JSON text as body, and the ids as headers, with the milliseconds that are left."""
    provider.body = b'{"a": 1}'
    assert await over_http.invoke(provider.below("/v1/actions"), CALL, 7.0) == b'{"a": 1}'
    ((path, headers, body),) = provider.requests
    assert (path, body) == ("/v1/actions/shout", CALL.input)
    assert {name.lower(): value for name, value in headers.items()} | {
        "content-type": "application/json",
        "accept": "application/json",
        "x-request-id": "r",
        "x-project-id": "p",
        "weft-execution-id": "exe_1",
        "weft-step-id": "first",
        "weft-attempt": "3",
        "idempotency-key": "exe_1/first",
        "weft-timeout-ms": "7000",
    } == {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/shout"),
        ("/", "/shout"),
        ("/v1/", "/v1/shout"),
        ("/a b/ä", "/a b/ä/shout"),
    ],
)
async def test_the_action_is_asked_for_below_the_endpoints_path(
    over_http: HttpActionTransport, provider: HttpProvider, path: str, asked: str
) -> None:
    """With one slash between them, and every character as it was registered."""
    await over_http.invoke(provider.below(path), CALL, 7.0)
    assert [request[0] for request in provider.requests] == [asked]


async def test_two_transports_share_a_pool_that_is_its_makers(provider: HttpProvider) -> None:
    """Closing one of them leaves the other's connections alone."""
    pool = HttpPool()
    first, second = HttpActionTransport(pool=pool), HttpActionTransport(pool=pool)
    await first.invoke(provider.endpoint, CALL, 5.0)
    await first.close()
    assert await second.invoke(provider.endpoint, CALL, 5.0) == b"{}"
    await pool.close()


async def test_no_value_can_add_a_header(over_http: HttpActionTransport, provider: HttpProvider) -> None:
    """Line breaks in what a caller put into its context do not reach the wire."""
    context = CallContext(project_id="a\r\nx-evil: 1", request_id="ü\n\0")
    call = ActionCall(service="texts", action="shout", input=b"{}", context=context)
    assert await over_http.invoke(provider.endpoint, call, 5.0) == b"{}"
    ((_, headers, _),) = provider.requests
    assert "x-evil" not in headers
    assert headers["x-project-id"] == "ax-evil: 1"


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, Code.INVALID_ARGUMENT, "HTTP_400"),
        (401, Code.UNAUTHENTICATED, "HTTP_401"),
        (403, Code.PERMISSION_DENIED, "HTTP_403"),
        (404, Code.NOT_FOUND, "HTTP_404"),
        (409, Code.ABORTED, "HTTP_409"),
        (412, Code.FAILED_PRECONDITION, "HTTP_412"),
        (422, Code.INVALID_ARGUMENT, "HTTP_422"),
        (429, Code.RESOURCE_EXHAUSTED, "HTTP_429"),
        (500, Code.ABORTED, "HTTP_500"),
        (501, Code.UNIMPLEMENTED, "HTTP_501"),
        (302, Code.ABORTED, "HTTP_302"),
        (502, Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE),
        (503, Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE),
        (408, Code.DEADLINE_EXCEEDED, Reason.ACTION_TIMEOUT),
        (504, Code.DEADLINE_EXCEEDED, Reason.ACTION_TIMEOUT),
    ],
)
async def test_what_an_http_status_means(
    over_http: HttpActionTransport, provider: HttpProvider, status: int, code: Code, reason: str
) -> None:
    """Each has a code; without words of its own the reason is the status."""
    provider.status, provider.body = status, b"why not"
    with pytest.raises(WeftError) as caught:
        await over_http.invoke(provider.endpoint, CALL, 5.0)
    assert (caught.value.code, caught.value.reason) == (code, reason)
    if isinstance(caught.value, ActionFailedError):
        assert caught.value.metadata["http_status"] == str(status)
        assert "why not" in caught.value.message


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (b'{"error": {"reason": "MINE", "message": "no"}}', "MINE", "no"),
        (b'{"reason": "MINE", "message": "no"}', "MINE", "no"),
        (b'{"error": "no"}', "HTTP_400", "no"),
        (b'{"error": {"reason": null}}', "HTTP_400", ""),
        (b'{"error": {"reason": ["a"]}}', "['a']", ""),
        (b"[1]", "HTTP_400", ""),
        (b"<h1>no</h1>", "HTTP_400", "<h1>no</h1>"),
        (b"\xff", "HTTP_400", "\ufffd"),
        (b"", "HTTP_400", ""),
        (b'{"reason": "' + b"R" * 100 + b'"}', "R" * 63, ""),
        (b"x" * 10_000, "HTTP_400", "x" * 500),
    ],
)
async def test_an_http_provider_may_say_why(
    over_http: HttpActionTransport, provider: HttpProvider, body: bytes, reason: str, message: str
) -> None:
    """As JSON or as text; never more than an error may hold."""
    provider.status, provider.body = 400, body
    with pytest.raises(ActionFailedError) as caught:
        await over_http.invoke(provider.endpoint, CALL, 5.0)
    assert caught.value.reason == reason
    assert caught.value.message == "texts.shout answered HTTP 400" + (f": {message}" if message else "")


async def test_an_empty_body_is_the_empty_object(
    over_http: HttpActionTransport, provider: HttpProvider
) -> None:
    """Such as with 204."""
    provider.status, provider.body = 204, b""
    assert await over_http.invoke(provider.endpoint, CALL, 5.0) == b"{}"


async def test_a_slow_provider_is_left_in_time(
    over_http: HttpActionTransport, provider: HttpProvider
) -> None:
    """The timeout of the call bounds all of it."""
    provider.pause = 5
    async with asyncio.timeout(2):
        with pytest.raises(DeadlineExceededError) as caught:
            await over_http.invoke(provider.endpoint, CALL, 0.1)
    assert caught.value.reason == Reason.ACTION_TIMEOUT


@pytest.mark.parametrize(
    "host", ["two words", "a\nb", "%zz", "..", "", "999.999.999.999", "\u2100", "ä" * 70, "127.0.0.1"]
)
@pytest.mark.parametrize("protocol", list(Protocol))
async def test_an_address_that_is_none_is_unreachable(
    over_grpc: GrpcActionTransport, over_http: HttpActionTransport, host: str, protocol: Protocol
) -> None:
    """Whatever got into a registry: it is an error of the mesh, and another endpoint may be tried."""
    transport = over_grpc if protocol is Protocol.GRPC else over_http
    with pytest.raises(UnreachableError):
        await transport.invoke(Endpoint(host=host, port=9, protocol=protocol), CALL, 3.0)


async def test_what_is_no_http_breaks_the_call_only(over_http: HttpActionTransport) -> None:
    """A peer that speaks another protocol: ACTION_UNAVAILABLE."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-no\r\n")
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ServiceUnavailableError) as caught:
        await over_http.invoke(Endpoint(host="127.0.0.1", port=port, protocol=Protocol.HTTP), CALL, 3.0)
    assert caught.value.reason == Reason.ACTION_UNAVAILABLE
    server.close()
    await server.wait_closed()


async def test_what_is_no_message_is_the_actions_fault(over_grpc: GrpcActionTransport) -> None:
    """Bytes that no InvokeActionResponse has: ACTION_OUTPUT_INVALID, with the names of the call."""

    async def invoke(data: bytes, context: Any) -> bytes:
        return b"\xff"

    async with grpc_provider(invoke) as port:
        with pytest.raises(PreconditionError) as caught:
            await over_grpc.invoke(Endpoint(host="127.0.0.1", port=port), CALL, 5.0)
    assert caught.value.reason == Reason.ACTION_OUTPUT_INVALID
    assert caught.value.metadata == {"service": "texts", "action": "shout"}
