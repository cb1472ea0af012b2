"""Calls by name against real servers that nobody here has generated code for."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from tests.support.dynamic import (
    Teller,
    connected_to,
    descriptor_set,
    descriptors,
    reflecting,
    serving_handlers,
)
from weft.client.mesh import connect_mesh
from weft.core.context import CallContext
from weft.core.errors import (
    ActionFailedError,
    Code,
    DeadlineExceededError,
    ExhaustedError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    ValidationError,
    WeftError,
)
from weft.core.reasons import Reason, Rule
from weft.core.testing import ManualClock
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall
from weft.mesh.dynamic.actions import list_actions
from weft.mesh.dynamic.call import MethodCaller
from weft.mesh.grpc_methods import GrpcMethodInvoker

pytestmark = pytest.mark.integration

TELLER = "kinds.v1.Teller"


@pytest.fixture
async def teller() -> AsyncIterator[Teller]:
    made = Teller()
    async with serving_handlers(made.handler(), reflect=[TELLER]) as port:
        made.port = port
        yield made


@pytest.fixture
async def caller(teller: Teller) -> AsyncIterator[MethodCaller]:
    made = MethodCaller(lambda _: grpc.aio.insecure_channel(f"127.0.0.1:{teller.port}"))
    yield made
    await made.close()


async def some(*names: str) -> AsyncIterator[dict[str, Any]]:
    for name in names:
        await asyncio.sleep(0)
        yield {"name": name}


async def test_all_four_shapes(caller: MethodCaller) -> None:
    """One or many requests, from a list or an iterator; one or many responses."""
    echoed = await caller.call_service("tell", "Echo", {"text": "hey", "many_numbers": [1, 2**60]})
    assert (echoed["text"], echoed["many_numbers"]) == ("hey", [1, 2**60])
    counted = caller.stream_service("tell", f"{TELLER}/Count", {"name": "a", "sizeInCm": 3})
    assert [item["size_in_cm"] async for item in counted] == [0, 1, 2]
    for requests in ([{"name": "a"}, {"name": "b"}], iter([{"name": "a"}, {"name": "b"}]), some("a", "b")):
        gathered = await caller.call_service("tell", f"/{TELLER}/Gather", requests)
        assert [leaf["name"] for leaf in gathered["leaves"]] == ["a", "b"]
    chat = caller.stream_service("tell", "Chat", some("a", "b"))
    assert [item["name"] async for item in chat] == ["A", "B"]
    assert await caller.call_service("tell", "Now") == {"value": "2026-01-31T08:00:00Z"}


async def test_a_method_used_in_another_shape_is_told(caller: MethodCaller) -> None:
    """What it takes, and which function to use."""
    with pytest.raises(ValidationError, match="answers with a stream: use stream_service"):
        await caller.call_service("tell", "Count", {})
    with pytest.raises(ValidationError, match="answers with one response: use call_service"):
        await anext(caller.stream_service("tell", "Echo"))
    with pytest.raises(ValidationError, match="takes a stream of requests: give a list"):
        await caller.call_service("tell", "Gather", {"name": "a"})
    with pytest.raises(ValidationError, match="takes one request: give an object"):
        await caller.call_service("tell", "Echo", [{}])


async def test_a_method_that_may_run_twice_is_called_again(teller: Teller) -> None:
    """Its descriptor says so; a channel of the mesh cannot know, as nobody has loaded it."""
    failures = {"Echo": 1, "Fail": 1}
    seen: list[str] = []

    class Flaky(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            name = handler_call_details.method.rpartition("/")[2]
            seen.append(name)
            if failures.get(name, 0):
                failures[name] -= 1
                return grpc.unary_unary_rpc_method_handler(_unavailable)
            return await continuation(handler_call_details)

    server = grpc.aio.server(interceptors=(Flaky(),))
    server.add_generic_rpc_handlers((teller.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with connect_mesh() as mesh:
        target = f"static:///127.0.0.1:{port}"
        mesh.use_descriptors(target, descriptor_set())
        assert (await mesh.call_service(target, "Echo", {"text": "hey"}))["text"] == "hey"
        with pytest.raises(WeftError, match="not now"):
            await mesh.call_service(target, "Fail", {"name": "a"})
    await server.stop(0)
    assert seen == ["Echo", "Echo", "Fail"]


async def _unavailable(_: bytes, context: Any) -> bytes:
    await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
    raise AssertionError


async def test_nothing_is_sent_of_what_does_not_fit(teller: Teller, caller: MethodCaller) -> None:
    """Every violation is named, in every request of a list."""
    with pytest.raises(ValidationError) as caught:
        await caller.call_service("tell", "Echo", {"smal": 1, "text": 2})
    assert [v.field for v in caught.value.violations] == ["smal", "text"]
    assert teller.metadata == {}
    requests: list[Any] = [{"nam": 1}, {}, {"name": 2}, 3]
    with pytest.raises(ValidationError) as caught:
        await caller.call_service("tell", "Gather", requests)
    assert [v.field for v in caught.value.violations] == [
        "requests[0].nam",
        "requests[2].name",
        "requests[3]",
    ]


async def test_a_fault_within_a_stream_is_told(caller: MethodCaller) -> None:
    """Of the request that has it, rather than that the call was cancelled; and the iterator's own error."""

    async def bad() -> AsyncIterator[dict[str, Any]]:
        yield {"name": "a"}
        yield {"nam": "b"}

    async def broken() -> AsyncIterator[dict[str, Any]]:
        yield {"name": "a"}
        raise RuntimeError("out of leaves")

    for attempt in (lambda r: caller.call_service("tell", "Gather", r), lambda r: _all(caller, r)):
        with pytest.raises(ValidationError) as caught:
            await attempt(bad())
        assert [v.field for v in caught.value.violations] == ["requests[1].nam"]
        with pytest.raises(RuntimeError, match="out of leaves"):
            await attempt(broken())


