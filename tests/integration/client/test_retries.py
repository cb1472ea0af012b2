from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import grpc
import pytest

from tests.integration.client.peer import Peer, forever
from tests.support.clocks import SteppingClock
from weft.api.execution.v1 import execution_service_pb2
from weft.api.registry.v1 import registry_service_pb2
from weft.api.workflow.v1 import workflow_service_pb2
from weft.client import (
    NO_RETRY,
    CallCancelledError,
    Client,
    ConflictError,
    DeadlineExceededError,
    MaxRetriesExceededError,
    RetryPolicies,
    ServiceUnavailableError,
    connect,
)
from weft.core.metadata import EXECUTION_ID
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration

DOWN = grpc.StatusCode.UNAVAILABLE

KINDS: list[tuple[str, Callable[[Client], Awaitable[object]], list[float]]] = [
    ("RegisterService", lambda weft: weft.registry.register("text"), [0.5, 1, 2]),
    ("RegisterInstance", lambda weft: weft.registry.register_instance("text", host="h", port=1), [0.5, 1, 2]),
    ("CreateWorkflow", lambda weft: weft.workflows.create("docs", []), [0.5, 1, 2]),
    ("StartExecution", lambda weft: weft.executions.start("docs"), [0.5, 1, 2]),
    ("ExecuteWorkflow", lambda weft: weft.executions.execute("docs"), [0.5, 1, 2]),
    ("UpdateService", lambda weft: weft.registry.update("text"), [0.5, 1, 2]),
    ("SetServiceState", lambda weft: weft.registry.set_state("text", "ACTIVE"), [0.5, 1, 2]),
    ("Heartbeat", lambda weft: weft.registry.heartbeat("i"), [0.5, 1, 2]),
    ("UpdateWorkflow", lambda weft: weft.workflows.update("docs"), [0.5, 1, 2]),
    ("SetWorkflowState", lambda weft: weft.workflows.set_state("docs", "ACTIVE"), [0.5, 1, 2]),
    ("CancelExecution", lambda weft: weft.executions.cancel("exe_01m8hjkars87radgnzb9wpbrp9"), [0.5, 1, 2]),
    ("DeregisterService", lambda weft: weft.registry.deregister("text"), [1, 2]),
    ("DeregisterInstance", lambda weft: weft.registry.deregister_instance("i"), [1, 2]),
    ("DeleteWorkflow", lambda weft: weft.workflows.delete("docs"), [1, 2]),
    ("GetService", lambda weft: weft.registry.get("text"), [0.5, 1]),
    ("ListServices", lambda weft: weft.registry.list(), [0.5, 1]),
    ("ListInstances", lambda weft: weft.registry.instances(), [0.5, 1]),
    ("GetServiceHealth", lambda weft: weft.registry.service_health("text"), [0.5, 1]),
    ("GetIntegrationHealth", lambda weft: weft.registry.integration_health(), [0.5, 1]),
    ("GetWorkflow", lambda weft: weft.workflows.get("docs"), [0.5, 1]),
    ("ListWorkflows", lambda weft: weft.workflows.list(), [0.5, 1]),
    ("ListWorkflowVersions", lambda weft: weft.workflows.versions("docs"), [0.5, 1]),
    ("ValidateWorkflow", lambda weft: weft.workflows.validate("docs", []), [0.5, 1]),
    ("GetExecution", lambda weft: weft.executions.get("e"), [0.5, 1]),
    ("ListExecutions", lambda weft: weft.executions.list(), [0.5, 1]),
    ("Check", lambda weft: weft.health.check(), [0.5, 1]),
]


@pytest.mark.parametrize(("method", "call", "waits"), KINDS, ids=[kind[0] for kind in KINDS])
async def test_every_kind_of_call_is_retried_as_often_as_its_kind_says(
    weft: Client,
    peer: Peer,
    clock: SteppingClock,
    method: str,
    call: Callable[[Client], Awaitable[object]],
    waits: list[float],
) -> None:
    """Create and update: 3 retries from 0.5 s; delete: 2 from 1 s; read: 2 from 0.5 s. All are one call."""
    peer.on(method, DOWN)

    with pytest.raises(MaxRetriesExceededError) as caught:
        await call(weft)

    assert clock.waits == pytest.approx(waits)
    assert caught.value.attempts == len(waits) + 1 == len(peer.calls)
    assert type(caught.value.last_error) is ServiceUnavailableError
    assert caught.value.service_name == "weft"
    assert all(made.method == method and made.request == peer.last for made in peer.calls)


