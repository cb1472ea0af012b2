"""A whole engine in one process: real store, registry and workflows; only the wire to actions is a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tests.unit.execution.flaky import FlakyStore
from weft.core.context import CallContext
from weft.core.errors import WeftError
from weft.core.payload import JsonObject, dumps, loads
from weft.core.testing import ManualClock
from weft.discovery.model import Endpoint, Protocol
from weft.discovery.static import StaticResolver
from weft.mesh.actions import ActionCall
from weft.mesh.caller import ActionCaller
from weft.mesh.mesh import Mesh, OneResolver
from weft.server.execution.engine.dispatch import Dispatcher
from weft.server.execution.engine.engine import EngineLimits
from weft.server.execution.history.model import Event, Execution, ExecutionState, StepCompleted
from weft.server.execution.history.run import ExecutionDetails
from weft.server.execution.history.step_states import fold_steps
from weft.server.execution.service import ExecutionService, StartCommand
from weft.server.registry.model import Action, Service
from weft.server.registry.service import RegistryService
from weft.server.store.base import ExecutionFilter, Page, RequestKey, Store, StoreState
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.model import Definition, Step, Workflow
from weft.server.workflow.service import WorkflowService

SERVICE = "worker"
OTHER = "other"

Answer = Callable[[JsonObject], JsonObject]


@dataclass(eq=False)
class Held:
    """A call that the provider is working on until the test says how it ends."""

    call: ActionCall
    future: asyncio.Future[bytes]

    def complete(self, output: JsonObject | None = None) -> None:
        if not self.future.done():
            self.future.set_result(dumps(output or {}))

    def fail(self, error: WeftError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Provider:
    """The far end of every action: answers by script, or holds a call until the test releases it."""

    def __init__(self) -> None:
        self.calls: list[ActionCall] = []
        self.timeouts: list[float] = []
        self.held: list[Held] = []
        self.cancelled: list[ActionCall] = []
        self.twice: list[ActionCall] = []
        """Calls that came while another one of the same execution was running."""
        self.hold: set[str] = set()
        self.answers: dict[str, Answer | WeftError] = {}
        self.later: set[str] = set()
        """Actions that take a call on, and tell its outcome later."""

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes | None:  # noqa: ARG002 - the port's
        call.given()
        self.calls.append(call)
        self.timeouts.append(timeout)
        if call.action in self.later:
            return None
        if call.action not in self.hold:
            return self._answer(call)
        self.twice += [call for held in self.held if held.call.execution_id == call.execution_id]
        held = Held(call, asyncio.get_running_loop().create_future())
        self.held.append(held)
        try:
            return await held.future
        except asyncio.CancelledError:
            self.cancelled.append(call)
            raise
        finally:
            self.held.remove(held)

    def _answer(self, call: ActionCall) -> bytes:
        answer = self.answers.get(call.action)
        if isinstance(answer, WeftError):
            raise answer
        return dumps({} if answer is None else answer(loads(call.input)))

    async def close(self) -> None:
        """Nothing to close."""

    def steps(self) -> list[str]:
        return [call.step_id for call in self.calls]

    def running(self, step_id: str) -> Held:
        return next(held for held in self.held if held.call.step_id == step_id)


@dataclass
class World:
    """One server's parts over a store; ``restart`` loses everything but the store."""

    store: Store
    limits: EngineLimits
    others: Sequence[str] = ()
    """Further services that the provider serves."""
    clock: ManualClock = field(default_factory=ManualClock)
    provider: Provider = field(default_factory=Provider)

    def boot(self) -> None:
        self.registry = RegistryService(self.store, self.clock)
        self.workflows = WorkflowService(self.store, self.registry.find, self.clock)
        endpoint = Endpoint(host="127.0.0.1", port=1, instance_id="worker-1")
        names = (SERVICE, OTHER, *self.others)
        resolver = StaticResolver({name: [endpoint] for name in names})
        self.mesh = Mesh(OneResolver(resolver))
        self.caller = ActionCaller(self.mesh, {Protocol.GRPC: self.provider})
        self.executions = ExecutionService(
            self.store, self.workflows, Dispatcher(self.registry, self.caller), self.clock, self.limits
        )
        self.engine = self.executions.engine
        self.store.subscribe(self._store_changed)

    def _store_changed(self, state: StoreState) -> None:
        self.engine.store_changed(state)

    async def crash(self) -> None:
        """End as kill -9 does: nothing is told, nothing is finished; what is being written may land."""
        self.engine._draining = True  # what is being written may land, and nothing comes of it
        tasks = [run.task for run in self.engine._runs.values() if run.task is not None]
        tasks += [self.engine.claims.task] if self.engine.claims.task is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.mesh.close()

    async def restart(self, *, recover: bool = True) -> None:
        """Crash, and come back with nothing but the store."""
        await self.crash()
        await take_over(self.store)
        self.boot()
        if recover:
            self.engine.start_recovery()

    # ---- what is there to run

    async def register(self, *actions: Action, service: str = SERVICE) -> None:
        now = self.clock.now()
        draft = Service(id="", name=service, actions=actions, create_time=now, update_time=now)
        await self.registry.register(draft, replace_existing=True, key=None)

    async def workflow(self, *steps: Step, name: str = "flow", **definition: Any) -> Workflow:
        now = self.clock.now()
        draft = Workflow(
            id="",
            name=name,
            definition=Definition(steps=steps, **definition),
            create_time=now,
            update_time=now,
            version_create_time=now,
        )
        created, _ = await self.workflows.create(draft, None)
        return created

    async def chain(self, *names: str, name: str = "flow", **definition: Any) -> Workflow:
        """Register actions of these names, and a workflow that calls one after the other."""
        await self.register(*(Action(name=each) for each in dict.fromkeys(names)))
        followers = (*names[1:], "")
        steps = [
            Step(id=each, service=SERVICE, action=each, next=follower)
            for each, follower in zip(names, followers, strict=True)
        ]
        return await self.workflow(*steps, name=name, **definition)

    # ---- what is done with it

    async def start(
        self,
        workflow: str = "flow",
        value: JsonObject | None = None,
        *,
        timeout: timedelta | None = None,
        request_id: str = "",
        context: CallContext | None = None,
        **more: Any,
    ) -> Execution:
        given = command(workflow, value, timeout, request_id, context)
        return await self.executions.start(replace(given, **more))

    async def run(self, workflow: str = "flow", value: JsonObject | None = None) -> ExecutionDetails:
        return await self.executions.wait(await self.start(workflow, value))

    async def events(self, execution_id: str) -> tuple[Event, ...]:
        return await self.store.read_events(execution_id, limit=10_000)

    async def kinds(self, execution_id: str) -> list[str]:
        return [type(event.body).__name__ for event in await self.events(execution_id)]

    async def state(self, execution_id: str) -> ExecutionState:
        found = await self.store.get_execution(execution_id)
        assert found is not None
        return found.state

    async def held(self, step_id: str) -> Held:
        """Wait until the provider works on a step."""
        await eventually(lambda: any(held.call.step_id == step_id for held in self.provider.held))
        return self.provider.running(step_id)

    async def ended(self, execution_id: str) -> ExecutionDetails:
        """Wait until an execution has ended, whoever owns it."""
        found = await self.store.get_execution(execution_id)
        assert found is not None
        return await self.executions.wait(found)

    async def check(self, execution_id: str) -> tuple[Event, ...]:
        """Assert everything that holds of any history, and that memory and summary agree with it."""
        events = await self.events(execution_id)
        summary = await self.store.get_execution(execution_id)
        assert summary is not None
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert summary.last_event == len(events)
        names = [type(event.body).__name__ for event in events]
        assert names[0] == "ExecutionStarted"
        assert names.count("ExecutionStarted") == 1
        final = [name for name in names if name in FINAL]
        assert len(final) <= 1
        assert bool(final) == summary.state.final
        if final:
            assert names[-1] == final[0] == FINAL_OF[summary.state]
            assert summary.end_time == events[-1].time
        completed = [event.body.step_id for event in events if isinstance(event.body, StepCompleted)]
        assert len(completed) == len(set(completed))
        run = self.engine.owned(execution_id)
        if run is not None:
            assert run.execution == summary
        details = await self.executions.get(execution_id, payloads=True)
        assert {step.step_id: step for step in details.steps} == fold_steps(events)
        return events


