"""Runs the files of ``examples/patterns`` by the engine, as ``weft workflows apply`` and start would."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from tests.unit.execution.world import SERVICE, Held, World, eventually, quiet
from weft.cli._files.definitions import read_workflows
from weft.client._writing.workflow import workflow as written
from weft.core.payload import JsonObject, loads
from weft.server.execution.history.model import ExecutionState
from weft.server.execution.history.run import ExecutionDetails
from weft.server.execution.orders.messages import SendSignal
from weft.server.registry.model import Action
from weft.server.requests import Faults
from weft.server.workflow.model import Workflow
from weft.server.workflow.wire.convert import draft_from_proto

__all__ = ["FOLDER", "Play", "numbers", "read"]

FOLDER = Path(__file__).parents[3] / "examples/patterns"


def numbers() -> list[int]:
    """Return the numbers of the patterns that have a file."""
    return sorted(int(file.name[:2]) for file in FOLDER.glob("*.yaml"))


def read(number: int, world: World) -> list[Workflow]:
    """Read the workflows of a pattern's file, as the command line and then the server do."""
    (file,) = FOLDER.glob(f"{number:02}-*.yaml")
    found = []
    for it in read_workflows([str(file)]):
        faults = Faults()
        found.append(draft_from_proto(written({"name": it.name, **it.values}), world.clock.now(), faults))
        assert faults.found == []
    return found


@dataclass
class Play:
    """One pattern that is run."""

    world: World
    number: int
    id: str = ""
    """The execution's."""
    _sent: int = 0

    async def start(self, value: JsonObject | None = None) -> None:
        """Create the workflows of the file, and start the last."""
        workflows = read(self.number, self.world)
        steps = [step for it in workflows for step in it.definition.every_step()]
        actions = sorted({step.action for step in steps if step.action})
        await self.world.register(*(Action(name=it) for it in actions))
        for it in workflows:
            await self.world.workflows.create(it, None)
        assert {step.service for step in steps if step.action} <= {SERVICE}
        self.id = (await self.world.start(workflows[-1].name, value)).id

    def hold(self, *actions: str) -> None:
        """Let calls of some actions run until they are released."""
        self.world.provider.hold.update(actions)

    async def signal(self, name: str, /, **payload: object) -> None:
        """Send a message."""
        self._sent += 1
        text = orjson.dumps(payload)
        await self.world.executions.order(
            self.id, SendSignal(execution_id="", signal_id=str(self._sent), name=name, payload=text)
        )

    async def running(self, count: int, *, settled: bool = True) -> list[Held]:
        """Wait until so many calls run, and no more come."""
        await eventually(lambda: len(self.world.provider.held) == count)
        if settled:
            await quiet()
        assert len(self.world.provider.held) == count, self.names()
        return list(self.world.provider.held)

    def names(self) -> list[str]:
        """Return the actions of the calls that run, in order."""
        return sorted(it.call.action for it in self.world.provider.held)

    def inputs(self, action: str) -> list[JsonObject]:
        """Return what the calls of an action were given, in that order."""
        return [loads(it.input) for it in self.world.provider.calls if it.action == action]

    def called(self) -> list[str]:
        """Return the actions that were called, in that order."""
        return [it.action for it in self.world.provider.calls]

    def cancelled(self) -> list[str]:
        """Return the actions of calls that were stopped, in order."""
        return sorted(it.action for it in self.world.provider.cancelled)

    async def one(self, action: str) -> Held:
        """Wait for a running call of an action."""
        held = self.world.provider.held
        await eventually(lambda: any(it.call.action == action for it in held))
        return next(it for it in held if it.call.action == action)

    async def done(self) -> ExecutionDetails:
        """Wait for its end, which is a good one, with a history that holds."""
        details = await self.world.ended(self.id)
        assert details.execution.state is ExecutionState.COMPLETED, details.execution.failure
        await self.world.check(self.id)
        return details

    async def asleep(self) -> None:
        """Wait until everything waits in the store."""
        await eventually(lambda: self.world.engine.open_count == 0)
