"""Workflows are started by names of their versions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.wire import Wire
from tests.support.world import World
from weft.api.execution.v1 import execution_service_pb2 as executions
from weft.client import Client, ConflictError, ResourceNotFoundError, ValidationError, WorkflowAlias, connect
from weft.client.records import VersionShare
from weft.core.errors import Code
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft(world: World) -> AsyncIterator[Client]:
    async with connect(world.wire.address) as client:
        yield client


async def create(weft: Client, name: str, versions: int = 3) -> None:
    """Make a workflow whose version says its own number."""
    for version in range(1, versions + 1):
        steps = [
            {"id": "shout", "service": "texts", "action": "shout", "input": {"text": f"v{version}"}},
        ]
        await (weft.workflows.create if version == 1 else weft.workflows.update)(name, steps=steps)


async def test_an_execution_runs_the_version_that_its_alias_names(weft: Client) -> None:
    """And goes on to do so when the alias names another one; the execution says by which it was started."""
    await create(weft, "by-alias")
    stored = await weft.workflows.set_alias("by-alias", "stable", 2)
    assert stored.aliases == (WorkflowAlias(name="stable", shares=(VersionShare(version=2),)),)
    assert stored.version == 3
    ran = await weft.executions.execute("by-alias", alias="stable")
    assert ran.result == {"text": "V2"}
    await weft.workflows.set_alias("by-alias", "stable", 1)
    found = await weft.executions.get(ran.id)
    assert (found.workflow_version, found.workflow_alias) == (2, "stable")
    assert (await weft.executions.execute("by-alias", alias="stable")).result == {"text": "V1"}


async def test_latest_is_always_there(weft: Client) -> None:
    """It is the newest version, whatever other aliases there are."""
    await create(weft, "always")
    ran = await weft.executions.execute("always", alias="latest")
    assert (ran.workflow_version, ran.workflow_alias) == (3, "latest")
    assert (await weft.executions.execute("always")).workflow_alias == ""


async def test_a_key_stays_with_its_version_of_a_ramp(weft: Client) -> None:
    """However often it is started; other keys get other versions."""
    await create(weft, "ramped")
    await weft.workflows.set_alias("ramped", "stable", {1: 50, 3: 50})
    versions: dict[str, set[int]] = {}
    for number in range(48):  # that all of 24 keys get the same version happens once in eight million times
        key = f"ramped-{number % 24}"
        ran = await weft.executions.execute("ramped", alias="stable", key=key)
        versions.setdefault(key, set()).add(ran.workflow_version)
    assert all(len(found) == 1 for found in versions.values())
    assert set.union(*versions.values()) == {1, 3}


async def test_an_alias_is_gone_when_it_is_deleted(weft: Client) -> None:
    """A start by it is refused, with its reason; so are a second deletion, and an old etag."""
    await create(weft, "short-lived", 1)
    made = await weft.workflows.set_alias("short-lived", "canary", 1)
    with pytest.raises(ConflictError):
        await weft.workflows.set_alias("short-lived", "stable", 1, etag="r1")
    with pytest.raises(ConflictError):
        await weft.workflows.delete_alias("short-lived", "canary", etag="r1")
    gone = await weft.workflows.delete_alias("short-lived", "canary", etag=made.etag, request_id="once")
    assert gone.aliases == ()
    assert (
        await weft.workflows.delete_alias("short-lived", "canary", etag=made.etag, request_id="once") == gone
    )
    for refused in (
        weft.executions.start("short-lived", alias="canary"),
        weft.workflows.delete_alias("short-lived", "canary"),
    ):
        with pytest.raises(ResourceNotFoundError) as missed:
            await refused
        assert missed.value.reason == Reason.WORKFLOW_ALIAS_NOT_FOUND


async def test_a_change_of_the_workflow_keeps_its_aliases(weft: Client) -> None:
    """A further version, another name or state takes none away."""
    await create(weft, "kept", 1)
    await weft.workflows.set_alias("kept", "stable", 1)
    await weft.workflows.update("kept", description="new", name="kept-2")
    changed = await weft.workflows.set_state("kept-2", "ACTIVE")
    assert [alias.name for alias in changed.aliases] == ["stable"]
    assert [alias.name for alias in (await weft.workflows.get("kept-2")).aliases] == ["stable"]


async def test_a_start_names_a_version_or_an_alias(world: World, weft: Client) -> None:
    """Both at once are refused, and so is what is no alias; all faults in one answer."""
    wire: Wire = world.wire
    both = executions.StartExecutionRequest(workflow="shouting", version=-1, alias="No alias")
    refusal = await wire.refusal("StartExecution", both)
    assert refusal.code is Code.INVALID_ARGUMENT
    assert refusal.violations == (
        ("version", Rule.OUT_OF_RANGE),
        ("alias", Rule.INVALID),
        ("alias", Rule.INVALID),
    )
    with pytest.raises(ValidationError):
        await weft.executions.start("shouting", version=1, alias="latest")


async def test_a_repeat_joins_what_the_first_request_started(weft: Client) -> None:
    """Also when the alias names another version by now."""
    await create(weft, "repeated", 2)
    await weft.workflows.set_alias("repeated", "stable", 1)
    first = await weft.executions.execute("repeated", alias="stable", request_id="repeated-1")
    await weft.workflows.set_alias("repeated", "stable", 2)
    again = await weft.executions.execute("repeated", alias="stable", request_id="repeated-1")
    assert (again.id, again.workflow_version) == (first.id, 1)
    await weft.workflows.delete_alias("repeated", "stable")
    again = await weft.executions.execute("repeated", alias="stable", request_id="repeated-1")
    assert again.id == first.id
