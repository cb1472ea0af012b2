"""HTTP by name: what is sent, and what comes back."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from tests.support.http_services import calling, http_service, nobody
from weft.core.errors import (
    ActionFailedError,
    Code,
    DeadlineExceededError,
    ExhaustedError,
    PreconditionError,
    ValidationError,
    WeftError,
)
from weft.core.reasons import Reason, Rule
from weft.mesh.http import HttpConfig


async def mirror(request: web.Request) -> web.Response:
    """Answer with what was asked."""
    return web.json_response(
        {"method": request.method, "path": request.raw_path, "body": (await request.read()).decode()}
    )


async def test_a_call_sends_json_and_returns_json() -> None:
    """Below the instance's own path, with or without the first slash of the endpoint."""
    async with http_service(handler=mirror, path="/v1/") as service, calling(service.endpoint) as caller:
        for name in ("orders/7", "/orders/7"):
            answer = await caller.call_service("texts", name, data={"a": [1, None, "ä"]})
            assert answer == {"method": "POST", "path": "/v1/orders/7", "body": '{"a":[1,null,"ä"]}'}
        headers = service.headers[0]
    assert (headers["content-type"], headers["accept"]) == ("application/json", "application/json")


@pytest.mark.parametrize(
    ("data", "body"), [("text", '"text"'), ([1], "[1]"), (False, "false"), (0, "0"), ({}, "{}"), (None, "")]
)
async def test_every_json_value_is_data(data: Any, body: str) -> None:
    """Text is a JSON string; None is no body."""
    async with http_service(handler=mirror) as service, calling(service.endpoint) as caller:
        assert (await caller.call_service("texts", "x", data=data))["body"] == body


@pytest.mark.parametrize("method", ["GET", "delete", "OPTIONS"])
async def test_data_becomes_the_query_of_methods_without_a_body(method: str) -> None:
    """Lists repeat their name, None is left out, and what the endpoint says itself stays."""
    data = {"q": "a&b=ü +", "n": 1.5, "list": [1, "two"], "yes": True, "none": None}
    async with http_service(handler=mirror) as service, calling(service.endpoint) as caller:
        answer = await caller.call_service("texts", "find?x=1", method, data)
    assert answer["path"] == "/find?x=1&q=a%26b%3D%C3%BC+%2B&n=1.5&list=1&list=two&yes=true"
    assert (answer["method"], answer["body"]) == (method.upper(), "")


async def test_an_empty_answer_is_none() -> None:
    """Such as with 204."""

    async def nothing(request: web.Request) -> web.Response:
        return web.Response(status=204)

    async with http_service(handler=nothing) as service, calling(service.endpoint) as caller:
        assert await caller.call_service("texts", "x") is None
        assert (await caller.request("texts", "GET", "/x")).json() is None