async def test_attempts_share_one_request_id_and_calls_do_not(weft: Client, peer: Peer) -> None:
    """A repeat has the key of the first attempt; the next call has another one."""
    done = workflow_service_pb2.CreateWorkflowResponse()
    peer.on("CreateWorkflow", DOWN, DOWN, done)

    await weft.workflows.create("docs", [])
    await weft.workflows.create("docs", [])

    ids = [str(UUID(call.request.request_id)) for call in peer.calls]
    assert ids[0] == ids[1] == ids[2] != ids[3]


async def test_a_request_id_of_the_caller_is_used(weft: Client, peer: Peer) -> None:
    """Whoever brings an idempotency key keeps it."""
    peer.on("StartExecution", execution_service_pb2.StartExecutionResponse())

    await weft.executions.start("docs", request_id="mine")

    assert peer.last.request_id == "mine"


async def test_a_retry_that_succeeds_is_a_success(weft: Client, peer: Peer, clock: SteppingClock) -> None:
    """The caller does not notice that the first attempt failed."""
    answer = registry_service_pb2.GetServiceResponse()
    answer.service.name = "text"
    peer.on("GetService", ServiceUnavailableError("weft", reason=Reason.SERVER_DRAINING), answer)

    assert (await weft.registry.get("text")).name == "text"
    assert clock.waits == [0.5]


async def test_waits_grow_to_the_limit_within_the_jitter(peer: Peer) -> None:
    """Each wait is within a fifth of its nominal length, and they differ."""
    peer.on("DeleteWorkflow", DOWN)
    first: list[float] = []
    for seed in range(8):
        clock = SteppingClock()
        async with connect(peer.target, clock=clock, chance=random.Random(seed)) as weft:
            with pytest.raises(MaxRetriesExceededError):
                await weft.workflows.delete("docs")
        assert 0.8 <= clock.waits[0] <= 1.2
        assert 1.6 <= clock.waits[1] <= 2.4
        first.append(clock.waits[0])
    assert len(set(first)) == len(first)


async def test_the_server_may_ask_for_a_longer_wait(weft: Client, peer: Peer, clock: SteppingClock) -> None:
    """``retry_after`` is waited for when it is longer than our own wait."""
    peer.on(
        "GetService",
        ServiceUnavailableError("weft", retry_after=timedelta(seconds=3)),
        registry_service_pb2.GetServiceResponse(),
    )

    await weft.registry.get("text")

    assert clock.waits == [3]


@pytest.mark.parametrize(
    "status",
    [code for code in grpc.StatusCode if code not in {grpc.StatusCode.OK, DOWN}],
    ids=lambda status: status.name,
)
async def test_only_unavailability_is_retried(
    weft: Client, peer: Peer, clock: SteppingClock, status: grpc.StatusCode
) -> None:
    """Every other status is final at once, and keeps its code."""
    peer.on("CreateWorkflow", status)

    with pytest.raises(Exception, match="scripted") as caught:
        await weft.workflows.create("docs", [])

    assert getattr(caught.value, "code", None) == status.value[0]
    assert len(peer.calls) == 1
    assert not clock.waits


async def test_an_error_of_ours_is_final_at_once(weft: Client, peer: Peer) -> None:
    """An etag that does not match is not tried again."""
    peer.on("UpdateService", ConflictError("changed in between"))

    with pytest.raises(ConflictError):
        await weft.registry.update("text", description="new", etag="old")

    assert len(peer.calls) == 1


async def test_a_direct_call_is_made_once(weft: Client, peer: Peer, clock: SteppingClock) -> None:
    """An action may have run though nobody answered, so it is never repeated by itself."""
    peer.on("ExecuteServiceAction", ServiceUnavailableError("text", reason=Reason.NO_INSTANCE))

    with pytest.raises(ServiceUnavailableError) as caught:
        await weft.executions.call("text", "extract")

    assert not isinstance(caught.value, MaxRetriesExceededError)
    assert (caught.value.reason, caught.value.service_name) == (Reason.NO_INSTANCE, "text")
    assert len(peer.calls) == 1
    assert not clock.waits


async def test_policies_can_be_replaced(peer: Peer, clock: SteppingClock) -> None:
    """A client without retries says what happened, not that it gave up."""
    peer.on("GetService", DOWN)
    async with connect(peer.target, retry=RetryPolicies(read=NO_RETRY), clock=clock) as weft:
        with pytest.raises(ServiceUnavailableError) as caught:
            await weft.registry.get("text")
    assert not isinstance(caught.value, MaxRetriesExceededError)
    assert len(peer.calls) == 1


async def test_the_timeout_covers_one_attempt(peer: Peer, clock: SteppingClock) -> None:
    """Each attempt has the whole timeout."""
    peer.on("GetService", DOWN)
    async with connect(peer.target, timeout=timedelta(seconds=7), clock=clock) as weft:
        with pytest.raises(MaxRetriesExceededError):
            await weft.registry.get("text")
    assert [call.seconds_left for call in peer.calls] == pytest.approx([7, 7, 7], abs=1.5)


