"""examples/saga, as the README walks through it: a decision, a failure, and what was done undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.saga.travel import service
from tests.support.world import hosted, serving
from weft.cli._files.definitions import read_workflows
from weft.client import connect

pytestmark = pytest.mark.integration

DEFINITION = Path(__file__).parents[3] / "examples" / "saga" / "trip.yaml"
TRIP = {"trip": "oslo", "seats": 2, "card": "ann", "amount": 90, "boss": "bea"}


async def test_the_tour() -> None:
    """An incident in a map, a child, a message; as docs/executions.md walks through it."""
    definitions = read_workflows([str(DEFINITION.with_name("tour.yaml"))])
    async with serving() as wire, hosted(wire, service), connect(wire.address) as weft:
        for defined in definitions:
            values = {name.replace("finally", "finally_"): value for name, value in defined.values.items()}
            await weft.workflows.create(defined.name, **values)
        trips = [{"trip": "oslo", "address": "Main Street 1"}, {"trip": "rome", "address": "the moon"}]
        started = await weft.executions.start("tour", {"tour": "t-1", "amount": 90, "trips": trips})
        async for event in weft.executions.watch(started.id):
            if event.kind == "incident_raised":
                mended = {"booking": "rome-2", "address": "Main Street 2"}
                await weft.executions.resolve_incident(started.id, input=mended, step_id="each[1]/ship")
            if event.kind == "step_waiting" and event.data["reason"] == "SIGNAL":
                await weft.executions.signal(started.id, "payment", {"amount": 99}, correlation="t-1")
            if event.kind == "event_emitted":
                assert event.data["data"] == {"tour": "t-1", "amount": 99}
        found = await weft.executions.get(started.id)
        assert (found.state, found.variables) == ("COMPLETED", {"due": 99, "closed": True})
        (child,) = (await weft.executions.list(filter=f"parent = {started.id}")).items
        assert [it.child_execution_id for it in found.steps if it.kind == "workflow"] == [child.id]


async def test_the_trip() -> None:
    """What was done is undone as it was registered, when the trip fails or is refused."""
    (defined,) = read_workflows([str(DEFINITION)])
    async with serving() as wire, hosted(wire, service), connect(wire.address) as weft:
        await weft.workflows.create(defined.name, **defined.values)
        ended = {}
        for key, outcome, address in (
            ("moon", "approved", "the moon"),
            ("home", "approved", "Main Street 1"),
            ("never", "rejected", "Main Street 1"),
        ):
            await weft.executions.start("trip", {**TRIP, "address": address}, key=key)
            async for event in weft.executions.watch(key):
                if event.kind == "step_waiting":
                    await weft.executions.decide(key, outcome, by="bea")
            ended[key] = await weft.executions.get(key)
        undone = [(it.step_id, it.action, it.state) for it in ended["moon"].steps][-2:]
        assert undone == [("undo/pay", "refund", "COMPLETED"), ("undo/book", "cancel_seats", "COMPLETED")]
        assert ended["home"].result == {"tracking": "T-oslo-2"}
        assert [it.step_id for it in ended["home"].steps] == ["book", "ask", "decided", "pay", "ship"]
        reasons = [it.failure.reason if it.failure else "" for it in ended.values()]
        assert reasons == ["ADDRESS_UNREACHABLE", "", "REFUSED"]
        assert [it.step_id for it in ended["never"].steps][-1] == "undo/book"
