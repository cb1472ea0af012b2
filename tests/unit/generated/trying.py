"""Tries a generated definition: it is refused, every fault located, or runs to an end that is known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.unit.execution.world import SERVICE, World, new_world
from tests.unit.generated.making import CORRELATIONS, SIGNALS, Case
from weft.cli._files.workflow_shape import WORKFLOW
from weft.client._writing.workflow import workflow as written
from weft.core.errors import (
    ActionFailedError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.payload import JsonObject
from weft.core.reasons import Reason, Rule
from weft.server.execution.orders.messages import Decide, SendSignal
from weft.server.execution.history.model import Event, Execution, Waits
from weft.server.execution.orders.orders import Resolve
from weft.server.execution.history.run import ExecutionDetails, Run
from weft.server.execution.history.step_states import StepState
from weft.server.registry.model import Action
from weft.server.requests import Faults
from weft.server.store.base import ExecutionFilter, Page, StaleWriteError
from weft.server.workflow.wire.convert import draft_from_proto
from weft.server.workflow.kinds import Child
from weft.server.workflow.model import Compensation, Step, Workflow

__all__ = ["Trial", "trials"]

TURNS: Final = 250
"""How often the clock is turned at the most."""
EVENTS: Final = 20_000
"""How many events there are at the most."""
QUIET_SECONDS: Final = 0.1
"""After how long without news what does not say what it waits for is taken to wait for a moment."""
IDLE_LOOKS: Final = 3
"""How often nothing is open, and nothing on its way to the store, before all has ended."""
STUCK_SECONDS: Final = 20.0
"""For how long nothing may happen where something is to happen."""
ASKING: Final = (Waits.SIGNAL, Waits.APPROVAL, Waits.INCIDENT)
"""What only somebody else can end."""
ORDINARY: Final = (PreconditionError, ValidationError, ResourceNotFoundError, StaleWriteError)
"""What may come of an order that comes too late."""


class Defects(logging.Handler):
    """Keeps what the engine calls a defect of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.found.append(self.format(record))


@dataclass
class Trial:
    """Tries one definition after the other in one world."""

    world: World
    defects: Defects
    serial: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """How often which outcome came."""
    _sent: int = 0

    async def try_(self, case: Case) -> str:
        """Try one; return what came of it."""
        self.serial += 1
        came = await self._try(case)
        self.counts[came] = self.counts.get(came, 0) + 1
        assert self.defects.found == []
        return came

    async def _try(self, case: Case) -> str:
        try:
            name = await self._create(case.document)
        except ValidationError as error:
            check_located(error.violations)
            return "refused"
        try:
            execution = await self.world.start(name, case.input)
        except ValidationError as error:
            check_located(error.violations)
            return "input refused"
        story = Story(self, case, execution)
        await story.play()
        await story.check()
        return story.came

    async def _create(self, document: JsonObject) -> str:
        name = f"flow-{self.serial}"
        values = WORKFLOW.read({**renamed(document, name), "name": name}, "")
        faults = Faults()
        draft = draft_from_proto(written(values), self.world.clock.now(), faults)
        faults.raise_any()
        await self.world.workflows.create(draft, None)
        return name

    async def all(self) -> list[Execution]:
        """Return every execution of the newest definition, and of those that it started."""
        found = await self.world.store.list_executions(ExecutionFilter(), Page(size=2_000))
        return list(found.items)


def renamed(value: Any, name: str) -> Any:
    """Let a workflow that runs itself do so by its own name."""
    if isinstance(value, list):
        return [renamed(item, name) for item in value]
    if isinstance(value, dict):
        return {
            key: {**item, "name": name}
            if key == "workflow" and item.get("name") == "flow"
            else renamed(item, name)
            for key, item in value.items()
        }
    return value


def moves(it: Execution) -> bool:
    """Tell whether an execution goes on by itself, soon: a turn at a limited step comes at any moment."""
    return it.waits is Waits.NOTHING or (it.waits is Waits.STEP_LIMIT and it.due_time is None)


def check_located(violations: tuple[Violation, ...]) -> None:
    """Assert that a refusal says where, and which rule."""
    assert violations
    for it in violations:
        assert it.field, it
        assert it.reason in set(Rule), it
        assert it.description, it