async def test_an_answer_that_is_no_json_says_what_it_is() -> None:
    """PreconditionError ACTION_OUTPUT_INVALID, naming the instance, the content type and its beginning."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>" + "x" * 1_000, content_type="text/html")

    async with http_service("one", page) as service, calling(service.endpoint) as caller:
        with pytest.raises(PreconditionError) as caught:
            await caller.call_service("texts", "x", "GET")
    error = caught.value
    assert (error.reason, error.metadata["instance_id"]) == (Reason.ACTION_OUTPUT_INVALID, "one")
    assert "text/html" in error.message
    assert "<html>xxx" in error.message
    assert len(error.message) < 400


async def test_a_response_is_whole_whatever_its_status() -> None:
    """Status, headers in any case, bytes, text in its charset, JSON, and who answered."""

    async def teapot(request: web.Request) -> web.Response:
        headers = {"content-type": "text/plain; charset=latin-1", "X-Kind": "pot"}
        return web.Response(status=418, body="tê".encode("latin-1"), headers=headers)

    async with http_service("one", teapot) as service, calling(service.endpoint) as caller:
        response = await caller.request("texts", "get", "/tea")
    assert (response.status, response.ok, response.instance_id, response.attempts) == (418, False, "one", 1)
    assert (response.headers["x-kind"], response.body, response.text()) == ("pot", b"t\xea", "tê")
    with pytest.raises(AttributeError):
        response.status = 200  # type: ignore[misc] # that is what is tested


@pytest.mark.parametrize("content_type", ["", "text/plain; charset=no-such", 'text/plain; charset="', ";;;="])
async def test_text_of_an_odd_charset_is_utf_8(content_type: str) -> None:
    """What cannot be read is replaced."""

    async def odd(request: web.Request) -> web.Response:
        return web.Response(body="ä\n".encode() + b"\xff", headers={"content-type": content_type})

    async with http_service(handler=odd) as service, calling(service.endpoint) as caller:
        assert (await caller.request("texts", "GET", "/")).text() == "ä\n\ufffd"


@pytest.mark.parametrize(
    ("data", "kind", "body"),
    [
        (b"\x00\xff", "application/octet-stream", b"\x00\xff"),
        (bytearray(b"ab"), "application/octet-stream", b"ab"),
        ("tê", "text/plain; charset=utf-8", "tê".encode()),
        ({"a": 1}, "application/json", b'{"a":1}'),
        (None, None, b""),
    ],
)
async def test_a_request_sends_what_data_is(data: Any, kind: str | None, body: bytes) -> None:
    """Bytes and text as they are, all else as JSON; a content type that is given wins."""
    async with http_service() as service, calling(service.endpoint) as caller:
        await caller.request("texts", "POST", "/", data)
        await caller.request("texts", "POST", "/", data, {"Content-Type": "image/png"})
    assert service.bodies == [body, body]
    assert [headers.get("content-type") for headers in service.headers] == [kind, "image/png"]


async def test_all_faults_of_the_arguments_are_told_at_once() -> None:
    """Nothing is sent; each has its field."""
    async with http_service() as service, calling(service.endpoint) as caller:
        with pytest.raises(ValidationError) as caught:
            await caller.request(
                "te xts",
                "FETCH",
                "a/../b#c\n",
                {"a": {1, 2}},
                {
                    "x": "a\r\ny: 1",
                    "bad name": "",
                    "Host\n": "",
                    "Transfer-Encoding": "chunked",
                    "a": "1",
                    "A": "2",
                },
                params={"p": {"deep": 1}, "nan": float("nan")},
            )
    fields = Counter(violation.field for violation in caught.value.violations)
    assert fields - Counter(["target", "service", ""]) >= Counter(
        {
            "method": 1,
            "path": 4,
            "data": 1,
            "headers.x": 1,
            "headers": 2,
            "headers.Transfer-Encoding": 1,
            "headers.A": 1,
            "params.p": 1,
            "params.nan": 1,
        }
    )
    assert sum(fields.values()) > 12, "the target has its fault too"
    assert service.paths == []


@pytest.mark.parametrize(
    "data", [float("nan"), {"a": float("inf")}, b"bytes", {1: 2}, object(), [[[]] * 2 + ["\ud800"]]]
)
async def test_what_json_cannot_say_is_no_data(data: Any) -> None:
    """Also what a lenient writer would turn into null."""
    async with http_service() as service, calling(service.endpoint) as caller:
        with pytest.raises(ValidationError) as caught:
            await caller.call_service("texts", "x", data=data)
    assert [violation.field for violation in caught.value.violations] == ["data"]
    assert service.paths == []


@pytest.mark.parametrize(
    "data", [[1], "text", {"a": {"b": 1}}, {"a": object()}, {"\ud800": 1}, {"a": "\ud800"}]
)
async def test_what_is_no_query_is_no_data_of_a_get(data: Any) -> None:
    """A query has names and plain values."""
    async with calling(nobody()) as caller:
        with pytest.raises(ValidationError):
            await caller.call_service("texts", "x", "GET", data)


async def test_json_over_the_limit_is_not_sent() -> None:
    """The violation says which rule it breaks."""
    async with calling(nobody(), config=HttpConfig(max_body_bytes=100)) as caller:
        with pytest.raises(ValidationError) as caught:
            await caller.call_service("texts", "x", data="x" * 100)
    assert caught.value.violations[0].reason == Rule.PAYLOAD_TOO_LARGE


async def test_an_answer_over_the_limit_is_an_error() -> None:
    """ExhaustedError ACTION_OUTPUT_TOO_LARGE, with the instance."""

    async def much(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 101)

    config = HttpConfig(max_body_bytes=100)
    async with http_service("one", much) as service, calling(service.endpoint, config=config) as caller:
        with pytest.raises(ExhaustedError) as caught:
            await caller.request("texts", "GET", "/x")
    assert caught.value.reason == Reason.ACTION_OUTPUT_TOO_LARGE
    assert caught.value.metadata["instance_id"] == "one"


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (302, Code.ABORTED, "HTTP_302"),
        (400, Code.INVALID_ARGUMENT, "HTTP_400"),
        (401, Code.UNAUTHENTICATED, "HTTP_401"),
        (404, Code.NOT_FOUND, "HTTP_404"),
        (408, Code.DEADLINE_EXCEEDED, Reason.ACTION_TIMEOUT),
        (429, Code.RESOURCE_EXHAUSTED, "HTTP_429"),
        (500, Code.ABORTED, "HTTP_500"),
        (502, Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE),
        (503, Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE),
        (504, Code.DEADLINE_EXCEEDED, Reason.ACTION_TIMEOUT),
    ],
)
async def test_a_call_fails_by_the_status(status: int, code: Code, reason: str) -> None:
    """As HTTP actions do, with the service's own words, the instance, and the wait it asks for."""

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status, text="why not", headers={"retry-after": "7", "location": "/"})

    async with http_service("one", refuse) as service, calling(service.endpoint) as caller:
        with pytest.raises(WeftError) as caught:
            await caller.call_service("texts", "/secret?token=x", data=1)
    error = caught.value
    assert (error.code, error.reason) == (code, reason)
    assert error.message == f"POST /secret of texts answered HTTP {status}: why not"
    assert error.metadata == {
        "service": "texts",
        "method": "POST",
        "path": "/secret",
        "instance_id": "one",
        "http_status": str(status),
    }
    if not isinstance(error, DeadlineExceededError):
        assert error.retry_after == timedelta(seconds=7)
    assert len(service.paths) == 1, "a POST is sent once"


async def test_a_service_may_have_a_reason_of_its_own() -> None:
    """It passes, as an action's does."""

    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"reason": "SOLD_OUT", "message": "none left"}}, status=409)

    async with http_service(handler=refuse) as service, calling(service.endpoint) as caller:
        with pytest.raises(ActionFailedError, match="none left") as caught:
            await caller.call_service("texts", "buy")
    assert caught.value.reason == "SOLD_OUT"
