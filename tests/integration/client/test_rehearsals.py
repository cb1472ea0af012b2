"""``client.workflows.test`` against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.support.world import populated
from weft.client import Client, Code, Failure, ResourceNotFoundError, ValidationError, connect, flow

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

START = datetime(2027, 1, 1, tzinfo=UTC)
SHOUT = flow.workflow(
    "loud",
    [
        flow.action("shout", "texts", "shout", input={"text": "${input.text}"}, timeout=9),
        flow.signal("paid", "paid"),
    ],
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft() -> AsyncIterator[Client]:
    async with populated() as world, connect(world.wire.address) as client:
        yield client


async def test_a_definition_in_python(weft: Client) -> None:
    """Nothing is stored; execution and events are records, with times of the turned clock."""
    found = await weft.workflows.test(
        SHOUT,
        input={"text": "a"},
        results={"shout": {"output": {"text": "A"}, "takes": timedelta(seconds=2)}},
        messages=[{"name": "paid", "payload": {"n": 7}, "after": 3_600}],
        start_time=START.replace(tzinfo=None),
    )
    assert found.execution is not None
    assert (found.execution.state, found.execution.result) == ("COMPLETED", {"n": 7})
    assert found.events[-1].time == START + timedelta(hours=1)
    assert [event.data["step_id"] for event in found.events if event.kind == "step_scheduled"] == [
        "shout",
        "paid",
    ]
    assert (found.problems, found.missing, found.waiting, found.truncated) == ((), (), (), False)
    assert found.to_dict()["execution"]["result"] == {"n": 7}
    with pytest.raises(ResourceNotFoundError):
        await weft.workflows.get("loud")


async def test_what_is_missing_and_what_waits(weft: Client) -> None:
    """Both are named by their paths."""
    assert (await weft.workflows.test(SHOUT)).missing == ("shout",)
    results = {"shout": {"output": {"text": "A"}}}
    assert (await weft.workflows.test(SHOUT, input={"text": "a"}, results=results)).waiting == ("paid",)


@pytest.mark.parametrize(
    "failure",
    [
        {"reason": "DOWN", "code": "unavailable", "message": "m"},
        {"reason": "DOWN", "code": Code.UNAVAILABLE, "message": "m"},
        Failure(reason="DOWN", code=Code.UNAVAILABLE, message="m"),
    ],
)
async def test_a_stored_one_that_fails(weft: Client, failure: Any) -> None:
    """By its name; a failure is a record or a mapping."""
    found = await weft.workflows.test(
        "shouting", version=1, input={"text": "a"}, results={"shout": [{"failure": failure}]}
    )
    assert found.execution is not None
    assert found.execution.failure is not None
    assert (found.execution.failure.reason, found.execution.failure.code) == ("DOWN", Code.UNAVAILABLE)


async def test_a_definition_with_errors_is_not_run(weft: Client) -> None:
    """Its problems are the answer."""
    broken = {"name": "b", "steps": [{"id": "a", "service": "texts", "action": "nothing"}]}
    found = await weft.workflows.test(broken)
    assert [problem.code for problem in found.problems] == ["ACTION_UNKNOWN"]
    assert found.execution is None


async def test_faults_are_named_as_they_were_written(weft: Client) -> None:
    """Those that are found here all at once, and those of the server: by the step, not by number."""
    results: dict[str, Any] = {
        "a": {"output": {}, "failure": {}},
        "b": [{"failure": {"code": "DOWN", "reasn": "A"}}, {"takes": "soon"}],
        "c": 7,
    }
    with pytest.raises(ValidationError) as caught:
        await weft.workflows.test(SHOUT, results=results)
    assert [violation.field for violation in caught.value.violations] == [
        "results.a",
        "results.b[0].failure.code",
        "results.b[0].failure.reasn",
        "results.b[1].takes",
        "results.c",
    ]
    results = {"a//b": {}, "c": [], "d": [{"takes": 1}, {"takes": -1}], "e": {"takes": -1}}
    with pytest.raises(ValidationError) as caught:
        await weft.workflows.test(SHOUT, results=results, messages=[{"name": "7"}])
    assert [violation.field for violation in caught.value.violations] == [
        "results.a//b",
        "results.c",
        "results.d[1].takes",
        "results.e.takes",
        "messages[0].name",
    ]