async def test_a_call_without_an_answer_ends_with_its_timeout(peer: Peer) -> None:
    """A server that hangs costs the timeout and no more."""
    peer.on("GetService", forever)
    async with connect(peer.target, timeout=timedelta(seconds=0.05)) as weft:
        with pytest.raises(DeadlineExceededError, match=r"127\.0\.0\.1:\d+ did not answer within 0\.05 s"):
            await weft.registry.get("text")
    assert len(peer.calls) == 1


async def test_waiting_for_an_execution_has_one_limit_in_all(
    weft: Client, peer: Peer, clock: SteppingClock
) -> None:
    """Attempts after a restart share what is left of the wait."""

    async def slow(_request: object, context: grpc.aio.ServicerContext[object, object]) -> None:
        await clock.advance(10)
        await context.abort(DOWN, "restarting")

    peer.on("ExecuteWorkflow", slow)
    with pytest.raises(MaxRetriesExceededError):
        await weft.executions.execute("docs", wait=timedelta(seconds=60))
    assert [call.seconds_left for call in peer.calls] == pytest.approx([60, 49.5, 38.5, 26.5], abs=1.5)


async def test_a_wait_without_a_limit_has_no_deadline(weft: Client, peer: Peer) -> None:
    """An execution may take days."""
    peer.on("ExecuteWorkflow", execution_service_pb2.ExecuteWorkflowResponse())

    await weft.executions.execute("docs")

    left = peer.calls[0].seconds_left
    assert left is None or left > 10**6


async def test_an_execution_is_joined_again_after_a_restart(peer: Peer) -> None:
    """The server goes away in the middle and comes back on its port; the caller just gets the answer."""
    peer.on("ExecuteWorkflow", forever)
    quick = RetryPolicies()
    async with connect(peer.target, retry=quick) as weft:
        waiting = asyncio.create_task(weft.executions.execute("docs"))
        await peer.called.wait()
        await peer.stop()
        back = Peer(peer.port)
        answer = execution_service_pb2.ExecuteWorkflowResponse()
        answer.execution.id = "exe_1"
        back.on("ExecuteWorkflow", answer)
        await back.start()
        try:
            assert (await waiting).id == "exe_1"
        finally:
            await back.stop()
    assert back.last.request_id == peer.last.request_id


async def test_waiting_for_an_execution_outlives_many_restarts(weft: Client, peer: Peer) -> None:
    """Each attempt was accepted, so none is the last one, and it is one request all along."""

    async def restart(_request: object, context: grpc.aio.ServicerContext[object, object]) -> object:
        if len(peer.calls) > 5:
            answer = execution_service_pb2.ExecuteWorkflowResponse()
            answer.execution.id = "exe_1"
            return answer
        await context.send_initial_metadata(((EXECUTION_ID, "exe_1"),))
        return await context.abort(DOWN, "restarting")

    peer.on("ExecuteWorkflow", restart)
    assert (await weft.executions.execute("docs")).id == "exe_1"
    assert len({call.request.request_id for call in peer.calls}) == 1


async def test_a_server_that_comes_back_is_found_soon(peer: Peer) -> None:
    """One client, made while the server was up or not, serves across an outage."""
    await peer.stop()
    once = RetryPolicies(read=NO_RETRY)
    async with connect(peer.target, retry=once, timeout=timedelta(seconds=5)) as weft:

        async def ask() -> bool:
            try:
                await weft.registry.get("text")
            except ServiceUnavailableError:
                return False
            return True

        assert [await ask() for _ in range(3)] == [False] * 3
        back = Peer(peer.port)
        back.on("GetService", registry_service_pb2.GetServiceResponse())
        await back.start()
        started = time.monotonic()
        while not await ask():
            assert time.monotonic() - started < 3
            await asyncio.sleep(0.05)
        await back.stop()


async def test_closing_a_client_ends_its_calls(peer: Peer) -> None:
    """Whoever waits gets an error of ours, not a cancellation of its own task."""
    peer.on("ExecuteWorkflow", forever)
    weft = connect(peer.target)
    waiting = asyncio.create_task(weft.executions.execute("docs"))
    await peer.called.wait()

    await weft.close()

    with pytest.raises(CallCancelledError, match="closed"):
        await waiting
    with pytest.raises(RuntimeError, match="closed"):
        await weft.registry.get("text")


async def test_cancelling_the_caller_cancels_the_call(weft: Client, peer: Peer) -> None:
    """A cancelled task ends as cancelled, without retries."""
    peer.on("ExecuteWorkflow", forever)
    waiting = asyncio.create_task(weft.executions.execute("docs"))
    await peer.called.wait()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(peer.calls) == 1
