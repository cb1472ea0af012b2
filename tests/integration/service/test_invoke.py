"""Actions called over the wire, on a host that really runs."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

import grpc.aio
import pytest
from google.protobuf import struct_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.hosting import Probe, channel_to, health_of, invocation, invoke, reflection_of
from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.action.v1 import action_service_pb2_grpc
from weft.api.common.v1 import context_pb2, payload_pb2
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
from weft.core.payload import from_payload
from weft.core.reasons import Reason, Rule
from weft.mesh.rpc import error_from_rpc
from weft.service import Host

pytestmark = pytest.mark.integration


async def test_an_action_answers(channel: grpc.aio.Channel) -> None:
    """An input object goes in by its names, defaults hold, an output object comes out."""
    assert await invoke(channel, invocation("extract", {"document_url": "u"})) == {
        "text": "u in en",
        "words": 3,
    }


async def test_the_output_comes_in_the_kind_of_the_input(channel: grpc.aio.Channel) -> None:
    """JSON for JSON, Struct for Struct and for nothing."""
    stub = action_service_pb2_grpc.ActionServiceStub(channel)
    struct = struct_pb2.Struct()
    struct.update({"document_url": "u", "language": "de"})
    answer = await stub.InvokeAction(invocation("extract", input=payload_pb2.Payload(struct=struct)))
    assert answer.output.struct["text"] == "u in de"
    answer = await stub.InvokeAction(invocation("extract", {"document_url": "u"}))
    assert answer.output.WhichOneof("kind") == "json"
    answer = await stub.InvokeAction(pb.InvokeActionRequest(service="demo", action="look"))
    assert answer.output.WhichOneof("kind") == "struct"


@pytest.mark.parametrize(("action", "thread"), [("look", "MainThread"), ("look_in_thread", "weft-demo-1")])
async def test_the_context_arrives(channel: grpc.aio.Channel, action: str, thread: str) -> None:
    """Ids, values and the deadline reach async and plain functions alike."""
    request = invocation(
        action,
        context=context_pb2.CallContext(project_id="p", values={"color": "red"}),
        invocation=pb.Invocation(execution_id="exe_1", step_id="a", attempt=3, idempotency_key="k"),
    )
    seen = await invoke(channel, request, timeout=20)
    assert 15 < seen.pop("seconds_left") <= 20.1
    assert seen == {
        "thread": thread,
        "execution": "exe_1",
        "key": "k",
        "attempt": 3,
        "project": "p",
        "value": "red",
    }


async def test_without_a_deadline_there_is_none(channel: grpc.aio.Channel) -> None:
    """A caller that waits for ever is told apart."""
    stub = action_service_pb2_grpc.ActionServiceStub(channel)
    answer = await stub.InvokeAction(invocation("look"))
    assert from_payload(answer.output)["seconds_left"] == -1


async def test_the_actions_own_timeout_holds_where_the_caller_has_none(channel: grpc.aio.Channel) -> None:
    """A call without a deadline ends with the action's timeout."""
    stub = action_service_pb2_grpc.ActionServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.InvokeAction(invocation("brief"))
    error = error_from_rpc(caught.value)
    assert isinstance(error, DeadlineExceededError)
    assert error.reason == Reason.ACTION_TIMEOUT


async def test_wrong_input_is_refused_with_every_fault(channel: grpc.aio.Channel) -> None:
    """All violations come back, by their paths."""
    with pytest.raises(ValidationError) as caught:
        await invoke(channel, invocation("extract", {"language": 5, "extra": True}))
    assert {v.field for v in caught.value.violations} == {
        "input.document_url",
        "input.language",
        "input.extra",
    }
    with pytest.raises(ValidationError) as caught:
        await invoke(channel, invocation("extract", input=payload_pb2.Payload(json=b"[1]")))
    assert caught.value.violations[0].reason == Rule.PAYLOAD_INVALID


async def test_what_is_not_here_is_not_found(channel: grpc.aio.Channel) -> None:
    """Another service, an unknown action and an empty request are told apart."""
    with pytest.raises(ResourceNotFoundError, match="did you mean 'extract'") as caught:
        await invoke(channel, invocation("extrakt"))
    assert caught.value.reason == Reason.ACTION_NOT_FOUND
    with pytest.raises(ResourceNotFoundError) as caught:
        await invoke(channel, invocation("extract", service="other"))
    assert caught.value.reason == Reason.SERVICE_NOT_FOUND
    with pytest.raises(ValidationError) as invalid:
        await invoke(channel, pb.InvokeActionRequest())
    assert [v.field for v in invalid.value.violations] == ["service", "action"]