async def _all(caller: MethodCaller, requests: Any) -> list[Any]:
    return [item async for item in caller.stream_service("tell", "Chat", requests)]


async def test_errors_are_those_of_weft(caller: MethodCaller) -> None:
    """By the code of the RPC, and by the deadline."""
    with pytest.raises(WeftError, match="as you like it") as caught:
        await caller.call_service("tell", "Fail", {"name": "PERMISSION_DENIED"})
    assert caught.value.code is Code.PERMISSION_DENIED
    with pytest.raises(DeadlineExceededError):
        await caller.call_service("tell", "Fail", {"name": "HANG"}, timeout=timedelta(seconds=0.1))


@pytest.mark.parametrize("name", ["ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED", "RESOURCE_EXHAUSTED"])
@pytest.mark.parametrize("detailed", [False, True])
async def test_no_reason_is_made_up(
    teller: Teller, caller: MethodCaller, name: str, *, detailed: bool
) -> None:
    """A service that gives no ErrorInfo has no reason of ours; what else it says is kept."""
    teller.details = [RetryInfo(retry_delay=Duration(seconds=2))] if detailed else []
    with pytest.raises(WeftError, match="as you like it") as caught:
        await caller.call_service("tell", "Fail", {"name": name})
    assert (caught.value.code, caught.value.reason) == (Code[name], Reason.UNEXPECTED_STATUS)
    assert caught.value.retry_after == (timedelta(seconds=2) if detailed else None)
    with pytest.raises(ActionFailedError, match="as you like it") as failed:
        await invoke(teller, f"{TELLER}/Fail", {"name": name})
    assert (failed.value.code, failed.value.reason) == (Code[name], Reason.ACTION_FAILED)
    assert failed.value.retry_after == caught.value.retry_after


