"""What actions tell beside their answer: heartbeats, and outcomes that come later."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.unit.execution.world import SERVICE, World, eventually, new_world, quiet
from weft.core.errors import ActionFailedError, PreconditionError, ResourceNotFoundError, ValidationError
from weft.core.reasons import Reason
from weft.mesh.actions import ActionCall, ActionReply
from weft.server.execution.engine.engine import EngineLimits
from weft.server.execution.history.model import ExecutionState, StepProgressed, Waits
from weft.server.execution.orders.attempts import AttemptToken
from weft.server.execution.orders.orders import Progress
from weft.server.registry.model import Action
from weft.server.workflow.model import RetryPolicy, Step


async def later(world: World, *, heartbeat: float | None = None, retry: RetryPolicy | None = None) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    await world.register(Action(name="a", output_schema=schema), Action(name="b"))
    await world.workflow(
        Step(
            id="a",
            service=SERVICE,
            action="a",
            next="b",
            timeout=timedelta(minutes=10),
            heartbeat_timeout=timedelta(seconds=heartbeat) if heartbeat else None,
            retry=retry,
        ),
        Step(id="b", service=SERVICE, action="b"),
    )
    world.provider.later.add("a")


async def accepted(world: World, execution_id: str, attempt: int = 1) -> AttemptToken:
    """Wait until an attempt is recorded as taken on, and return its token."""
    await eventually(lambda: any(call.attempt == attempt for call in world.provider.calls))
    for _ in range(200):
        if (await world.kinds(execution_id))[-1] == "StepAccepted":
            break
        await asyncio.sleep(0.005)
    return AttemptToken.read(world.provider.calls[-1].attempt_token)


async def test_an_action_may_tell_its_outcome_later_across_restarts() -> None:
    """The attempt is not made again meanwhile, takes no memory, and its output is what counts."""
    async with new_world() as world:
        await later(world)
        execution = await world.start()
        token = await accepted(world, execution.id)
        await eventually(lambda: world.engine.open_count == 0)
        stored = await world.store.get_execution(execution.id)
        assert stored is not None
        assert stored.waits is Waits.COMPLETION
        await world.restart()
        await quiet()
        assert len(world.provider.calls) == 1
        await world.executions.reports.complete(token, b'{"n": 1}')
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert world.provider.calls[1].input == b'{"n":1}'
        events = await world.check(execution.id)
        assert sum(type(e.body).__name__ == "StepCompleted" for e in events) == 2
        with pytest.raises(PreconditionError) as caught:
            await world.executions.reports.complete(token, b'{"n": 2}')
        assert caught.value.reason == Reason.ATTEMPT_STALE


async def test_an_outcome_that_does_not_fit_is_refused_and_can_be_mended() -> None:
    """The schema of the action counts here too, and nothing is recorded."""
    async with new_world() as world:
        await later(world)
        execution = await world.start()
        token = await accepted(world, execution.id)
        with pytest.raises(PreconditionError) as caught:
            await world.executions.reports.complete(token, b'{"n": "one"}')
        assert caught.value.reason == Reason.ACTION_OUTPUT_INVALID
        await world.executions.reports.complete(token, b'{"n": 1}')
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED


async def test_a_failure_that_is_told_later_counts_as_an_attempt() -> None:
    """It is tried again like any other; the token of the attempt before is stale then."""
    async with new_world() as world:
        await later(world, retry=RetryPolicy(initial_backoff=timedelta(seconds=1), jitter=0.0))
        execution = await world.start()
        first = await accepted(world, execution.id)
        await world.executions.reports.fail(first, ActionFailedError("broken", reason="BROKEN"))
        await world.clock.advance(1)
        second = await accepted(world, execution.id, attempt=2)
        assert second.attempt == 2
        for stale in (
            world.executions.reports.complete(first, b"{}"),
            world.executions.reports.heartbeat(first, b"{}"),
        ):
            with pytest.raises(PreconditionError) as caught:
                await stale
            assert caught.value.reason == Reason.ATTEMPT_STALE
        await world.executions.reports.complete(second, b"{}")
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
        await world.check(execution.id)


@pytest.mark.parametrize(
    ("heartbeat", "silence", "reason"),
    [(None, 600, Reason.ACTION_TIMEOUT), (20, 20, Reason.HEARTBEAT_TIMEOUT)],
)
async def test_an_attempt_that_is_not_heard_of_fails(
    heartbeat: float | None, silence: int, reason: Reason
) -> None:
    """After its timeout, or after its heartbeat timeout without a heartbeat; never before."""
    async with new_world() as world:
        await later(world, heartbeat=heartbeat)
        execution = await world.start()
        token = await accepted(world, execution.id)
        if heartbeat:
            await world.clock.advance(silence - 2)
            assert await world.executions.reports.heartbeat(token, b'{"done": 3}') is False
        for _ in range(silence - 2):
            await world.clock.advance(1)
        await quiet()
        assert await world.state(execution.id) is ExecutionState.RUNNING
        for _ in range(4):
            await world.clock.advance(1)
            await quiet()
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.FAILED
        assert details.execution.failure is not None
        assert details.execution.failure.reason == reason
        await world.check(execution.id)


async def test_a_running_attempt_that_falls_silent_is_cancelled() -> None:
    """The call is ended, and the attempt fails; one that tells how far it is goes on."""
    async with new_world(hold=["a"]) as world:
        await later(world, heartbeat=0.5, retry=RetryPolicy(initial_backoff=timedelta(seconds=1), jitter=0.0))
        world.provider.later.clear()
        execution = await world.start()
        held = await world.held("a")
        for number in range(4):
            await asyncio.sleep(0.2)
            assert held.call.on_heartbeat is not None
            held.call.on_heartbeat(b'{"done":%d}' % number)
        assert world.provider.cancelled == []
        await eventually(lambda: len(world.provider.cancelled) == 1)
        await quiet()
        await world.clock.advance(1)
        again = await world.held("a")
        assert again.call.heartbeat_details == b'{"done":3}'
        again.complete({"n": 1})
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
        events = await world.check(execution.id)
        told = [e.body.details for e in events if isinstance(e.body, StepProgressed)]
        assert told == [b'{"done":0}', b'{"done":3}']


async def test_an_action_of_a_cancelled_execution_is_told_to_stop() -> None:
    """By the answer to its next heartbeat."""
    async with new_world() as world:
        await later(world)
        execution = await world.start()
        token = await accepted(world, execution.id)
        await world.executions.cancel(execution.id, "")
        assert await world.executions.reports.heartbeat(token, b"") is True


@pytest.mark.parametrize("text", ["", "x", "exe_1/a/1", "exe_01m8g3j1np7hzfvm0ae6x1v3b9/a/-1", "a/b/c/d"])
def test_a_token_that_nobody_gave_out_is_refused(text: str) -> None:
    """INVALID_ARGUMENT, whatever it is."""
    with pytest.raises(ValidationError):
        AttemptToken.read(text)


async def test_a_token_of_no_execution_is_refused() -> None:
    """EXECUTION_NOT_FOUND."""
    async with new_world() as world:
        token = AttemptToken("exe_01m8g3j1np7hzfvm0ae6x1v3b9", "a", 1)
        with pytest.raises(ResourceNotFoundError):
            await world.executions.reports.heartbeat(token, b"")


async def test_a_heartbeat_without_details_keeps_what_was_told_before() -> None:
    """It only says that the attempt is alive."""
    async with new_world() as world:
        await later(world, heartbeat=20)
        execution = await world.start()
        token = await accepted(world, execution.id)
        for details in (b"", b'{"done":1}', b""):
            await world.clock.advance(5)
            assert await world.executions.reports.heartbeat(token, details) is False
        events = await world.events(execution.id)
        told = [event.body.details for event in events if isinstance(event.body, StepProgressed)]
        assert told == [b"{}", b'{"done":1}', b'{"done":1}']


async def test_a_bare_heartbeat_leaves_what_was_told_before() -> None:
    """It says that the attempt is alive, and nothing else: the next attempt still knows how far it was."""
    async with new_world() as world:
        await later(world, heartbeat=60, retry=RetryPolicy(initial_backoff=timedelta(seconds=1), jitter=0.0))
        execution = await world.start()
        token = await accepted(world, execution.id)
        for details in (b'{"page":7}', b""):
            await world.clock.advance(20)
            await world.executions.reports.heartbeat(token, details)
        await world.executions.reports.fail(token, ActionFailedError("broken"))
        await world.clock.advance(1)
        await accepted(world, execution.id, attempt=2)
        assert world.provider.calls[-1].heartbeat_details == b'{"page":7}'


async def test_heartbeats_of_an_action_that_answers_later_are_kept_now_and_then() -> None:
    """Each counts; the history gets one every few seconds, and more often where silence is short."""
    async with new_world() as world:
        await later(world, heartbeat=10)
        execution = await world.start()
        token = await accepted(world, execution.id)
        for number in range(40):
            await world.clock.advance(0.5)
            await world.executions.reports.heartbeat(token, b'{"done":%d}' % number)
        kinds = await world.kinds(execution.id)
        assert 4 <= kinds.count("StepProgressed") <= 9
        await world.executions.reports.complete(token, b'{"n": 1}')
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
        with pytest.raises(PreconditionError) as caught:
            await world.executions.reports.heartbeat(token, b"")
        assert caught.value.reason == Reason.ATTEMPT_STALE


async def test_a_heartbeat_that_comes_by_another_server_keeps_a_running_attempt_alive() -> None:
    """As if it had come here: it is an order then."""
    async with new_world(hold=["a"]) as world:
        await later(world, heartbeat=0.4)
        world.provider.later.clear()
        execution = await world.start()
        held = await world.held("a")
        for _ in range(4):
            await asyncio.sleep(0.2)
            beat = Progress(execution_id=execution.id, step_id="a", attempt=1, details=b'{"done":1}')
            await world.executions.order(execution.id, beat)
        assert world.provider.cancelled == []
        held.complete({"n": 1})
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED
        assert (await world.kinds(execution.id)).count("StepProgressed") == 1


async def test_nobody_is_silent_before_the_call_is_made() -> None:
    """While a call waits for an instance the heartbeat timeout does not run; then it does."""
    async with new_world(hold=["a"]) as world:
        await later(world, heartbeat=0.1)
        world.provider.later.clear()
        execution = await world.start()
        await world.held("a")  # the first beat came with the call
        await eventually(lambda: len(world.provider.cancelled) == 1)
        details = await world.ended(execution.id)
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.HEARTBEAT_TIMEOUT
        limits = EngineLimits(service_steps=1)
    async with new_world(hold=["a"], limits=limits) as world:
        await later(world, heartbeat=0.3)
        world.provider.later.clear()
        gate = asyncio.Event()
        route_call = world.caller.call

        async def wait_first(call: ActionCall, timeout: float) -> ActionReply:
            await gate.wait()
            return await route_call(call, timeout)

        world.caller.call = wait_first  # type: ignore[method-assign]
        execution = await world.start()
        await asyncio.sleep(0.6)
        assert await world.state(execution.id) is ExecutionState.RUNNING
        gate.set()
        (await world.held("a")).complete({"n": 1})
        assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED


async def test_silence_that_no_server_could_hear_is_not_held_against_an_attempt() -> None:
    """After an outage it has the whole heartbeat timeout to be heard of."""
    async with new_world() as world:
        await later(world, heartbeat=20)
        execution = await world.start()
        token = await accepted(world, execution.id)
        await world.crash()
        await world.clock.advance(60)
        await world.restart()
        await quiet()
        await world.clock.advance(19)
        await quiet()
        assert await world.executions.reports.heartbeat(token, b'{"done":1}') is False
        await world.clock.advance(19)
        await quiet()
        assert await world.state(execution.id) is ExecutionState.RUNNING
        for _ in range(3):
            await world.clock.advance(1)
            await quiet()
        details = await world.ended(execution.id)
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.HEARTBEAT_TIMEOUT
        await world.check(execution.id)


async def test_an_attempt_that_is_never_heard_of_again_after_an_outage_is_given_up() -> None:
    """Its heartbeat timeout after the server is back."""
    async with new_world() as world:
        await later(world, heartbeat=20)
        execution = await world.start()
        await accepted(world, execution.id)
        await world.crash()
        await world.clock.advance(60)
        await world.restart()
        for _ in range(22):
            await world.clock.advance(1)
            await quiet()
        details = await world.ended(execution.id)
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.HEARTBEAT_TIMEOUT
