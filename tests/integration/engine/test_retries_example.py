"""examples/retries, as docs/executions.md walks through it: retries, an incident, progress, an approval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from examples.retries.warehouse import service
from tests.integration.engine.processes import until
from tests.support.world import hosted, serving
from weft.cli._files.definitions import read_workflows
from weft.client import connect

pytestmark = pytest.mark.integration

DEFINITION = Path(__file__).parents[3] / "examples" / "retries" / "order.yaml"


async def test_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    """The history is the one that the page prints."""
    (defined,) = read_workflows([str(DEFINITION)])
    values: dict[str, Any] = defined.values
    values["steps"][0]["retry"]["initial_backoff"] = 0.05
    async with serving() as wire, hosted(wire, service), connect(wire.address) as weft:
        await weft.workflows.create(defined.name, **values)
        order = {"customer": "ada", "item": "kite", "boxes": 1}
        started = await weft.executions.start("order", order, key="order-7")
        kinds: list[str] = []
        async for event in weft.executions.watch("order-7"):
            kinds.append(event.kind)
            if event.kind == "incident_raised":
                await weft.executions.resolve_incident("order-7", input={"printer": "spare"})
            if event.kind == "step_accepted":
                await until(lambda: "weft attempts complete" in capsys.readouterr().out)
                await weft.executions.complete_attempt(f"{started.id}/approve/1", {"approved": True})
        assert kinds == [
            "execution_started",
            *("step_scheduled", "step_retry_scheduled") * 2,
            *("step_scheduled", "step_completed"),
            *("step_scheduled", "step_progressed", "step_completed"),
            *("step_scheduled", "step_retry_scheduled", "step_scheduled", "incident_raised"),
            *("incident_resolved", "step_scheduled", "step_completed"),
            *("step_scheduled", "step_accepted", "step_completed"),
            "execution_completed",
        ]
        assert (await weft.executions.get(started.id)).result == {"approved": True}
