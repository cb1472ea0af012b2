"""One suite over both transports: whichever way an action is called, its caller sees the same."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry import context as otel
from opentelemetry.trace import SpanContext, TraceFlags

from tests.support.actions import WAYS, Way, described
from tests.support.hosting import FAILURES, Probe
from weft.core.context import CallContext
from weft.core.errors import (
    ActionFailedError,
    DeadlineExceededError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.reasons import Reason
from weft.discovery.endpoint import parse_address
from weft.discovery.model import Endpoint
from weft.mesh.actions import UnreachableError
from weft.mesh.tracing.client import RpcTracer
from weft.mesh.tracing.context import context_of
from weft.service import Host

pytestmark = pytest.mark.integration


def endpoint_of(host: Host) -> Endpoint:
    address, port = parse_address(host.address)
    return Endpoint(host=address, port=port)


async def test_an_action_answers(way: Way, endpoint: Endpoint) -> None:
    """And it went the way that it was to go."""
    expected = {"text": "u in en", "words": 3}
    assert await way.invoke(endpoint, "extract", {"document_url": "u"}) == expected
    assert way.streams == (way.kind == "stream")


async def test_an_empty_input_is_the_empty_object(way: Way, endpoint: Endpoint) -> None:
    """As everywhere."""
    assert (await way.invoke(endpoint, "resume", b""))["token"] == ""


@pytest.mark.parametrize(("action", "thread"), [("look", "MainThread"), ("look_in_thread", "weft-demo-1")])
async def test_the_context_arrives(way: Way, endpoint: Endpoint, action: str, thread: str) -> None:
    """Ids, values and the time that is left."""
    seen = await way.invoke(
        endpoint,
        action,
        timeout=20,
        context=CallContext(project_id="p", request_id="r", values={"color": "red"}),
        execution_id="exe_1",
        step_id="a",
        attempt=3,
        idempotency_key="k",
    )
    assert 15 < seen.pop("seconds_left") <= 20.1
    assert seen == {
        "thread": thread,
        "execution": "exe_1",
        "key": "k",
        "attempt": 3,
        "project": "p",
        "value": "red",
    }


async def test_an_attempt_can_go_on_where_the_last_one_was(way: Way, endpoint: Endpoint) -> None:
    """The token, the time in which a heartbeat is awaited, and what was told last."""
    seen = await way.invoke(
        endpoint,
        "resume",
        attempt_token="t",
        heartbeat_timeout=timedelta(seconds=1.5),
        heartbeat_details=b'{"done": 7}',
    )
    assert seen == {"token": "t", "details": {"done": 7}, "timeout": 1.5}
    assert await way.invoke(endpoint, "resume") == {"token": "", "details": None, "timeout": None}


async def test_an_action_may_answer_later(way: Way, endpoint: Endpoint) -> None:
    """When somebody can be told of the outcome; else it has failed."""
    assert await way.invoke(endpoint, "later", attempt_token="t") is None
    with pytest.raises(ActionFailedError, match="no attempt token") as caught:
        await way.invoke(endpoint, "later")
    assert caught.value.reason == Reason.ACTION_FAILED


FAILING: dict[str, tuple[str, Any]] = {
    **{f"raises {how}": ("fail", {"how": how}) for how in FAILURES},
    "wrong input": ("extract", {"language": 5, "extra": True}),
    "no object": ("extract", b"[1]"),
    "no JSON": ("extract", b"{"),
    "not UTF-8": ("extract", b'{"document_url": "\xff"}'),
    "too deep": ("produce", b'{"what":' + b"[" * 40 + b"]" * 40 + b"}"),
    "too large": ("echo", {"text": "x" * 1_100_000}),
    "much too large": ("echo", {"text": "x" * 5_000_000}),
    "unknown action": ("extrakt", None),
    "no action": ("", None),
    "NaN": ("produce", {"what": "nan"}),
    "no JSON output": ("produce", {"what": "object"}),
    "10 MB output": ("produce", {"what": "10 MB"}),
    "late": ("wait", None),
}


async def failure(kind: str, endpoint: Endpoint, action: str, value: Any, **fields: Any) -> dict[str, Any]:
    async with Way(kind) as way:
        await way.invoke(endpoint, "look")
        with pytest.raises(WeftError) as caught:
            await way.invoke(endpoint, action, value, 0.2 if action == "wait" else 10, **fields)
        assert await way.invoke(endpoint, "look")
        assert way.streams == (kind == "stream")
    return described(caught.value)


@pytest.mark.parametrize("how", FAILING)
async def test_a_failure_is_the_same_either_way(endpoint: Endpoint, how: str) -> None:
    """Class, code, reason, message, metadata, violations: all of it; and the neighbours live on."""
    action, value = FAILING[how]
    unary, stream = [await failure(kind, endpoint, action, value) for kind in WAYS]
    assert stream == unary


async def test_another_service_is_the_same_either_way(endpoint: Endpoint) -> None:
    """What the provider says of a name that is not its own."""
    unary, stream = [await failure(kind, endpoint, "look", None, service="other") for kind in WAYS]
    assert stream == unary
    assert stream["reason"] == Reason.SERVICE_NOT_FOUND


async def test_a_large_payload_goes_and_comes(way: Way, endpoint: Endpoint) -> None:
    """Up to the limit of a payload, and beside many others."""
    texts = ["x" * 1_000_000, *(f"small {number}" for number in range(50)), "y" * 1_040_000]
    answers = await asyncio.gather(*(way.invoke(endpoint, "echo", {"text": text}) for text in texts * 3))
    assert [answer["text"] for answer in answers] == texts * 3


async def test_a_deadline_ends_the_action(probe: Probe, way: Way, endpoint: Endpoint) -> None:
    """The caller gets ACTION_TIMEOUT; async actions are cancelled, plain ones can see it."""
    with pytest.raises(DeadlineExceededError) as caught:
        await way.invoke(endpoint, "wait", timeout=0.2)
    assert caught.value.reason == Reason.ACTION_TIMEOUT
    await asyncio.wait_for(probe.cancelled.wait(), 5)
    with pytest.raises(DeadlineExceededError):
        await way.invoke(endpoint, "poll", timeout=0.2)
    assert await asyncio.to_thread(probe.noticed.wait, 5)


async def test_cancelling_a_call_cancels_the_action(probe: Probe, way: Way, endpoint: Endpoint) -> None:
    """And nobody else's."""
    call = asyncio.create_task(way.invoke(endpoint, "wait"))
    await asyncio.wait_for(probe.started.wait(), 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(probe.cancelled.wait(), 5)
    assert await way.invoke(endpoint, "look")


async def test_draining_finishes_what_runs_and_refuses_the_rest(probe: Probe, way: Way) -> None:
    """A refused call certainly did not run, so it may go elsewhere."""
    hosting = probe.service.hosted()
    endpoint = endpoint_of(await hosting.__aenter__())
    running = asyncio.create_task(way.invoke(endpoint, "wait"))
    await asyncio.wait_for(probe.started.wait(), 5)
    stopping = asyncio.create_task(hosting.__aexit__(None, None, None))
    async with asyncio.timeout(5):
        while True:
            try:
                await way.invoke(endpoint, "look")
            except UnreachableError:
                break
    assert not running.done()
    probe.release.set()
    assert await running == {}
    before = time.monotonic()
    await stopping
    assert time.monotonic() - before < 3


async def test_what_does_not_finish_is_cut_off(probe: Probe, way: Way) -> None:
    """ACTION_UNAVAILABLE: it may have run."""
    hosting = probe.service.hosted(drain=0.05)
    endpoint = endpoint_of(await hosting.__aenter__())
    running = asyncio.create_task(way.invoke(endpoint, "wait"))
    await asyncio.wait_for(probe.started.wait(), 5)
    await hosting.__aexit__(None, None, None)
    with pytest.raises(ServiceUnavailableError) as caught:
        await running
    assert caught.value.reason == Reason.ACTION_UNAVAILABLE
    assert not isinstance(caught.value, UnreachableError)


async def test_nobody_there_is_unreachable(way: Way, probe: Probe) -> None:
    """Also where there was somebody before."""
    async with probe.service.hosted() as host:
        endpoint = endpoint_of(host)
        await way.invoke(endpoint, "look")
    with pytest.raises(UnreachableError):
        await way.invoke(endpoint, "look", timeout=1)


@pytest.mark.parametrize("kind", WAYS)
async def test_each_call_has_a_trace_of_its_own(kind: str, endpoint: Endpoint) -> None:
    """Its trace and its baggage, however many share the connection."""

    async def call(way: Way, number: int) -> dict[str, str]:
        span = SpanContext(number, 99, is_remote=False, trace_flags=TraceFlags(0))
        otel.attach(baggage.set_baggage("number", f"n{number}", context_of(span)))
        seen: dict[str, str] = await way.invoke(endpoint, "trace")
        return seen

    async with Way(kind, tracer=RpcTracer()) as way:
        seen = await asyncio.gather(*(asyncio.create_task(call(way, number)) for number in range(1, 30)))
    for number, ids in enumerate(seen, 1):
        assert (ids["trace_id"], ids["number"]) == (f"{number:032x}", f"n{number}")


async def test_what_cannot_be_said_fails_one_call_alone(way: Way, endpoint: Endpoint) -> None:
    """Half a surrogate pair in a context is the caller's fault, and nobody else's."""
    odd = asyncio.create_task(way.invoke(endpoint, "look", context=CallContext(project_id="\ud800")))
    good = asyncio.create_task(way.invoke(endpoint, "look"))
    with pytest.raises(UnicodeEncodeError):
        await odd
    assert (await good)["project"] == ""