@pytest.mark.parametrize(
    ("how", "code", "reason", "message"),
    [
        ("plain", Code.ABORTED, Reason.ACTION_FAILED, "ZeroDivisionError: division by zero"),
        ("business", Code.NOT_FOUND, "CUSTOMER_UNKNOWN", "no such customer"),
        ("ours", Code.ALREADY_EXISTS, "SEAT_TAKEN", "taken"),
        ("text", Code.ABORTED, Reason.ACTION_FAILED, "ValueError: ?"),
        ("exit", Code.ABORTED, Reason.ACTION_FAILED, "SystemExit: 2"),
        ("cancel", Code.ABORTED, Reason.ACTION_FAILED, "CancelledError: of its own"),
        ("panic", Code.ABORTED, Reason.ACTION_FAILED, "Panic: of a library"),
        ("group", Code.ABORTED, Reason.ACTION_FAILED, "BaseExceptionGroup: several"),
        ("unknown", Code.ABORTED, Reason.ACTION_FAILED, "x"),
        ("much", Code.ABORTED, Reason.ACTION_FAILED, "x"),
    ],
)
async def test_failures_are_the_actions_own(
    channel: grpc.aio.Channel, how: str, code: Code, reason: str, message: str
) -> None:
    """Whatever an action raises, the caller sees that the action failed, and why."""
    with pytest.raises(ActionFailedError) as caught:
        await invoke(channel, invocation("fail", {"how": how}))
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert caught.value.message.startswith(message)