FINAL_OF = {
    ExecutionState.COMPLETED: "ExecutionCompleted",
    ExecutionState.FAILED: "ExecutionFailed",
    ExecutionState.CANCELLED: "ExecutionCancelled",
    ExecutionState.TIMED_OUT: "ExecutionTimedOut",
}
FINAL = frozenset(FINAL_OF.values())


def command(
    workflow: str = "flow",
    value: JsonObject | None = None,
    timeout: timedelta | None = None,
    request_id: str = "",
    context: CallContext | None = None,
) -> StartCommand:
    given = value or {}
    return StartCommand(
        workflow=workflow,
        version=0,
        input=given,
        text=dumps(given),
        context=context or CallContext(),
        timeout=timeout,
        key=RequestKey("test/Start", request_id, b"content") if request_id else None,
    )


async def take_over(store: Store) -> None:
    """Begin a new epoch, as a server that opens the store does: what the last one owned is nobody's."""
    assert isinstance(store, SqliteStore)
    await store._write(store._database.take_over)


async def open_executions(store: Store) -> tuple[Execution, ...]:
    """Return the executions that have not ended, by id."""
    found = await store.list_executions(ExecutionFilter(), Page(size=10_000))
    return tuple(sorted((it for it in found.items if not it.state.final), key=lambda it: it.id))


async def eventually(holds: Callable[[], bool], *, within: float = 5.0) -> None:
    """Let the loop and the store's threads work until a condition holds."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.0005)


async def quiet(rounds: int = 20) -> None:
    """Let everything go on that can go on without the test; the store's threads need real moments."""
    for _ in range(rounds):
        await asyncio.sleep(0.001)


@asynccontextmanager
async def new_world(
    store: Store | None = None,
    *,
    hold: Sequence[str] = (),
    limits: EngineLimits | None = None,
    others: Sequence[str] = (),
) -> AsyncIterator[World]:
    world = World(store or SqliteStore(None), limits or EngineLimits(), others)
    world.provider.hold.update(hold)
    await world.store.open()
    world.boot()
    world.engine.start_recovery()
    try:
        yield world
    finally:
        await world.crash()
        await world.store.close()


@asynccontextmanager
async def flaky_world(*, hold: Sequence[str] = ()) -> AsyncIterator[tuple[World, FlakyStore]]:
    store = FlakyStore()
    async with new_world(store, hold=hold) as world:
        yield world, store
