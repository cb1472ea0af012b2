from __future__ import annotations

import asyncio
from contextlib import aclosing

import grpc
import pytest

from tests.integration.client.peer import Peer, forever
from tests.support.clocks import SteppingClock
from weft.api.common.v1 import payload_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.client import (
    Client,
    MaxRetriesExceededError,
    ResourceNotFoundError,
    RetryPolicies,
    RetryPolicy,
    ServiceUnavailableError,
    connect,
)
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration

ID = "exe_01m8hjkars87radgnzb9wpbrp9"
DOWN = grpc.StatusCode.UNAVAILABLE
DRAINING = ServiceUnavailableError("weft", reason=Reason.SERVER_DRAINING)


def scheduled(number: int) -> pb.WatchExecutionResponse:
    event = execution_pb2.Event(number=number, step_scheduled=execution_pb2.StepScheduled(step_id="a"))
    return pb.WatchExecutionResponse(event=event, state=execution_pb2.EXECUTION_STATE_RUNNING)


def completed(number: int) -> pb.WatchExecutionResponse:
    event = execution_pb2.Event(number=number)
    event.execution_completed.result.json = b'{"ok":true}'
    return pb.WatchExecutionResponse(event=event, state=execution_pb2.EXECUTION_STATE_COMPLETED)


async def test_a_watch_ends_with_the_execution(weft: Client, peer: Peer) -> None:
    """Every event comes with the state after it; the last one ends the watch."""
    peer.on("WatchExecution", [scheduled(1), completed(2)])

    events = [event async for event in weft.executions.watch(ID)]

    assert [(event.number, event.kind, event.state) for event in events] == [
        (1, "step_scheduled", "RUNNING"),
        (2, "execution_completed", "COMPLETED"),
    ]
    assert events[1].data == {"result": {"ok": True}}
    assert peer.last == pb.WatchExecutionRequest(execution_id=ID, payload_kind=payload_pb2.PAYLOAD_KIND_JSON)
    left = peer.calls[0].seconds_left
    assert left is None or left > 10**6


async def test_a_watch_goes_on_from_the_last_number(weft: Client, peer: Peer, clock: SteppingClock) -> None:
    """After the server was away nothing is missing and nothing comes twice."""
    peer.on(
        "WatchExecution",
        [scheduled(4), scheduled(5), DRAINING],
        [DOWN],
        [scheduled(6), DOWN],
        [completed(7)],
    )

    numbers = [event.number async for event in weft.executions.watch(ID, after=3)]

    assert numbers == [4, 5, 6, 7]
    assert [call.request.after_event_number for call in peer.calls] == [3, 5, 5, 6]
    assert clock.waits == [0.5, 1, 0.5], "waits begin anew after each message"


async def test_a_key_names_one_execution_for_as_long_as_it_is_read(weft: Client, peer: Peer) -> None:
    """While the server was away, or between two pages, the next execution may have got the key."""
    peer.on("GetExecution", pb.GetExecutionResponse(execution=execution_pb2.Execution(id=ID)))
    peer.on("WatchExecution", [scheduled(1), DOWN], [completed(2)])
    assert [event.number async for event in weft.executions.watch("order-7")] == [1, 2]

    pages = [pb.GetExecutionHistoryResponse(next_page_token="t2"), pb.GetExecutionHistoryResponse()]
    peer.on("GetExecutionHistory", *pages)
    assert [event async for event in weft.executions.history("order-7")] == []

    first, *rest = [(call.method, call.request.execution_id) for call in peer.calls]
    assert first == ("GetExecution", "order-7")
    assert {named for method, named in rest if method != "GetExecution"} == {ID}


async def test_a_watch_of_an_ended_execution_ends(weft: Client, peer: Peer) -> None:
    """When there is nothing after that number, there is nothing to yield."""
    peer.on("WatchExecution", [])

    assert [event async for event in weft.executions.watch(ID, after=9)] == []
    assert len(peer.calls) == 1


async def test_the_last_event_needs_no_server_any_more(weft: Client, peer: Peer) -> None:
    """When the connection breaks after it, the watch is complete all the same."""
    peer.on("WatchExecution", [completed(1), DOWN])

    assert [event.number async for event in weft.executions.watch(ID)] == [1]
    assert len(peer.calls) == 1


async def test_a_watch_gives_up_when_the_server_stays_away(peer: Peer, clock: SteppingClock) -> None:
    """It says how often it tried since the last event."""
    peer.on("WatchExecution", [scheduled(1), DOWN], [DOWN])
    async with connect(
        peer.target, retry=RetryPolicies(watch=RetryPolicy(max_retries=3)), clock=clock
    ) as weft:
        watch = weft.executions.watch(ID)
        assert (await anext(watch)).number == 1
        with pytest.raises(MaxRetriesExceededError) as caught:
            await anext(watch)
    assert caught.value.attempts == 4
    assert len(peer.calls) == 1 + 3


async def test_other_errors_end_a_watch_at_once(weft: Client, peer: Peer, clock: SteppingClock) -> None:
    """An unknown execution does not become known by asking again."""
    peer.on("WatchExecution", [ResourceNotFoundError("execution", "exe_1")])

    with pytest.raises(ResourceNotFoundError) as caught:
        await anext(weft.executions.watch(ID))

    assert (caught.value.resource_type, caught.value.resource_id) == ("execution", "exe_1")
    assert not clock.waits


async def test_leaving_a_watch_ends_its_call(weft: Client, peer: Peer) -> None:
    """The server is told, so that it keeps no stream for nobody."""
    peer.on("WatchExecution", [scheduled(1), forever])

    watch = weft.executions.watch(ID)
    async with aclosing(watch):
        assert (await anext(watch)).number == 1

    await asyncio.wait_for(peer.cancelled.wait(), 5)


async def test_instances_are_watched_across_restarts(weft: Client, peer: Peer) -> None:
    """Every answer is the whole set; the watch ends only with the stream."""

    def among(*ids: str) -> registry_service_pb2.WatchInstancesResponse:
        instances = [registry_pb2.Instance(id=one, service="text") for one in ids]
        return registry_service_pb2.WatchInstancesResponse(instances=instances)

    peer.on("WatchInstances", [among(), among("a"), DOWN], [among("a", "b")])

    sets = [tuple(i.id for i in found) async for found in weft.registry.watch_instances("text")]

    assert sets == [(), ("a",), ("a", "b")]
    assert {call.request.service for call in peer.calls} == {"text"}


async def test_a_watch_outlives_a_restart_of_the_server(peer: Peer) -> None:
    """The connection breaks in the middle of the stream and comes back; the caller sees one stream."""
    peer.on("WatchExecution", [scheduled(1), forever])
    async with connect(peer.target) as weft:
        watch = weft.executions.watch(ID)
        assert (await anext(watch)).number == 1
        await peer.stop()
        back = Peer(peer.port)
        back.on("WatchExecution", [completed(2)])
        await back.start()
        assert [event.number async for event in watch] == [2]
        await back.stop()
    assert back.last.after_event_number == 1