@dataclass
class Story:
    """One execution, driven to its end."""

    trial: Trial
    case: Case
    execution: Execution
    came: str = ""
    turns: int = 0
    answers: bool = False
    retried: set[str] = field(default_factory=set)
    news: int = 0
    ended_at_once: bool = False

    def __post_init__(self) -> None:
        self.world = self.trial.world
        self.answers = self.case.answers

    async def play(self) -> None:
        """Turn the clock and answer, until everything has ended; what nobody answers is cancelled."""
        seen, since = -1, asyncio.get_running_loop().time()
        while open_ones := await self.open_ones():
            now = asyncio.get_running_loop().time()
            moved = sum(it.last_event for it in open_ones) + len(open_ones)
            if moved != seen:
                seen, since = moved, now
                self.news += 1
                if await self.disturb():
                    continue
            assert now - since < STUCK_SECONDS, self.told(open_ones, "is stuck")
            assert self.turns < TURNS, self.told(open_ones, "does not end")
            assert moved < EVENTS, self.told(open_ones, "does not end")
            moving = any(map(moves, open_ones))
            if moving and now - since < QUIET_SECONDS:
                await asyncio.sleep(0.0005)
            elif moving:
                await self.pass_(1)  # it waits in memory, for seconds, and has recorded nothing since
            elif not (await self.answer(open_ones) or await self.turn(open_ones)):
                await self.give_up(open_ones)
        self.came = self.came or "ran"

    async def open_ones(self) -> list[Execution]:
        """Return what has not ended; a child on its way as its parent ended comes a moment later."""
        idle = 0
        while idle < IDLE_LOOKS:
            stored = self.world.engine.places == self.world.limits.open_executions
            if found := [it for it in await self.trial.all() if not it.state.final]:
                return found
            idle = idle + 1 if stored else 0
            await asyncio.sleep(0.0005)
        return []

    async def disturb(self) -> bool:
        """Kill the server, or cancel the execution, when its time has come."""
        if self.news == self.case.crash_at:
            await self.world.restart()
        elif self.news == self.case.cancel_at:
            with suppress(*ORDINARY):
                await self.world.executions.cancel(self.execution.id, "no more")
        else:
            return False
        return True

    async def answer(self, open_ones: list[Execution]) -> bool:
        """Send, decide and resolve what is asked for."""
        asked = [it for it in open_ones if self.answers and await self._answer(it)]
        return bool(asked)

    async def _answer(self, it: Execution) -> bool:
        details = await self.world.executions.get(it.id, payloads=False)
        answered = False
        for step in details.steps:
            if step.state is StepState.INCIDENT:
                answered |= await self.order(it, self.resolution(it, step.step_id))
            elif step.state is StepState.WAITING and step.asked is not None:
                answered |= await self.decide(it, step.step_id, step.asked.outcomes)
            elif step.state is StepState.WAITING and it.waits is Waits.SIGNAL:
                answered |= await self.send(it)
        return answered

    def resolution(self, it: Execution, step_id: str) -> Resolve:
        key = f"{it.id}/{step_id}"
        again = self.case.retries and key not in self.retried
        self.retried.add(key)
        return Resolve(execution_id="", step_id=step_id, resolution="RETRY" if again else "FAIL")

    async def decide(self, it: Execution, step_id: str, outcomes: tuple[str, ...]) -> bool:
        made = Decide(
            execution_id="",
            step_id=step_id,
            outcome=(outcomes or ("approved",))[0],
            comment="",
            decided_by="ann",
            time="",
        )
        with suppress(*ORDINARY):
            await self.world.executions.interactions.decide(it.id, made)
            return True
        return False

    async def send(self, it: Execution) -> bool:
        """Send one message of each kind; False when enough were sent and were not what is waited for."""
        key = f"{it.id}: messages"
        if key in self.retried:
            return False
        if f"{key} once" in self.retried:
            self.retried.add(key)
        self.retried.add(f"{key} once")
        sent = False
        for name in SIGNALS:
            for correlation in (*CORRELATIONS, str(self.case.input.get("t"))):
                self.trial._sent += 1
                sent |= await self.order(
                    it,
                    SendSignal(
                        execution_id="",
                        signal_id=str(self.trial._sent),
                        name=name,
                        correlation=correlation,
                        payload=b'{"n":1}',
                    ),
                )
        return sent

    async def order(self, it: Execution, order: Resolve | SendSignal) -> bool:
        with suppress(*ORDINARY):
            await self.world.executions.order(it.id, order)
            return True
        return False

    async def turn(self, open_ones: list[Execution]) -> bool:
        """Turn the clock to when the next thing happens by itself; False when nothing does."""
        dues = [it.due_time for it in open_ones if it.due_time is not None and self.counts(it)]
        if not dues:
            return False
        left = (min(dues) - self.world.clock.now()).total_seconds()
        await self.pass_(max(left, 0) + 0.5)
        return True

    async def pass_(self, seconds: float) -> None:
        self.turns += 1
        await self.world.clock.advance(seconds)
        await asyncio.sleep(0.0005)

    def counts(self, it: Execution) -> bool:
        """Tell whether something happens when it is due; who looks at a child just waits on, a while."""
        if it.waits is not Waits.CHILD:
            return True
        self.retried.add(f"{it.id}: look {self.turns}")
        return sum(key.startswith(f"{it.id}: look") for key in self.retried) < 65

    async def give_up(self, open_ones: list[Execution]) -> None:
        """Cancel what waits for somebody: it has to end, and what is undone then may fail.

        At once where it was cancelled before: the steps at its end may wait for what nobody can say.
        """
        at_once = self.came == "cancelled"
        assert not (at_once and self.ended_at_once), self.told(open_ones, "waits for nobody knows what")
        for it in open_ones:
            assert it.waits in (*ASKING, Waits.CHILD), self.told(open_ones, "waits for nobody knows what")
        self.came, self.answers, self.ended_at_once = "cancelled", True, at_once
        for it in open_ones:
            with suppress(*ORDINARY):
                await self.world.executions.cancel(it.id, "nobody answers", at_once=at_once)

    def told(self, open_ones: list[Execution], what: str) -> str:
        return f"{what}: {[(it.id, it.waits, it.due_time, it.last_event) for it in open_ones]}"

    # ---- what holds of every history

    async def check(self) -> None:
        """Assert that every history holds, is the same when it is read anew, and has no defect in it."""
        for it in await self.trial.all():
            if it.id in self.trial_checked:
                continue
            self.trial_checked.add(it.id)
            events = await self.world.check(it.id)
            read = await self.world.executions.get(it.id, payloads=True)
            await self.same_when_read(read, events)
            for event in events:
                failure = getattr(event.body, "failure", None)
                assert failure is None or failure.reason != Reason.INTERNAL, event

    @property
    def trial_checked(self) -> set[str]:
        found: set[str] = self.trial.__dict__.setdefault("_checked", set())
        return found

    async def same_when_read(self, read: ExecutionDetails, events: tuple[Event, ...]) -> None:
        if read.execution.origin.execution_id:
            return  # what undoes a child begins with the child's history
        plan = await self.world.executions.find_plan(
            read.execution.workflow_id, read.execution.workflow_version
        )
        anew = Run(read.execution, plan, events).details()
        assert replace(anew, defined={}) == replace(read, defined={})