async def test_the_traceback_stays_in_the_log(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception is logged once, with its traceback and the ids of the call."""
    request = invocation("fail", {"how": "plain"}, invocation=pb.Invocation(execution_id="exe_9"))
    with pytest.raises(ActionFailedError) as caught:
        await invoke(channel, request)
    assert "Traceback" not in caught.value.message
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert vars(record)["execution_id"] == "exe_9"


@pytest.mark.parametrize(
    ("what", "kind", "reason"),
    [
        ("nan", PreconditionError, Reason.ACTION_OUTPUT_INVALID),
        ("object", PreconditionError, Reason.ACTION_OUTPUT_INVALID),
        ("10 MB", ExhaustedError, Reason.ACTION_OUTPUT_TOO_LARGE),
    ],
)
async def test_outputs_that_cannot_travel(
    channel: grpc.aio.Channel, what: str, kind: type[WeftError], reason: str
) -> None:
    """NaN, no JSON and 10 MB are told apart, and the host goes on."""
    with pytest.raises(kind) as caught:
        await invoke(channel, invocation("produce", {"what": what}))
    assert caught.value.reason == reason
    assert await invoke(channel, invocation("extract", {"document_url": "u"}))


async def test_an_output_too_large_as_a_struct(channel: grpc.aio.Channel) -> None:
    """What fits as JSON text and not as a Struct comes as JSON text."""
    empty = payload_pb2.Payload(struct=struct_pb2.Struct())
    for request in (invocation("produce_numbers"), invocation("produce_numbers", input=empty)):
        assert len((await invoke(channel, request))["a"]) == 500_000


async def test_cancelling_the_call_cancels_the_action(probe: Probe, channel: grpc.aio.Channel) -> None:
    """An async action is cancelled with its call."""
    stub = action_service_pb2_grpc.ActionServiceStub(channel)
    call = stub.InvokeAction(invocation("wait"))
    await probe.started.wait()
    call.cancel()
    await asyncio.wait_for(probe.cancelled.wait(), 5)


async def test_a_deadline_cancels_the_action(probe: Probe, channel: grpc.aio.Channel) -> None:
    """The caller's deadline ends async actions, and plain ones can see it."""
    with pytest.raises(DeadlineExceededError):
        await invoke(channel, invocation("wait"), timeout=0.1)
    await asyncio.wait_for(probe.cancelled.wait(), 5)
    with pytest.raises(DeadlineExceededError):
        await invoke(channel, invocation("poll"), timeout=0.1)
    assert await asyncio.to_thread(probe.noticed.wait, 5)


async def test_draining_finishes_what_runs_and_refuses_the_rest(probe: Probe) -> None:
    """While stopping: health says NOT_SERVING, new calls go elsewhere, running ones get their answer."""
    hosting = probe.service.hosted()
    host = await hosting.__aenter__()
    async with channel_to(host) as channel:
        health = health_of(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service="demo"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        running = asyncio.create_task(invoke(channel, invocation("wait")))
        await probe.started.wait()
        stopping = asyncio.create_task(hosting.__aexit__(None, None, None))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(ServiceUnavailableError) as caught:
            await invoke(channel, invocation("look"))
        assert caught.value.reason == Reason.SERVER_DRAINING
        assert not running.done()
        probe.release.set()
        assert await running == {}
        await stopping


async def test_what_does_not_finish_is_cut_off(probe: Probe) -> None:
    """After the drain time a running call is told to go elsewhere; a thread that hangs holds nothing up."""
    hosting = probe.service.hosted(drain=timedelta(seconds=0.05))
    host = await hosting.__aenter__()
    async with channel_to(host) as channel:
        cut = [asyncio.create_task(invoke(channel, invocation(name))) for name in ("poll", "wait")]
        await probe.started.wait()
        assert await asyncio.to_thread(probe.polling.wait, 5)
        before = time.monotonic()
        await hosting.__aexit__(None, None, None)
        results = await asyncio.gather(*cut, return_exceptions=True)
    assert time.monotonic() - before < 3
    assert [getattr(result, "reason", result) for result in results] == [Reason.ACTION_UNAVAILABLE] * 2
    assert await asyncio.to_thread(probe.noticed.wait, 5)


async def test_health_and_reflection(host: Host, channel: grpc.aio.Channel) -> None:
    """Tools find out that it serves and what it serves."""
    health = health_of(channel)
    for name in ("", "weft.api.action.v1.ActionService", "demo"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_of(channel)
    stream = reflection.ServerReflectionInfo()
    await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    found = await stream.read()
    await stream.done_writing()
    names = {service.name for service in found.list_services_response.service}
    assert {"weft.api.action.v1.ActionService", "grpc.health.v1.Health"} <= names


async def test_actions_are_listed_in_pages(channel: grpc.aio.Channel) -> None:
    """Every action once, in order, with schemas in the kind asked for."""
    stub = action_service_pb2_grpc.ActionServiceStub(channel)
    everything = (await stub.ListActions(pb.ListActionsRequest())).actions
    assert everything[0].name == "extract"
    assert everything[0].description == "Extract text from a document."
    assert everything[0].input_schema.struct["required"] == ["document_url"]
    found: list[str] = []
    token = ""
    while not found or token:
        page = await stub.ListActions(
            pb.ListActionsRequest(page_size=2, page_token=token, payload_kind=payload_pb2.PAYLOAD_KIND_JSON)
        )
        assert page.actions[0].input_schema.WhichOneof("kind") == "json"
        found += [action.name for action in page.actions]
        token = page.next_page_token
    assert found == [action.name for action in everything]
    assert everything[-1].timeout.ToTimedelta() == timedelta(milliseconds=50)


async def test_wrong_pages_are_refused(channel: grpc.aio.Channel) -> None:
    """A negative size and a foreign token are both told."""
    stub = action_service_pb2_grpc.ActionServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListActions(pb.ListActionsRequest(page_size=-1, page_token="x"))
    assert [v.field for v in error_from_rpc(caught.value).violations] == ["page_size", "page_token"]


async def test_a_taken_port_is_said(probe: Probe, host: Host) -> None:
    """Two hosts cannot share a port, and the second one says so."""
    with pytest.raises(OSError, match=f"cannot listen on {host.address}"):
        async with probe.service.hosted(listen=host.address):
            raise AssertionError("unreachable")


async def test_many_calls_at_once(channel: grpc.aio.Channel) -> None:
    """Plain and async actions share the host, and each call sees its own context."""
    calls = [
        invoke(channel, invocation(name, invocation=pb.Invocation(execution_id=f"exe_{i}")))
        for i in range(40)
        for name in ("look", "look_in_thread")
    ]
    results = await asyncio.gather(*calls)
    assert [seen["execution"] for seen in results] == [f"exe_{i}" for i in range(40) for _ in range(2)]