async def test_a_reason_that_is_given_is_kept(teller: Teller, caller: MethodCaller) -> None:
    """The ErrorInfo of a foreign service reaches callers and workflows."""
    teller.details = [ErrorInfo(reason="LEAF_LOST", domain="tree.example")]
    for attempt in (
        caller.call_service("tell", "Fail", {"name": "FAILED_PRECONDITION"}),
        invoke(teller, f"{TELLER}/Fail", {"name": "FAILED_PRECONDITION"}),
    ):
        with pytest.raises(ActionFailedError) as caught:
            await attempt
        assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "LEAF_LOST")


async def test_a_service_that_is_unavailable_is_named(teller: Teller, caller: MethodCaller) -> None:
    """It, not Weft, also when its status has details."""
    teller.details = [RetryInfo(retry_delay=Duration(seconds=2))]
    for attempt in (
        caller.call_service("tell", "Fail", {"name": "UNAVAILABLE"}),
        invoke(teller, f"{TELLER}/Fail", {"name": "UNAVAILABLE"}),
    ):
        with pytest.raises(ServiceUnavailableError) as caught:
            await attempt
        assert (caught.value.service_name, caught.value.retry_after) == ("tell", timedelta(seconds=2))


async def test_the_words_of_a_service_that_is_unavailable_are_kept(teller: Teller) -> None:
    """Also in the failure of an action: what it says is often the only trace."""
    with pytest.raises(ServiceUnavailableError, match="as you like it"):
        await invoke(teller, f"{TELLER}/Fail", {"name": "UNAVAILABLE"})
    with pytest.raises(DeadlineExceededError, match="as you like it"):
        await invoke(teller, f"{TELLER}/Fail", {"name": "DEADLINE_EXCEEDED"})


async def test_metadata_is_sent(teller: Teller, caller: MethodCaller) -> None:
    """As a mapping or as pairs; keys become what gRPC takes."""
    await caller.call_service("tell", "Echo", metadata={"X-Tier": "gold"})
    assert teller.metadata["x-tier"] == "gold"


async def test_an_unknown_method_is_answered_with_close_names(caller: MethodCaller) -> None:
    """METHOD_NOT_FOUND, with the service."""
    with pytest.raises(ResourceNotFoundError, match="did you mean 'Echo'") as caught:
        await caller.call_service("tell", "Ecko")
    assert (caught.value.reason, caught.value.metadata["service"]) == (Reason.METHOD_NOT_FOUND, "tell")


async def test_descriptors_are_read_once_and_again_when_they_may_be_old() -> None:
    """One reading for many calls; another after the time to live, for an unknown method, when forgotten."""
    read = 0
    answer = _honest()

    async def counting(request: Any, context: Any) -> Any:
        nonlocal read
        read += request.HasField("list_services")
        return await answer(request, context)

    clock = ManualClock()
    async with serving_handlers(Teller().handler(), *reflecting(counting)) as port:
        address = f"127.0.0.1:{port}"
        caller = MethodCaller(lambda _: grpc.aio.insecure_channel(address), clock=clock)
        await asyncio.gather(*(caller.call_service("tell", "Now") for _ in range(20)))
        assert read == 1
        await clock.advance(2)
        with pytest.raises(ResourceNotFoundError):
            await caller.call_service("tell", "Nope")
        assert read == 2
        await clock.advance(601)
        await caller.call_service("tell", "Now")
        assert read == 3
        caller.forget("tell")
        await caller.call_service("tell", "Now")
        assert read == 4
        await caller.close()


def _honest() -> Any:
    from grpc_reflection.v1alpha import reflection  # noqa: PLC0415 - only here

    servicer: Any = reflection.aio.ReflectionServicer([TELLER], pool=descriptors().pool)

    async def answer(request: Any, context: Any) -> Any:
        async def one() -> AsyncIterator[Any]:
            yield request

        return await anext(aiter(servicer.ServerReflectionInfo(one(), context)))

    return answer


