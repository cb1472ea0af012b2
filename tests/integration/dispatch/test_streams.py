"""Streams of actions against providers of all sorts: old ones, odd ones, slow ones, and those that die."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.actions import Way, greeting, results, streaming_provider, unary
from tests.support.behaviours import until
from tests.support.foreign import grpc_provider
from tests.support.hosting import Probe
from weft.api.action.v1 import action_service_pb2 as pb
from weft.core.errors import DeadlineExceededError, PreconditionError, ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.discovery.endpoint import parse_address
from weft.discovery.model import Endpoint
from weft.mesh.actions import UnreachableError
from weft.mesh.dispatch.limits import DispatchConfig
from weft.service import ActionContext, Host, Service

pytestmark = pytest.mark.integration


def endpoint_of(host: Host) -> Endpoint:
    address, port = parse_address(host.address)
    return Endpoint(host=address, port=port)


async def prompt(requests: Any, context: Any) -> None:
    """Serve as a provider in another language may: all that was asked is answered at once."""
    await context.write(greeting())
    async for request in requests:
        await context.write(results(request))


async def test_any_language_can_stream() -> None:
    """By the contract alone."""
    async with streaming_provider(prompt) as endpoint, Way("stream") as way:
        answers = await asyncio.gather(*(way.invoke(endpoint, "x") for _ in range(20)))
        assert answers == [{"by": "stream"}] * 20
        assert way.streams == 1


async def test_a_provider_that_does_not_stream_is_called_all_the_same() -> None:
    """It is asked once, and not for each call."""
    async with grpc_provider() as port, Way("stream") as way:
        endpoint = Endpoint(host="127.0.0.1", port=port)
        for _ in range(3):
            assert await way.invoke(endpoint, "good") == {"total": 3}
        assert way.streams == 0


async def test_an_upgrade_and_a_downgrade_behind_one_address() -> None:
    """Old, new, old: each is called by what it serves, once the end of the one before has been noticed."""
    async with Way("stream") as way:
        async with grpc_provider() as port:
            endpoint = Endpoint(host="127.0.0.1", port=port)
            assert await way.invoke(endpoint, "good") == {"total": 3}
        async with streaming_provider(prompt, unary, port):
            assert await reached(way, endpoint) == {"by": "stream"}
            assert way.streams == 1
        async with grpc_provider(port=port):
            assert await reached(way, endpoint) == {"total": 3}


async def reached(way: Way, endpoint: Endpoint) -> Any:
    """Call until the instance is connected anew.

    These providers end without a farewell. A call on a connection whose end was not noticed
    yet breaks, and nobody can tell whether it ran: that is what is told then.
    """
    async with asyncio.timeout(10):
        while True:
            try:
                return await way.invoke(endpoint, "good")
            except ServiceUnavailableError as error:
                assert error.reason == Reason.ACTION_UNAVAILABLE  # noqa: PT017 - it is no failure that is waited for
                await asyncio.sleep(0.01)


async def test_a_provider_that_does_not_greet_holds_nobody_up() -> None:
    """The call goes without a stream after a moment, and the later ones at once."""

    async def mute(requests: Any, context: Any) -> None:
        await asyncio.Event().wait()

    config = DispatchConfig(open_timeout=timedelta(seconds=0.4), retry_broken=timedelta(0))
    async with streaming_provider(mute, unary) as endpoint, Way("stream", config=config) as way:
        assert await way.invoke(endpoint, "x") == {"by": "unary"}
        await until(lambda: way.streams == 0)
        before = time.monotonic()
        assert await way.invoke(endpoint, "x") == {"by": "unary"}
        assert time.monotonic() - before < 0.2


@pytest.mark.parametrize("said", [b"\xff\xff\xff", b"\x12" + b"\x80" * 3], ids=["garbage", "cut"])
async def test_a_provider_that_talks_nonsense_is_called_without_streams(said: bytes) -> None:
    """What it had been sent may have run; what comes later is spared that."""

    async def odd(requests: Any, context: Any) -> None:
        await context.write(greeting())
        async for _ in requests:
            await context.write(said)

    async with streaming_provider(odd, unary) as endpoint, Way("stream") as way:
        with pytest.raises(ServiceUnavailableError) as caught:
            await way.invoke(endpoint, "x")
        assert caught.value.reason == Reason.ACTION_UNAVAILABLE
        assert await way.invoke(endpoint, "x") == {"by": "unary"}


async def test_a_message_that_is_too_large_costs_the_stream_and_not_the_service() -> None:
    """A provider that does not split its messages is called without streams from then on."""

    async def heavy(requests: Any, context: Any) -> None:
        await context.write(greeting())
        async for request in requests:
            output = b'{"x":"' + b"x" * 5_000_000 + b'"}'
            await context.write(
                pb.RunActionsResponse(results=[pb.ActionResult(id=request.invocations[0].id, output=output)])
            )

    async with streaming_provider(heavy, unary) as endpoint, Way("stream") as way:
        with pytest.raises(ServiceUnavailableError):
            await way.invoke(endpoint, "x")
        assert await way.invoke(endpoint, "x") == {"by": "unary"}


async def test_answers_to_what_was_never_asked_are_ignored() -> None:
    """Twice the same, and an id that there never was."""

    async def talkative(requests: Any, context: Any) -> None:
        await context.write(greeting())
        async for request in requests:
            await context.write(pb.RunActionsResponse(results=[pb.ActionResult(id=999)]))
            await context.write(results(request))
            await context.write(results(request))

    async with streaming_provider(talkative) as endpoint, Way("stream") as way:
        for _ in range(3):
            assert await way.invoke(endpoint, "x") == {"by": "stream"}


@pytest.mark.parametrize("output", [b"", b"{}", b'{"by": "stream"}'])
async def test_what_is_pending_has_no_output(output: bytes) -> None:
    """An answer that has one as well is refused: it must not be lost, and not be taken for the end."""

    async def undecided(requests: Any, context: Any) -> None:
        await context.write(greeting())
        async for request in requests:
            found = [pb.ActionResult(id=it.id, output=output, pending=True) for it in request.invocations]
            await context.write(pb.RunActionsResponse(results=found))

    async with streaming_provider(undecided) as endpoint, Way("stream") as way:
        if len(output) <= 2:
            assert await way.invoke(endpoint, "x") is None
            return
        with pytest.raises(PreconditionError, match="came together with pending") as caught:
            await way.invoke(endpoint, "x")
        assert caught.value.reason == Reason.ACTION_OUTPUT_INVALID


async def test_the_window_is_kept() -> None:
    """What does not fit waits, and goes on when there is room; a timeout counts from the beginning."""
    seen: list[int] = []
    release = asyncio.Event()

    async def narrow(requests: Any, context: Any) -> None:
        await context.write(greeting(invocations=2))
        async for request in requests:
            seen.append(len(request.invocations))
            await release.wait()
            await context.write(results(request))

    async with streaming_provider(narrow) as endpoint, Way("stream") as way:
        calls = [asyncio.create_task(way.invoke(endpoint, "x")) for _ in range(6)]
        await until(lambda: bool(seen))
        with pytest.raises(DeadlineExceededError):
            await way.invoke(endpoint, "x", timeout=0.1)
        assert seen == [2]
        release.set()
        assert await asyncio.gather(*calls) == [{"by": "stream"}] * 6
        assert max(seen) <= 2


async def test_what_waits_for_the_window_is_not_silent() -> None:
    """A heartbeat timeout runs from the moment when a call is sent: before that nobody could beat."""
    release = asyncio.Event()

    async def narrow(requests: Any, context: Any) -> None:
        await context.write(greeting(invocations=1))
        async for request in requests:
            await release.wait()
            await context.write(results(request))

    async with streaming_provider(narrow) as endpoint, Way("stream") as way:
        first, second = list[bytes](), list[bytes]()
        calls = []
        for told in (first, second):
            fields: dict[str, Any] = {"heartbeat_timeout": timedelta(seconds=1), "on_heartbeat": told.append}
            calls.append(asyncio.create_task(way.invoke(endpoint, "x", **fields)))
            await until(lambda: bool(first))
        await asyncio.sleep(0.05)
        assert (first, second) == ([b""], [])
        release.set()
        await asyncio.gather(*calls)
        assert (first, second) == ([b""], [b""])


async def test_what_waits_has_a_limit_and_goes_elsewhere() -> None:
    """A provider that does not get on is no reason to gather work for it without end."""

    async def shut(requests: Any, context: Any) -> None:
        await context.write(greeting(invocations=0))
        await asyncio.Event().wait()

    config = DispatchConfig(most_waiting=3)
    async with streaming_provider(shut) as endpoint, Way("stream", config=config) as way:
        waiting = [asyncio.create_task(way.invoke(endpoint, "x", timeout=0.5)) for _ in range(3)]
        await asyncio.sleep(0.1)
        with pytest.raises(UnreachableError, match="too many calls wait"):
            await way.invoke(endpoint, "x")
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [DeadlineExceededError] * 3


async def test_a_broken_stream_tells_what_was_sent_from_what_was_not() -> None:
    """Sent: it may have run. Not sent: it may go elsewhere."""

    async def dying(requests: Any, context: Any) -> None:
        await context.write(greeting(invocations=2))
        async for _ in requests:
            await asyncio.sleep(0.05)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    async with streaming_provider(dying) as endpoint, Way("stream") as way:
        calls = [way.invoke(endpoint, "x") for _ in range(5)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
    names = sorted(type(end).__name__ for end in ends)
    assert names == ["ServiceUnavailableError"] * 2 + ["UnreachableError"] * 3
    assert all(isinstance(end, WeftError) and end.reason == Reason.ACTION_UNAVAILABLE for end in ends)


async def test_an_idle_stream_is_closed_and_opened_again() -> None:
    """The provider sees the end of it, and the next call finds a new one."""
    ended: list[int] = []

    async def counted(requests: Any, context: Any) -> None:
        await prompt(requests, context)
        ended.append(1)

    config = DispatchConfig(idle=timedelta(seconds=0.1))
    async with streaming_provider(counted) as endpoint, Way("stream", config=config) as way:
        assert await way.invoke(endpoint, "x") == {"by": "stream"}
        await until(lambda: ended == [1] and way.streams == 0)
        assert await way.invoke(endpoint, "x") == {"by": "stream"}


async def test_a_removed_instance_is_let_go_when_its_last_action_has_ended(probe: Probe) -> None:
    """Nothing new goes there, what runs is answered, and then the connection is closed with its stream."""
    async with probe.service.hosted() as host, Way("stream") as way:
        endpoint = endpoint_of(host)
        way.pool.keep("route", [endpoint])
        running = asyncio.create_task(way.invoke(endpoint, "wait"))
        await asyncio.wait_for(probe.started.wait(), 5)
        assert way.streams == 1
        way.pool.keep("route", [])
        await asyncio.sleep(0.05)
        assert not running.done()
        probe.release.set()
        assert await running == {}
        await until(lambda: way.streams == 0)


async def test_a_provider_that_drains_gets_nothing_more_and_is_let_go() -> None:
    """What waits goes elsewhere, what runs is answered, and then the engine hangs up."""
    drain, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def leaving(requests: Any, context: Any) -> None:
        await context.write(greeting(invocations=1))
        request = await anext(aiter(requests))
        await drain.wait()
        await context.write(pb.RunActionsResponse(draining=True))
        await release.wait()
        await context.write(results(request))
        async for _ in requests:
            raise AssertionError("nothing more was to come")
        ended.set()

    async with asyncio.timeout(5), streaming_provider(leaving) as endpoint, Way("stream") as way:
        running = asyncio.create_task(way.invoke(endpoint, "x"))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(way.invoke(endpoint, "x"))
        await asyncio.sleep(0.05)
        drain.set()
        for call in (waiting, asyncio.create_task(way.invoke(endpoint, "x"))):
            with pytest.raises(UnreachableError, match="is stopping"):
                await call
        release.set()
        assert await running == {"by": "stream"}
        await ended.wait()


async def test_a_late_result_is_refused_and_the_provider_can_log_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """ATTEMPT_STALE, with the token of the attempt."""
    service = Service("demo")
    started = asyncio.Event()

    @service.action
    async def stubborn() -> dict[str, int]:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {"done": 1}
        return {}

    async with service.hosted() as host, Way("stream") as way:
        with caplog.at_level(logging.WARNING, "weft.service"):
            call = asyncio.create_task(way.invoke(endpoint_of(host), "stubborn", attempt_token="t-1"))
            await asyncio.wait_for(started.wait(), 5)
            call.cancel()
            await until(lambda: "ATTEMPT_STALE (attempt t-1)" in caplog.text)


async def test_heartbeats_reach_the_engine() -> None:
    """Async and plain actions alike; with details, and thinned out."""
    service = Service("demo")

    @service.action
    async def count(context: ActionContext) -> None:
        for number in range(100):
            context.heartbeat({"done": number})
            await asyncio.sleep(0.002)

    @service.action
    def count_in_thread(context: ActionContext) -> None:
        context.heartbeat({"done": -1})
        time.sleep(0.1)

    told: list[bytes] = []
    fields: dict[str, Any] = {"heartbeat_timeout": timedelta(seconds=0.3), "on_heartbeat": told.append}
    async with service.hosted() as host, Way("stream") as way:
        endpoint = endpoint_of(host)
        await way.invoke(endpoint, "count", **fields)
        assert told.pop(0) == b""  # it was given to the instance
        assert told[0] == b'{"done":0}'
        assert 2 <= len(told) <= 10
        assert told == sorted(told, key=lambda text: int(text[8:-1]))
        told.clear()
        await way.invoke(endpoint, "count_in_thread", **fields)
        assert told == [b"", b'{"done":-1}']


async def test_a_heartbeat_that_nobody_can_take_harms_nobody() -> None:
    """What the engine does with it may fail; the stream goes on."""
    service = Service("demo")

    @service.action
    async def beat(context: ActionContext) -> dict[str, int]:
        context.heartbeat()
        await asyncio.sleep(0.05)
        return {"a": 1}

    def broken(details: bytes) -> None:
        raise RuntimeError("no room")

    async with service.hosted() as host, Way("stream") as way:
        assert await way.invoke(endpoint_of(host), "beat", on_heartbeat=broken) == {"a": 1}
        assert way.streams == 1


async def test_slow_actions_do_not_hold_up_their_neighbours() -> None:
    """A thousand that hang, and threads that are all busy: the fast ones pass as if they were alone."""
    service = Service("demo")

    @service.action
    async def slow() -> None:
        await asyncio.Event().wait()

    @service.action
    def blocked() -> None:
        time.sleep(1.5)

    @service.action
    async def fast() -> dict[str, int]:
        return {"a": 1}

    async def timed(way: Way, endpoint: Endpoint) -> float:
        before = time.monotonic()
        assert await way.invoke(endpoint, "fast") == {"a": 1}
        return time.monotonic() - before

    async with service.hosted(drain=0) as host, Way("stream") as way:
        endpoint = endpoint_of(host)
        alone = [await timed(way, endpoint) for _ in range(200)]
        held = [asyncio.create_task(way.invoke(endpoint, "slow", timeout=60)) for _ in range(1_000)]
        held += [asyncio.create_task(way.invoke(endpoint, "blocked", timeout=60)) for _ in range(32)]
        await asyncio.sleep(0.5)
        beside = [await timed(way, endpoint) for _ in range(200)]
        assert way.streams == 1
        assert sorted(beside)[198] < max(0.25, 10 * sorted(alone)[198])
        for call in held:
            call.cancel()
        await asyncio.gather(*held, return_exceptions=True)


def held(number: int, size: int) -> pb.ActionInvocation:
    given = b'{"text":"' + b"x" * size + b'"}'
    return pb.ActionInvocation(id=number, service="demo", action="hold", input=given)


BROKEN = {
    "an id twice": [[held(1, 2), held(1, 2)]],
    "too many": [[held(number, 2) for number in range(4_097)]],
    "too large": [[held(number, 1_000_000)] for number in range(40)],
}


@pytest.mark.parametrize("how", BROKEN)
async def test_an_engine_that_breaks_the_contract_is_told(how: str) -> None:
    """It ends the stream with INVALID_ARGUMENT, and with it all that ran there; the host lives on."""
    service = Service("demo")
    running = 0

    @service.action
    async def hold(text: str) -> dict[str, int]:
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(0.1 if text == "briefly" else 60)
        finally:
            running -= 1
        return {"a": 1}

    async with service.hosted() as host:
        async with grpc.aio.insecure_channel(host.address) as channel:
            method: Any = channel.stream_stream(
                "/weft.api.action.v1.ActionService/RunActions",
                request_serializer=pb.RunActionsRequest.SerializeToString,
                response_deserializer=pb.RunActionsResponse.FromString,
            )
            call = method()
            assert (await call.read()).window.invocations == 4_096
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                for invocations in BROKEN[how]:
                    await call.write(pb.RunActionsRequest(invocations=invocations))
            # HTTP/2 may lose the status of a stream that is still written to.
            lost = {grpc.StatusCode.INTERNAL} if how == "too large" else set()
            assert await call.code() in {grpc.StatusCode.INVALID_ARGUMENT, *lost}
        await until(lambda: running == 0)
        async with Way("stream") as way:
            assert await way.invoke(endpoint_of(host), "hold", {"text": "briefly"}) == {"a": 1}


async def test_when_the_engine_is_gone_nothing_runs_on(probe: Probe) -> None:
    """Its actions are cancelled, as those of a broken call are."""
    async with probe.service.hosted() as host:
        way = Way("stream")
        call = asyncio.create_task(way.invoke(endpoint_of(host), "wait"))
        await asyncio.wait_for(probe.started.wait(), 5)
        await way.close()
        with pytest.raises(ServiceUnavailableError):
            await call
        await asyncio.wait_for(probe.cancelled.wait(), 5)


async def test_what_did_not_stream_is_asked_again_over_a_new_connection() -> None:
    """Also when somebody else made that connection: another process may have the address now."""

    async def odd(requests: Any, context: Any) -> None:
        await context.write(greeting())
        await context.abort(grpc.StatusCode.INTERNAL, "nonsense")

    async with Way("stream") as way:
        async with streaming_provider(odd, unary) as endpoint:
            await until_unary(way, endpoint)
        async with asyncio.timeout(10):
            while way.pool.ready(endpoint) is not None:  # noqa: ASYNC110 - until it is known to be gone
                await asyncio.sleep(0.01)
        async with streaming_provider(prompt, unary, endpoint.port):
            while way.pool.ready(endpoint) is None:
                with suppress(UnreachableError):
                    way.pool.give_back(await way.pool.connect(endpoint, "demo", 5))
            assert await way.invoke(endpoint, "x") == {"by": "stream"}


async def until_unary(way: Way, endpoint: Endpoint) -> None:
    """Call until the stream was found to be of no use."""
    async with asyncio.timeout(10):
        while way.streams or not await answered(way, endpoint):  # noqa: ASYNC110 - each turn calls
            await asyncio.sleep(0.01)


async def answered(way: Way, endpoint: Endpoint) -> bool:
    with suppress(ServiceUnavailableError):
        return bool(await way.invoke(endpoint, "x"))
    return False