@asynccontextmanager
async def trials() -> AsyncIterator[Trial]:
    """Make a world to try definitions in: actions that do, say back, refuse, are busy, and answer never."""
    defects = Defects()
    log = logging.getLogger("weft.server.engine")
    log.addHandler(defects)
    try:
        async with new_world() as world:
            await world.register(*(Action(name=name) for name in ("ok", "echo", "bad", "busy", "later")))
            world.provider.later = {"later"}
            answers: dict[str, Callable[[JsonObject], JsonObject] | WeftError] = {
                "ok": lambda _: {"n": 1, "list": [1, 2]},
                "echo": lambda value: value,
                "bad": ActionFailedError("none left", reason="SOLD_OUT"),
                "busy": ServiceUnavailableError("worker", "busy"),
            }
            world.provider.answers.update(answers)
            await _kids(world)
            yield Trial(world, defects)
    finally:
        log.removeHandler(defects)


async def _kids(world: World) -> None:
    def call(step_id: str, action: str, **more: Any) -> Step:
        return Step(id=step_id, service=SERVICE, action=action, **more)

    made: list[Workflow] = [
        await world.workflow(call("k1", "ok", compensate=Compensation(action="ok")), name="kid"),
        await world.workflow(call("k2", "later", timeout=None), name="slow-kid"),
        await world.workflow(call("k3", "bad"), name="bad-kid"),
    ]
    assert all(not isinstance(step.does, Child) for it in made for step in it.definition.steps)
