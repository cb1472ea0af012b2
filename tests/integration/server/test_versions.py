"""API versions of one service side by side: on the wire, in workflows, and with the provider's SDK."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio

from tests.support.wire import Wire
from weft.client import Client, connect
from weft.core.errors import PreconditionError, ResourceNotFoundError, ValidationError
from weft.core.reasons import Reason, Rule
from weft.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft(wire: Wire) -> AsyncIterator[Client]:
    async with connect(wire.address) as client:
        yield client


def first(name: str) -> Service:
    service = Service(name, version="1.4.2")

    @service.action
    async def price(sku: str) -> dict[str, int]:
        """Tell the price."""
        return {"cents": len(sku)}

    return service


def second(name: str) -> Service:
    service = Service(name, version="2.0.0")

    @service.action
    async def price(article: str, currency: str = "EUR") -> dict[str, str]:
        """Tell the price."""
        return {"amount": f"{len(article)} {currency}"}

    return service


@asynccontextmanager
async def hosting(wire: Wire, *services: Service) -> AsyncIterator[None]:
    """Run providers one after the other, the last one registered last."""
    async with AsyncExitStack() as stack:
        for service in services:
            host = await stack.enter_async_context(
                service.hosted(server=wire.address, ttl=timedelta(minutes=5), drain=timedelta(0))
            )
            await host.registered.wait()
        yield


async def test_two_workflows_pinned_to_two_versions(
    wire: Wire, weft: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Each gets its own actions, schemas and instances, whoever registered last; nobody loses any."""
    with caplog.at_level(logging.WARNING):
        async with hosting(wire, second("prices"), first("prices")):
            found = await weft.registry.get("prices")
            assert (found.version, [it.version for it in found.other_versions]) == ("2.0.0", ["1.4.2"])
            for name, versions in (("old-prices", "^1.4"), ("new-prices", "^2")):
                step = {"id": "a", "service": "prices", "action": "price", "service_version": versions}
                made = await weft.workflows.create(name, steps=[step])
                assert (made.warnings, made.steps[0].service_version) == ((), versions)
            old = await weft.executions.execute("old-prices", {"sku": "pen"})
            new = await weft.executions.execute("new-prices", {"article": "pencil"})
            newest = await weft.executions.call("prices", "price", {"article": "ink"})
            pinned = await weft.executions.call("prices", "price", {"sku": "ink"}, service_version="~1.4")
    assert (old.result, new.result) == ({"cents": 3}, {"amount": "6 EUR"})
    assert (newest, pinned) == ({"amount": "3 EUR"}, {"cents": 3})
    assert [record.message for record in caplog.records if "no longer has" in record.message] == []


async def test_a_version_that_is_not_there(wire: Wire, weft: Client) -> None:
    """The error says what was wanted and which versions there are, at once."""
    async with hosting(wire, first("alone")):
        with pytest.raises(PreconditionError) as refused:
            await weft.executions.call("alone", "price", {"sku": "ink"}, service_version="^3")
        assert refused.value.reason == Reason.VERSION_NOT_AVAILABLE
        assert refused.value.metadata == {"service": "alone", "required": "^3", "available": "1.4.2"}
        step = {"id": "a", "service": "alone", "action": "price", "service_version": "^3"}
        with pytest.raises(ValidationError, match=r"registered as 1\.4\.2") as invalid:
            await weft.workflows.create("impossible", steps=[step])
        assert invalid.value.violations[0].field == "workflow.steps[0].service_version"


async def test_a_range_that_cannot_be_read(weft: Client) -> None:
    """It is a fault of the request, by its path."""
    with pytest.raises(ValidationError) as refused:
        await weft.executions.call("alone", "price", {}, service_version="newest")
    assert [(v.field, v.reason) for v in refused.value.violations] == [
        ("service_version", Rule.VERSION_INVALID)
    ]
    step = {"id": "a", "service": "alone", "action": "price", "service_version": "^^1"}
    problems = await weft.workflows.validate("broken", steps=[step])
    assert ("steps[0].service_version", "VERSION_INVALID") in [(it.path, it.code) for it in problems]


async def test_one_version_is_deregistered(weft: Client) -> None:
    """The others stay; the last one takes the service along."""
    for version in ("1.0.0", "2.0.0"):
        action = {"name": f"act-{version[0]}"}
        await weft.registry.register("gone", version=version, actions=[action], replace=True)
    with pytest.raises(ResourceNotFoundError) as missing:
        await weft.registry.deregister("gone", version="3")
    assert missing.value.reason == Reason.SERVICE_VERSION_NOT_FOUND
    await weft.registry.deregister("gone", version="2.1.7")
    left = await weft.registry.get("gone")
    assert (left.version, left.other_versions, left.actions[0].name) == ("1.0.0", (), "act-1")
    assert left.revision == 3
    await weft.registry.deregister("gone", version="1")
    with pytest.raises(ResourceNotFoundError):
        await weft.registry.get("gone")


async def test_a_repeat_of_a_registration_changes_nothing(weft: Client) -> None:
    """Neither of the newest version nor of another: providers do it whenever they start."""
    found = []
    for version in ("1.0.0", "2.0.0", "1.0.0", "2.0.0"):
        actions = [{"name": "a", "description": version}]
        found.append(await weft.registry.register("steady", version=version, actions=actions, replace=True))
    assert [(it.revision, it.version) for it in found[1:]] == [(2, "2.0.0")] * 3


async def test_a_version_must_be_one_that_a_range_can_name(weft: Client) -> None:
    """A text with spaces or operators is refused by its path."""
    with pytest.raises(ValidationError) as refused:
        await weft.registry.register("odd", version="^1")
    assert [(v.field, v.reason) for v in refused.value.violations] == [
        ("service.version", Rule.VERSION_INVALID)
    ]