async def test_given_descriptors_need_no_reflection() -> None:
    """A set given is used as it is; a method it has and the server has not is told as such."""
    async with serving_handlers(Teller().handler()) as port:
        caller = MethodCaller(lambda _: grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        with pytest.raises(PreconditionError) as caught:
            await caller.call_service("tell", "Now")
        assert caught.value.reason == Reason.DESCRIPTORS_UNAVAILABLE
        caller.use_descriptors("tell", descriptor_set())
        assert await caller.call_service("tell", "Now")
        with pytest.raises(ResourceNotFoundError, match=r"does not serve old\.v1\.Carts/Ask") as missing:
            await caller.call_service("tell", "Ask", {"must_have": "x"})
        assert missing.value.reason == Reason.METHOD_NOT_FOUND
        await caller.close()


async def test_services_called_long_ago_are_forgotten(teller: Teller) -> None:
    """However many targets are named in the life of a process; a call that runs goes on."""
    caller = MethodCaller(lambda _: grpc.aio.insecure_channel(f"127.0.0.1:{teller.port}"))
    async with aclosing(caller.stream_service("first", "Count", {"name": "a", "size_in_cm": 3})) as numbers:
        await anext(numbers)
        for number in range(1_001):
            caller._channel(f"service-{number}")
        assert len(caller._channels) <= 1_000
        assert "first" not in caller._channels
        gc.collect()
        assert [number async for number in numbers]
    await caller.close()


async def test_leaving_a_stream_cancels_the_call(caller: MethodCaller) -> None:
    """Nothing goes on in the background."""
    async with asyncio.timeout(5):
        stream = caller.stream_service("tell", "Count", {"name": "a", "size_in_cm": 2**30})
        assert (await anext(stream))["name"] == "a"
        await stream.aclose()


# --- actions


def action_call(value: Any) -> ActionCall:
    return ActionCall(
        service="tell", action="act", input=json.dumps(value).encode(), idempotency_key="exe_1/first",
        execution_id="exe_1", step_id="first", attempt=3, context=CallContext(request_id="r\n1"),
    )  # fmt: skip


async def invoke(teller: Teller, method: str, value: Any, timeout: float = 5.0) -> Any:
    endpoint = Endpoint(host="127.0.0.1", port=teller.port)
    async with connected_to(teller.port) as channel:
        invoker = GrpcMethodInvoker(descriptors())
        return json.loads(await invoker.invoke(channel, method, endpoint, action_call(value), timeout))


async def test_an_rpc_is_an_action(teller: Teller) -> None:
    """Its input is the request, its output the response; who calls is told as metadata."""
    assert (await invoke(teller, f"{TELLER}/Echo", {"text": "hey"}))["text"] == "hey"
    assert teller.metadata["idempotency-key"] == "exe_1/first"
    assert (teller.metadata["weft-execution-id"], teller.metadata["weft-step-id"]) == ("exe_1", "first")
    assert (teller.metadata["weft-attempt"], teller.metadata["x-request-id"]) == ("3", "r1")


async def test_streams_are_lists_of_an_action(teller: Teller) -> None:
    """``requests`` in, ``responses`` out."""
    chat = await invoke(teller, f"{TELLER}/Chat", {"requests": [{"name": "a"}, {"name": "b"}]})
    assert chat == {"responses": [{"name": "A", "size_in_cm": 0}, {"name": "B", "size_in_cm": 0}]}
    assert await invoke(teller, f"{TELLER}/Count", {"name": "a"}) == {"responses": []}
    for wrong, paths in (
        ({"name": "a"}, ["input.name", "input.requests"]),
        ({"requests": [{"nam": 1}]}, ["input.requests[0].nam"]),
        ({"requests": [{}] * 1_001}, ["input.requests"]),
    ):
        with pytest.raises(ValidationError) as caught:
            await invoke(teller, f"{TELLER}/Gather", wrong)
        assert [v.field for v in caught.value.violations] == paths


async def test_an_output_is_bounded(teller: Teller) -> None:
    """By bytes and by messages; an endless stream is left."""
    for request in ({"name": "x" * 100_000, "size_in_cm": 50}, {"size_in_cm": 2**30}):
        with pytest.raises(ExhaustedError) as caught:
            await invoke(teller, f"{TELLER}/Count", request)
        assert caught.value.reason == Reason.ACTION_OUTPUT_TOO_LARGE
    with pytest.raises(ExhaustedError) as caught:
        await invoke(teller, f"{TELLER}/Echo", {"text": "x" * 1_048_400})
    assert caught.value.reason == Reason.ACTION_OUTPUT_TOO_LARGE


@pytest.mark.parametrize(
    ("name", "kind", "reason", "code"),
    [
        ("NOT_FOUND", ActionFailedError, Reason.ACTION_FAILED, Code.NOT_FOUND),
        ("INTERNAL", ActionFailedError, Reason.ACTION_FAILED, Code.ABORTED),
        ("UNAVAILABLE", ServiceUnavailableError, Reason.ACTION_UNAVAILABLE, Code.UNAVAILABLE),
        ("UNIMPLEMENTED", ResourceNotFoundError, Reason.ACTION_NOT_FOUND, Code.NOT_FOUND),
        ("HANG", DeadlineExceededError, Reason.ACTION_TIMEOUT, Code.DEADLINE_EXCEEDED),
    ],
)
async def test_a_failed_rpc_is_a_failed_action(
    teller: Teller, name: str, kind: type[WeftError], reason: str, code: Code
) -> None:
    """With the code of the RPC, as far as it is the service's own word."""
    with pytest.raises(kind) as caught:
        await invoke(teller, f"{TELLER}/Fail", {"name": name}, timeout=0.3)
    assert (caught.value.reason, caught.value.code) == (reason, code)


async def test_the_input_of_an_action_is_checked(teller: Teller) -> None:
    """Every violation, below ``input``."""
    with pytest.raises(ValidationError) as caught:
        await invoke(teller, f"{TELLER}/Echo", {"smal": 1, "text": 2})
    assert [(v.field, v.reason) for v in caught.value.violations] == [
        ("input.smal", Rule.INPUT_UNKNOWN),
        ("input.text", Rule.SCHEMA_MISMATCH),
    ]


async def test_an_action_service_lists_its_own() -> None:
    """Over ListActions, with schemas, in pages."""
    from weft.service import Service  # noqa: PLC0415 - the provider's SDK is only a peer here

    service = Service("demo", version="1.0.0")

    @service.action(idempotent=True)
    async def shout(text: str) -> dict[str, str]:
        """Say it loud."""
        return {"text": text.upper()}

    async with (
        service.hosted(server=None) as host,
        connected_to(int(host.address.rpartition(":")[2])) as channel,
    ):
        (action,) = await list_actions(channel, "demo")
    assert (action.name, action.description, action.idempotent) == ("shout", "Say it loud.", True)
    assert action.input_schema is not None
    assert action.input_schema["required"] == ["text"]


async def test_metadata_that_cannot_be_sent(teller: Teller) -> None:
    """Every fault is named, before anything is sent; what gRPC can carry arrives."""
    wrong = {
        "a b": "c",
        ":path": "/x",
        "x-name": "Zoë",
        "x-lines": "a\nb",
        "x-number": 5,
        "x-raw-bin": "text",
    }
    async with connect_mesh() as mesh:
        target = f"127.0.0.1:{teller.port}"
        with pytest.raises(ValidationError) as refused:
            await mesh.call_service(target, "Echo", {}, metadata=wrong)  # type: ignore[arg-type]  # the point
        named = zip(wrong, refused.value.violations, strict=True)
        assert all(it.description.startswith(repr(key)) for key, it in named)
        with pytest.raises(ValidationError):
            async for _ in mesh.stream_service(target, "Count", {}, metadata={"a b": "c"}):
                pass
